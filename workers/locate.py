"""Where in the brain is each channel of this file: from a path to rows, a table and a picture."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.preprocessing import LfpParams, WindowParams
from schemas import anatomy, prediction, recording, session, windows
from schemas._abstain import tell_abstention
from schemas._doubt import why_not_new
from schemas._registered import what_was_heard

from .archive.packs import BETWEEN, EACH, PACKED
from .choose import (
    Chosen,
    LocateError,
    Recorded,
    choose_model,
    describe_recording,
    find_model,
    refuse_synthetic,
    training_command,
)
from .ingest import register
from .located import Located, locate_units, read_probes
from .making import make_rows
from .outputs import check_target, write_outputs
from .study.plan import ask_windows, best_labels, find_sources
from .study.spec import Data

Say = Callable[[str], None]
MODEL_WATERMARK = "MODEL TRAINED ON SYNTHETIC DATA"
RECORDING_WATERMARK = "SYNTHETIC RECORDING"
KNOWN_KEPT = 0.96
"""Share of channels in regions of training that are not taken for a new region."""
DRAWN_LFP = LfpParams(highpass_hz=0.5, lowpass_hz=None, reference="none")
DRAWN_WINDOWS = WindowParams(length_s=3.0, max_windows=60, placement="spread")
"""What is cut where no model says how: enough for spectra, whatever the length of the file."""


def locate(
    source: str,
    *,
    model: str | None = None,
    out: Path | None = None,
    allow_synthetic: bool = False,
    write_nwb: bool = False,
    device: str = "cpu",
    say: Say = lambda text: None,
) -> Located:
    """A region and a confidence for each channel and unit of one file, or "unknown".

    Everything it makes is a row: Ingestion, Windows, Prediction, ChannelLabel; a second call
    computes nothing again.

    Parameters
    ----------
    source
        Path or URL of an NWB file.
    model
        Name of a registered model; None takes the one that fits best, and says why. Without a
        fitting one, what needs no model is drawn.
    out
        Folder for picture, CSV and copy; None takes the current one.
    allow_synthetic
        Let a model of simulated data answer about a real recording; every output is watermarked.
    write_nwb
        Also write a copy of the file with the regions in its electrode table.

    Raises
    ------
    LocateError
        If the file, the model or their combination cannot be used; the message says what to do.
    """
    chosen = find_model(model) if model else None
    if chosen is not None:
        say(chosen.label_line)
    folder = Path(out) if out is not None else Path.cwd()
    check_target(source, folder, write_nwb=write_nwb)
    file = _ingest(source, say)
    series, notes = _series(source, file)
    recorded = describe_recording(series)
    if chosen is None:
        chosen = _choose(recorded, allow_synthetic, notes, say)
    else:
        refuse_synthetic(chosen, recorded, allow_synthetic)
    names = _cut(chosen, series, say)
    predictions = _predict(chosen, names, device, say) if chosen is not None else {}
    labels = _label(chosen, recorded)
    found = _gather(source, file, recorded, chosen, names, predictions, labels, notes)
    return write_outputs(found, source, folder, write_nwb=write_nwb, say=say)


def _ingest(source: str, say: Say) -> dict[str, str]:
    """Read the file's metadata; the key of its Ingestion."""
    changed: list[str] = []
    keys = register([source], base=Path.cwd(), subjects=EACH, notes=changed)
    if changed:
        raise LocateError(changed[0])
    if len(keys) != 1:
        raise LocateError(
            f"{source} stands for {len(keys)} recordings; locate takes one at a time"
            + (f", FILE{BETWEEN}RECORDING" if Path(source).suffix in PACKED else "")
        )
    file = {"nwb_file": keys[0]}
    if (session.NwbFile & file).fetch1("file_kind") == "features":
        raise LocateError(f"{source} is no NWB file; `fieldbase ingest embeddings` reads vectors")
    say(f"reading {source}")
    _populate(recording.Ingestion, [file], source)
    row = (recording.Ingestion & file).fetch1()
    if row["ingestion_status"] == "error":
        raise LocateError(f"{row['message']}; {row['way_out']}")
    return file


def _series(source: str, file: dict[str, str]) -> tuple[list[dict[str, Any]], list[str]]:
    """The LFP series that count, and what was left out."""
    notes: list[str] = []
    found = find_sources(Data(recordings=(source,)), file, notes)
    if not found:
        there = (recording.Ingestion & file).fetch1("n_channels", "n_units", "n_behavior")
        raise LocateError(
            f"{source} holds no field potential to locate channels by ({there[0]} channels, "
            f"{there[1]} units, {there[2]} behaviour series). Where LFP lies in a file of its "
            "own, as Allen's probe files, give that one" + "".join(f"\n  {n}" for n in notes)
        )
    return [one["lfp"] for one in found], notes


def _choose(recorded: Recorded, allow: bool, notes: list[str], say: Say) -> Chosen | None:
    chosen, passed = choose_model(recorded, allow_synthetic=allow)
    if chosen is not None:
        say(f"model {chosen.name} fits: {chosen.reason}")
        say(chosen.label_line)
    else:
        notes.append(
            "No registered model fits, so no region is named; drawn is what needs none. "
            f"Train one: {training_command(recorded)}"
        )
        say("no registered model fits; drawing what needs none")
    for text in passed:
        say(f"passed over {text}")
        if chosen is None:
            notes.append(f"Passed over {text}.")
    return chosen


def _cut(chosen: Chosen | None, series: list[dict[str, Any]], say: Say) -> list[str]:
    """Windows of each series, cut as the model's training windows were."""
    if chosen is None:
        params = windows.WindowParamSet.register(None, DRAWN_WINDOWS)
        params |= windows.LfpParamSet.register(None, DRAWN_LFP)
    else:
        names = ("lfp_params", "window_params", "bin_params")
        params = {name: chosen.card[name] for name in names if chosen.card[name] is not None}
    asked = [ask_windows(params, {"session": one["session"], "lfp": one}) for one in series]
    say("cutting windows")
    _populate(windows.Windows, [{"windows": name} for name in asked], series[0]["series_path"])
    return asked


def _predict(chosen: Chosen, names: list[str], device: str, say: Say) -> dict[str, str]:
    """The prediction of each windows task."""
    post = _postprocess(chosen)
    asked = {
        name: prediction.PredictionTask.ensure(training=chosen.training, windows=name, **post)
        for name in names
    }
    say(f"asking {chosen.name}")
    keys = list(asked.values())
    _populate(prediction.Prediction, keys, f"model {chosen.name}", {"device": device})
    return {name: key["prediction"] for name, key in asked.items()}


def _postprocess(chosen: Chosen) -> dict[str, str]:
    """The post-processing of the model's study; where it can, it also says no to new regions."""
    from pipeline.analyses.postprocess import PostprocessParams

    asked = {"postprocess_params": chosen.card["postprocess_params"]}
    if asked["postprocess_params"] is None:
        asked = prediction.PostprocessParamSet.register(None, PostprocessParams())
    params = prediction.PostprocessParamSet.get(asked)
    if why_not_new(chosen.training) is not None or params.known_kept < 1:
        return asked
    shy = params.model_copy(update={"known_kept": KNOWN_KEPT})
    return prediction.PostprocessParamSet.register(None, shy)


def _label(chosen: Chosen | None, recorded: Recorded) -> dict[str, str] | None:
    """The file's labels in the model's scheme: the key of a ChannelLabel, None without any."""
    scheme = chosen.card["scheme"] if chosen is not None else "as_given"
    if scheme is None:
        return None
    label_set = best_labels(Data(recordings=("here",), labels=scheme), recorded.session)
    if label_set is None:
        return None
    key = {"label_set": label_set, "scheme": scheme}
    anatomy.LabelTask.insert1(key, skip_duplicates=True)
    _populate(anatomy.ChannelLabel, [key], "labels")
    return key


def _gather(source, file, recorded, chosen, names, predictions, labels, notes) -> Located:
    probes = read_probes(names, predictions, labels, chosen.name if chosen else "")
    warnings = _warnings(recorded, chosen, predictions)
    marks = []
    if chosen is not None and chosen.card["synthetic"] and not recorded.synthetic:
        marks.append(MODEL_WATERMARK)
    if recorded.synthetic:
        marks.append(RECORDING_WATERMARK)
    notes = [*notes, *(text for name in names for text in _nothing_left(name))]
    notes += [f"{text[:1].upper()}{text[1:]}." for text in tell_abstention(predictions.values())]
    blind = None if chosen is None else why_not_new(chosen.training)
    if blind is not None:
        notes.append(
            f"Model {chosen.name} takes a region it never learned for one it knows: {blind}."
        )
    return Located(
        source=source,
        nwb_file=file["nwb_file"],
        session=recorded.session,
        model=chosen,
        windows=names,
        predictions=predictions,
        probes=probes,
        units=locate_units(recorded.session, probes) if chosen is not None else None,
        warnings=warnings,
        notes=notes,
        watermark=", ".join(marks),
        command=None if chosen is not None else training_command(recorded),
    )


def _nothing_left(name: str) -> list[str]:
    """Why windows give nothing to draw or answer, in words; empty where they do."""
    key = {"windows": name}
    row = (windows.Windows & key).proj("n_windows", "n_kept", "window_notes").fetch1()
    if row["n_kept"]:
        return []
    path = (windows.WindowsLfp * recording.LfpSeries & key).fetch1("series_path")
    counts = (windows.Windows.Rejected & key).to_dicts(order_by="n_rejected desc")
    why = [f"{one['n_rejected']} {one['reason'].replace('_', ' ')}" for one in counts]
    told = "; ".join([*row["window_notes"], *([", ".join(why)] if why else [])])
    return [f"{path}: none of {row['n_windows']} windows is usable ({told}): nothing is answered."]


def _warnings(recorded: Recorded, chosen: Chosen | None, predictions) -> list[str]:
    """What differs from the training domain, and what the training had of this recording."""
    if chosen is None:
        return []
    found: dict[str, None] = {}
    heard = what_was_heard(chosen.training, recorded.session)
    if heard != "nothing":
        found[
            f"model {chosen.name} was trained on this {heard}: its answers here say nothing of how "
            "well it does on a new one"
        ] = None
    for name in predictions.values():
        check = (prediction.Prediction & {"prediction": name}).fetch1("domain_check")
        if check is None:
            found["distance to the training domain could not be measured"] = None
        else:
            found |= dict.fromkeys(check["warnings"])
    return list(found)


def _populate(table, keys, what: str, options: dict[str, Any] | None = None) -> None:
    """Make these rows; a failure is one LocateError."""
    for _, message in make_rows(table, keys, options=options, tries=2).failed:
        raise LocateError(f"{what}: {table.__name__} failed: {message}")
