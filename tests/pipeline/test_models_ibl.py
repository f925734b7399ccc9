"""IBL's decoders: features against SciPy and IBL's own code, the network by hand, wrong folders."""

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import signal

sys.path.insert(0, str(Path(__file__).parent))
from decoder_folders import FEATURES, network, transformer_folder, trees_folder  # noqa: E402
from model_worlds import batch_of, context_of, params_of, world  # noqa: E402

from pipeline.models import MODELS, build  # noqa: E402
from pipeline.models.ibl_features import FROM_CSD, FROM_LFP, ibl_features  # noqa: E402
from pipeline.models.probe_transformer import ProbeTransformer  # noqa: E402
from pipeline.training import FitParams  # noqa: E402
from pipeline.training.checkpoint import load_checkpoint  # noqa: E402
from pipeline.training.fit import fit  # noqa: E402
from pipeline.training.inference import predict_windows  # noqa: E402

WORLD = world()
CONTEXT = context_of([WORLD])
FOLDERS = {"ibl_trees": trees_folder, "ibl_transformer": transformer_folder}


def theirs(volt, rate):
    """RMS and band powers (dB) as IBL's code makes them, channel by channel."""
    hz, power = signal.periodogram(volt, rate)
    found = [20 * np.log10(np.sqrt(np.mean(volt**2, axis=-1)))]
    for low, high in [(0, 4), (4, 10), (8, 12), (15, 30), (30, 90), (0, 90)]:
        inside = np.abs(hz - (low + high) / 2) < high - low
        away = np.where(inside, np.abs(hz - (low + high) / 2) / (high - low), 1.0)
        weight = 0.5 * (1 + np.cos(np.pi * away))
        found.append(10 * np.log10((power * weight).sum(-1) / weight.sum()))
    return np.stack(found, axis=-1)


def recorded(channels=24, seconds=3.0, rate=500.0):
    """LFP (µV) on a probe with two columns of sites."""
    rng = np.random.default_rng(0)
    lfp = 50 * rng.normal(size=(2, int(seconds * rate), channels)).cumsum(axis=1)
    depth, column = 20.0 * (np.arange(channels) // 2), np.arange(channels) % 2
    return torch.from_numpy(lfp), rate, torch.from_numpy(depth), torch.from_numpy(column)


def test_features_equal_scipys_periodogram_in_volts_and_unknown_ones_are_missing():
    lfp, rate, depth, column = recorded()
    good = torch.ones(2, 24, dtype=torch.bool)
    found = ibl_features(
        lfp, rate, depth_um=depth, column=column, good=good, names=[*FROM_LFP, "rms_ap"]
    )
    expected = theirs(lfp.numpy().swapaxes(1, 2) * 1e-6, rate)
    assert np.allclose(found[..., :-1], expected, atol=1e-6)
    assert found[..., -1].isnan().all()


def test_source_density_equals_that_of_ibls_own_code():
    voltage = pytest.importorskip("ibldsp.voltage")
    lfp, rate, depth, column = recorded()
    # their step is that of the distance from the origin: as ours where x is 0
    geometry = {"x": np.zeros(24), "y": depth.numpy(), "col": column.numpy(),
                "row": depth.numpy() / 20}  # fmt: skip
    density = np.stack([voltage.current_source_density(w.T * 1e-6, geometry) for w in lfp.numpy()])
    found = ibl_features(
        lfp, rate, depth_um=depth, column=column, names=FROM_CSD,
        good=torch.ones(2, 24, dtype=torch.bool),
    )  # fmt: skip
    assert np.allclose(found, theirs(density, rate), atol=1e-6)


def test_a_rejected_channel_takes_the_density_of_its_neighbours_with_it():
    lfp, rate, depth, column = recorded()
    good = torch.ones(2, 24, dtype=torch.bool)
    good[0, 8] = False
    found = ibl_features(lfp, rate, depth_um=depth, column=column, good=good, names=FROM_CSD)
    lost = found.isnan().any(dim=-1)
    assert lost[0].nonzero().flatten().tolist() == [6, 8, 10]
    assert not lost[1].any()


def by_hand(net, x, depth):
    """The network's answer for one probe, written out with loops over heads."""
    x = net.input_proj(x)
    for layer in net.layers:
        y, heads = layer.norm1(x), layer.attn.heads
        size = y.shape[-1] // heads
        parts = layer.attn.qkv(y).reshape(len(y), 3, heads, size)
        mixed = []
        for h in range(heads):
            q, k, v = parts[:, 0, h], parts[:, 1, h], parts[:, 2, h]
            pair = torch.arange(0, size, 2) / size
            angle = depth[:, None] * 10000.0**-pair
            turn = torch.polar(torch.ones_like(angle), angle)
            q, k = (torch.complex(*t.chunk(2, dim=-1)) * turn for t in (q, k))
            score = (q[:, None] * k[None].conj()).real.sum(-1) / size**0.5
            mixed.append(score.softmax(dim=-1) @ v)
        x = x + layer.attn.out_proj(torch.cat(mixed, dim=-1))
        x = x + layer.ff(layer.norm2(x))
    return net.head(net.norm(x))


def test_the_network_turns_queries_and_keys_by_depth_and_ignores_absent_channels():
    torch.manual_seed(0)
    net = ProbeTransformer(n_features=3, n_classes=4, d_model=16, n_heads=2, n_layers=2).eval()
    x, depth = torch.randn(2, 7, 3), 20.0 * torch.arange(7.0).expand(2, -1)
    there = torch.ones(2, 7, dtype=torch.bool)
    there[1, 4:] = False
    with torch.no_grad():
        found = net(x, depth, there)
        assert torch.allclose(found[0], by_hand(net, x[0], depth[0]), atol=1e-5)
        assert torch.allclose(found[1, :4], by_hand(net, x[1, :4], depth[1, :4]), atol=1e-5)


@pytest.mark.parametrize("family", FOLDERS)
def test_a_training_without_steps_keeps_origin_and_licence_and_needs_the_folder_no_more(
    family, tmp_path
):
    source = FOLDERS[family](tmp_path / "release")
    model = build(params_of(family, source=str(source)), CONTEXT, seed=0)
    assert model.provenance["licence"] == "cc-by-4.0"
    assert model.provenance["vintage"] == "2026_W00"
    assert "denoised" in model.provenance["approximate"]
    params = FitParams(objective="none", epochs=0)
    done = fit(model, [WORLD], [WORLD], params, seed=0, folder=tmp_path / "fit")
    shutil.rmtree(source)
    loaded = load_checkpoint(done.checkpoint)
    expected = predict_windows(model, WORLD)
    found = predict_windows(loaded, WORLD)
    assert np.array_equal(found.outputs, expected.outputs)
    region = WORLD.channels["region"].to_numpy()[found.channel]
    assert (np.array(CONTEXT.classes)[found.outputs.argmax(1)] == region).mean() > 0.95
    assert loaded.provenance == model.provenance


def test_the_mean_of_the_members_is_scaled_to_the_classes_of_the_study(tmp_path):
    source = str(trees_folder(tmp_path))
    batch = batch_of("ibl_trees", WORLD, CONTEXT, size=2)
    leaves = {"VISp": (2.0, -2.0), "root": (-3.0, -3.0), "CA1": (-2.0, 2.0)}

    def expected(loud, classes, members):
        each = []
        for shift in members:
            score = {name: pair[loud] for name, pair in leaves.items()}
            score["CA1"] += shift * loud
            total = sum(np.exp(list(score.values())))
            each.append({name: np.exp(value) / total for name, value in score.items()})
        mean = [np.mean([one.get(name, 0.0) for one in each]) for name in classes]
        return np.array(mean) / sum(mean)

    for classes in (("CA1", "VISp"), ("CA1", "VISp", "DG"), ("VISp", "root", "CA1")):
        for members, shifts in (("all", (0.0, 1.0)), ("first", (0.0,))):
            params = params_of("ibl_trees", source=source, members=members)
            model = build(params, CONTEXT.model_copy(update={"classes": classes}), seed=0)
            found = model.predict(batch)[0].detach().numpy()
            assert np.allclose(found[0], expected(1, classes, shifts), atol=1e-5)
            assert np.allclose(found[5], expected(0, classes, shifts), atol=1e-5)


def test_probes_are_read_apart_and_a_depth_that_is_not_known_is_said():
    model = build(params_of("ibl_transformer"), CONTEXT, seed=0)
    torch.manual_seed(1)
    for member in model.members:
        for value in member.network.layers.parameters():
            torch.nn.init.normal_(value, std=0.5)
    batch = batch_of("ibl_transformer", WORLD, CONTEXT, size=3)
    apart = replace(batch, probe=torch.arange(6).expand(3, -1) // 3)
    alone = [
        model.predict(replace(batch, channel_valid=batch.channel_valid & (apart.probe == p)))
        for p in (0, 1)
    ]
    found = model.predict(apart)
    valid = batch.channel_valid
    for p in (0, 1):
        here = valid & (apart.probe == p)
        assert torch.allclose(found[here], alone[p][here], atol=1e-5)
    assert not torch.allclose(found, model.predict(batch), atol=1e-3)
    lost = batch.position.clone()
    lost[..., 0] = torch.nan
    with pytest.raises(ValueError, match="needs the depth of every channel"):
        model.predict(replace(batch, position=lost))


def test_features_that_lfp_does_not_give_are_refused_unless_asked_for(tmp_path):
    names = [*FEATURES, "rms_ap", "spike_count"]
    source = str(trees_folder(tmp_path, features=names))
    with pytest.raises(ValueError, match=r"2 of 4 features.*rms_ap, spike_count; absent ="):
        build(params_of("ibl_trees", source=source), CONTEXT, seed=0)
    model = build(params_of("ibl_trees", source=source, absent="missing"), CONTEXT, seed=0)
    assert model.provenance["absent"] == ["rms_ap", "spike_count"]


def spoil(folder, family, how):
    """Damage a release; the digests are gone where they would be the first to notice."""
    first = sorted((folder / ("folds" if family == "ibl_trees" else ".")).glob("[Fs][Oe]*"))[0]
    member = next(iter(first.glob("*model*")))
    manifest = folder / "ephysatlas_model.json"
    value = json.loads(manifest.read_text())
    if how != "changed":
        (folder / "checksums.json").unlink()
    if how == "no manifest":
        manifest.unlink()
    elif how == "no json":
        manifest.write_text("{")
    elif how == "changed":
        member.write_bytes(member.read_bytes() + b" ")
    elif how == "incomplete":
        member.unlink()
    elif how == "damaged":
        member.write_bytes(b"\x80\x04.")
    elif how == "pickled":
        member.rename(member.with_name("best_model.pt"))
    elif how == "reordered":
        value["inputs"]["features"].reverse()
        manifest.write_text(json.dumps(value))
    elif how == "other":
        value["method"] = "ridge"
        manifest.write_text(json.dumps(value))
    elif how == "classes":
        value["config"]["class_acronyms"] = ["CA1", "VISp"]
        manifest.write_text(json.dumps(value))


WRONG = {
    "no manifest": "is no release: it has no ephysatlas_model.json",
    "no json": "is no JSON",
    "changed": "was changed; fetch it again",
    "incomplete": "is incomplete: it has no",
    "damaged": "no model that XGBoost saved|no safetensors file",
    "reordered": "the order of its features was changed",
    "other": "release of ridge",
    "classes": "classes",
}


@pytest.mark.parametrize(
    ("family", "told"),
    [("ibl_trees", "card of int-brain-lab/.* says CC-BY-4.0"), ("ibl_transformer", "not checked$")],
)
def test_a_release_without_licence_says_what_was_found_of_it(family, told, tmp_path):
    source = FOLDERS[family](tmp_path / "release")
    (source / "README.md").unlink()
    model = build(params_of(family, source=str(source)), CONTEXT, seed=0)
    assert re.match(f"not stated in the release; .*{told}", model.provenance["licence"])


@pytest.mark.parametrize("how", WRONG)
@pytest.mark.parametrize("family", FOLDERS)
def test_a_wrong_or_incomplete_folder_gives_one_sentence(family, how, tmp_path):
    source = FOLDERS[family](tmp_path / "release")
    spoil(source, family, how)
    with pytest.raises(ValueError, match=WRONG[how]) as caught:
        build(params_of(family, source=str(source)), CONTEXT, seed=0)
    assert str(caught.value).count("\n") == 0


def test_pickled_weights_are_never_loaded_and_other_labels_are_refused(tmp_path):
    source = transformer_folder(tmp_path / "release")
    other = CONTEXT.model_copy(update={"classes": ("DG", "CA3")})
    with pytest.raises(ValueError, match='labelled .*DG.*labels = "Cosmos"'):
        build(params_of("ibl_transformer", source=str(source)), other, seed=0)
    spoil(source, "ibl_transformer", "pickled")
    with pytest.raises(ValueError, match="pickled weights only.*never loaded"):
        build(params_of("ibl_transformer", source=str(source)), CONTEXT, seed=0)


def test_without_folder_and_network_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("FIELDBASE_WEIGHTS", raising=False)
    with pytest.raises(FileNotFoundError, match="download the repository elsewhere"):
        build(params_of("ibl_trees", source="nobody/nothing"), CONTEXT, seed=0)


def test_both_read_whole_windows_and_answer_for_channels():
    for family in FOLDERS:
        entry = MODELS[family]
        assert (entry.grain, entry.tokens, entry.objectives) == ("window", "channel", ("none",))
    assert isinstance(network(), torch.nn.Module)
