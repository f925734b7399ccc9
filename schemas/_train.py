"""One training from task to weights: what ``Training.make`` does."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.recording import WindowSet

from . import dataset, session, training, windows
from ._cache import open_folder
from ._digests import digest_folder
from ._load import load_each
from ._names import clip
from ._unfinished import Workplace, open_workplace

TRAIN_ROLES = {"ssl": ("pretrain",)}
SUPERVISED_ROLES = ("train", "support")


@dataclass(frozen=True)
class Trained:
    """A finished training: its row and its curve."""

    row: dict[str, Any]
    epochs: list[dict[str, Any]]


def request(key: dict[str, Any]) -> dict[str, Any]:
    """Task, parameters, parents and the digest of every window it will see."""
    task = (training.TrainingTask & key).fetch1()
    members = dataset.SplitAssignment & {"split": task["split"], "fold": task["fold"]}
    seen = windows.Windows.proj("content_digest") & members.proj()
    return {
        "task": task,
        "model": training.ModelParamSet.get(task).to_json(),
        "fit": training.FitParamSet.get(task).to_json(),
        "parents": (training.TrainingParent & key).to_dicts(order_by="parent_role"),
        "content": sorted(row["content_digest"] for row in seen.to_dicts()),
        "assignment": (dataset.Split & task).fetch1("assignment_digest"),
    }


def train(
    key: dict[str, Any],
    asked: dict[str, Any],
    *,
    device: str = "cpu",
    processes: int = 1,
    on_epoch: Callable | None = None,
    **_: Any,
) -> Trained:
    """Fit the model, on several GPUs if asked; goes on where an earlier try was killed."""
    from pipeline.models import MODELS, DataContext, build, parse_params
    from pipeline.training import FitParams
    from pipeline.training.checkpoint import initialise_from

    task, fit_params = asked["task"], FitParams.from_json(asked["fit"])
    model_params = parse_params(asked["model"])
    roles = TRAIN_ROLES.get(fit_params.objective, SUPERVISED_ROLES)
    fitted_on = load_role(task["split"], task["fold"], roles)
    if not fitted_on:
        raise LookupError(
            f"fold {task['fold']} has no windows in the roles {roles}; the split has "
            f"{_roles_of(task)}. Choose a split with those roles, or another objective"
        )
    checked_on = load_role(task["split"], task["fold"], _checked_roles(task, fit_params.objective))
    supervised = MODELS[model_params.family].output == "classes" and fit_params.objective != "ssl"
    classes = _classes(fitted_on, task) if supervised else ()
    context = DataContext.of([*fitted_on, *checked_on], classes=classes)
    model = build(model_params, context, seed=task["seed"])
    for parent in asked["parents"]:
        if parent["parent_role"] == "init":
            initialise_from(model, checkpoint_folder(parent["parent"]))
    place = open_workplace(key["training"])
    result = _fit(
        model, fitted_on, checked_on, fit_params, processes=processes, seed=task["seed"],
        device=device, folder=place.folder, on_epoch=_keeping(place, on_epoch),
    )  # fmt: skip
    row = _row(asked, result, model, fitted_on, classes, device)
    return Trained(row, [_epoch_row(record, fit_params.select) for record in result.epochs])


def _fit(*given, processes: int, device: str, **options):
    """``fit`` on one device or on several."""
    from pipeline.training import distributed, fit

    if processes == 1:
        return fit.fit(*given, device=device, **options)
    kind = device.partition(":")[0]
    return distributed.fit_distributed(*given, device=kind, processes=processes, **options)


def _keeping(place: Workplace, on_epoch: Callable | None) -> Callable:
    """What ``fit`` calls after each epoch: its state is kept whatever `on_epoch` then raises."""

    def told(record: Any) -> None:
        place.keep()
        try:
            if on_epoch is not None:
                on_epoch(record)
        except BaseException:
            place.keep(now=True)
            raise

    return told


def load_role(split: str, fold: int, roles: tuple[str, ...]) -> list[WindowSet]:
    """Windows of a fold that play one of `roles`, with their labels, each cut to its blocks."""
    parts = (
        dataset.SplitAssignment * dataset.SplitTask.proj("dataset") * dataset.DatasetMember
        & {"split": split, "fold": fold}
        & [{"role": role} for role in roles or ("",)]
    )
    counted = (dataset.SplitTask.proj("dataset") * dataset.Dataset & {"split": split}).fetch1()
    about = {"scheme": counted["scheme"], "regions": counted["counted_regions"]}
    blocks: dict[str, list[dict[str, Any]]] = {}
    labels: dict[str, str | None] = {}
    for part in parts.to_dicts(order_by="windows, block"):
        blocks.setdefault(part["windows"], []).append(part)
        labels[part["windows"]] = part["label_set"]
    if not blocks:
        return []
    loaded = load_each(labels, **about, blocks=blocks).values()
    return [windowset for windowset in loaded if len(windowset)]


def heard_without_labels(split: str) -> tuple[str, ...]:
    """Roles whose signal self-supervised training reads.

    One that serves all folds has no validation: another fold tests its subjects.
    """
    params = dataset.SplitParamSet.get((dataset.SplitTask & {"split": split}).fetch1())
    return ("pretrain",) if params.pretrain == "disjoint" else ("pretrain", "validation")


def _checked_roles(task: dict[str, Any], objective: str) -> tuple[str, ...]:
    """Roles that a training is validated on."""
    if objective == "ssl" and "validation" not in heard_without_labels(task["split"]):
        return ()
    return ("validation",)


def scheme_of(split: str) -> str | None:
    """The label scheme of the dataset that was split."""
    return (dataset.SplitTask.proj("dataset") * dataset.Dataset & {"split": split}).fetch1("scheme")


def checkpoint_folder(name: str) -> Path:
    """The folder with a training's weights on this machine, fetched from the store if need be."""
    return open_folder((training.Training & {"training": name}).fetch1("checkpoint"), name)


def _classes(windowsets: list[WindowSet], task: dict[str, Any]) -> tuple[str, ...]:
    from pipeline.anatomy import regions
    from pipeline.models import label_set

    found = label_set(windowsets)
    if len(found) < 2:
        raise LookupError(
            f"training needs channels of two regions or more, found {list(found)} in "
            f"{len(windowsets)} recordings; check ChannelLabel.Region for the reasons"
        )
    order = regions(scheme_of(task["split"])) or ()
    return tuple(sorted(found, key=lambda r: (order.index(r) if r in order else len(order), r)))


def _roles_of(task: dict[str, Any]) -> list[str]:
    parts = dataset.SplitAssignment & {"split": task["split"], "fold": task["fold"]}
    return sorted(set(parts.to_arrays("role")))


def _row(asked, result, model, fitted_on, classes, device) -> dict[str, Any]:
    from importlib.metadata import version

    select = asked["fit"]["select"]
    best = next((e for e in result.epochs if e.epoch == result.best_epoch), None)
    value = best.validation.get(select) if best else None
    return {
        "checkpoint": str(result.checkpoint),
        "weights_digest": result.sha256,
        "checkpoint_digest": digest_folder(Path(result.checkpoint)),
        "seen_digest": asked["assignment"],
        "classes": list(classes),
        "n_parameters": sum(p.numel() for p in model.parameters()),
        "n_samples_train": sum(_rows(model, windowset) for windowset in fitted_on),
        "n_epochs": len(result.epochs),
        "best_epoch": result.best_epoch or None,
        "best_validation": value,
        "validation_metric": select if value is not None else None,
        "domain": _domain(fitted_on, classes),
        "weights_origin": model.provenance or None,
        "synthetic_training": any(windowset.synthetic for windowset in fitted_on),
        "fit_device": device,
        "fit_version": version("fieldbase"),
        "fit_seconds": result.seconds,
    }


def _rows(model, windowset: WindowSet) -> int:
    from pipeline.models import MODELS

    if MODELS[model.params.family].grain == "window":
        return len(windowset)
    return int(windowset.valid.sum())


def _epoch_row(record, select: str) -> dict[str, Any]:
    return {
        "epoch": record.epoch,
        "train_loss": record.train_loss,
        "validation": record.validation.get(select),
        "loss_parts": {
            **record.parts,
            **{f"validation_{k}": v for k, v in record.validation.items()},
        },
        "learning_rate": record.lr,
        "epoch_seconds": record.seconds,
        "rows_at_once": record.rows_at_once,
        "epoch_note": clip(record.note, 255),
    }


def _domain(fitted_on: list[WindowSet], classes: tuple[str, ...]) -> dict[str, Any]:
    """What the model has heard: spectra and recording conditions, empty without LFP."""
    from pipeline.analyses.domain import DomainParams, learn_domain

    heard = [w for w in fitted_on if w.lfp is not None and w.valid.any()]
    if not heard:
        return {}
    spectra = [spectra_of(windowset) for windowset in heard]
    conditions = [condition_of(windowset) for windowset in heard]
    try:
        found = learn_domain(spectra, conditions, DomainParams()).to_json()
    except ValueError as error:
        return {"reason": str(error)}
    return {**found, "novelty": _novelty(heard, spectra, classes)} if classes else found


def _novelty(heard: list[WindowSet], spectra: list, classes: tuple[str, ...]) -> dict[str, Any]:
    """What each region sounds like, to tell a new one; the reason where that cannot be learned."""
    from pipeline.analyses.novelty import LabelledSpectra, learn_novelty

    recordings = [
        LabelledSpectra(f"{one.source}/{one.subject}", found, one.channels)
        for one, found in zip(heard, spectra, strict=True)
    ]
    try:
        return learn_novelty(recordings, classes).to_json()
    except ValueError as error:
        return {"reason": str(error)}


def spectra_of(windowset: WindowSet):
    """Power spectra of a window set."""
    from pipeline.analyses.spectra import SpectraParams, power_spectra

    return power_spectra(windowset.lfp, windowset.rate, windowset.valid, SpectraParams())


def condition_of(windowset: WindowSet):
    """How a window set was recorded and filtered."""
    from pipeline.analyses.domain import Recording

    from ._registered import probe_kinds

    task = (windows.WindowsTask & {"windows": windowset.windows}).fetch1()
    about = (session.Session * session.Subject.proj("species") & task).fetch1()
    chain = windows.LfpParamSet.get(task)
    band = None
    if chain.highpass_hz is not None and chain.lowpass_hz is not None:
        band = (chain.highpass_hz, chain.lowpass_hz)
    series = (windows.WindowsLfp & {"windows": windowset.windows}).to_dicts()
    return Recording(
        rate=windowset.rate,
        band=band,
        reference=chain.reference,
        probe=", ".join(probe_kinds(series)) or None,
        species=about["species"],
    )
