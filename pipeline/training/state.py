"""The state of an unfinished training on disk: safetensors and JSON."""

import json
import logging
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ..models import FoundationModel
from .checkpoint import sha256_of, weights_of, write_json, write_tensors
from .parameters import EpochRecord, FitParams

log = logging.getLogger(__name__)
STATE, PREVIOUS = "state.json", "previous.json"
HIGHER_IS_BETTER = frozenset({"accuracy", "balanced_accuracy"})


@dataclass(frozen=True)
class FitState:
    """Curve so far, weights and optimiser after the last epoch, weights of the best one."""

    epochs: tuple[EpochRecord, ...] = ()
    last: dict[str, Tensor] = field(default_factory=dict)
    optimizer: dict[str, Tensor] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)

    @property
    def best_epoch(self) -> int:
        """The epoch to keep; 0 before the first."""
        return max((e.epoch for e in self.epochs if e.best), default=0)

    def improves(self, validation: dict[str, float], params: FitParams) -> bool:
        """Whether these validation metrics beat every epoch so far (always without any)."""
        if params.select == "last" or not validation:
            return True
        sign = 1 if params.select in HIGHER_IS_BETTER else -1
        past = [sign * e.validation[params.select] for e in self.epochs]
        return sign * validation[params.select] > max(past, default=-float("inf"))

    def exhausted(self, params: FitParams) -> bool:
        """Whether patience has run out."""
        return params.patience is not None and len(self.epochs) - self.best_epoch >= params.patience

    def after(
        self, record: EpochRecord, model: FoundationModel, optimizer: torch.optim.Optimizer
    ) -> "FitState":
        """The state one epoch later."""
        weights = weights_of(model)
        return replace(
            self,
            epochs=(*self.epochs, record),
            last=weights,
            optimizer=optimizer_tensors(optimizer),
            best=weights if record.best else self.best,
        )

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Put the last epoch's weights and moments back; nothing before the first epoch."""
        if self.epochs:
            model.load_state_dict(self.last)
            restore_optimizer(optimizer, self.optimizer)

    def save(self, folder: Path, fingerprint: str) -> None:
        """Write the state and keep the one before; a kill at any moment leaves one readable."""
        folder.mkdir(parents=True, exist_ok=True)
        number = len(self.epochs)
        last, best = f"last-{number}.safetensors", f"best-{self.best_epoch}.safetensors"
        moments = {f"optimizer/{k}": v for k, v in self.optimizer.items()}
        write_tensors(folder / last, {f"model/{k}": v for k, v in self.last.items()} | moments)
        if not (self.epochs[-1].best is False and (folder / best).exists()):
            write_tensors(folder / best, self.best)
        written = {
            "fingerprint": fingerprint,
            "epochs": [e.to_json() for e in self.epochs],
            "files": {name: sha256_of(folder / name) for name in (last, best)},
        }
        kept = {last, best}
        if number == 1:  # whatever lies here is of a training that was given up
            (folder / PREVIOUS).unlink(missing_ok=True)
        elif (folder / STATE).exists():
            kept |= set(_keep_previous(folder))
        write_json(folder / STATE, written)
        for path in folder.glob("*.safetensors"):
            if path.name not in kept:
                path.unlink()

    @classmethod
    def load(cls, folder: Path, fingerprint: str) -> "FitState | None":
        """The state an interrupted run left, or the one before if it is damaged; None without any.

        Raises
        ------
        ValueError
            If the state belongs to another run.
        """
        for path in (folder / STATE, folder / PREVIOUS):
            try:
                return cls._read(path, fingerprint)
            except FileNotFoundError as error:
                if path.exists():
                    log.warning("%s lacks %s; going back", path, error.filename)
            except (_Damaged, SafetensorError, UnicodeDecodeError, json.JSONDecodeError) as error:
                log.warning("%s is damaged (%s); going back", path, error)
        return None

    @classmethod
    def _read(cls, path: Path, fingerprint: str) -> "FitState":
        folder, read = path.parent, json.loads(path.read_text())
        if read["fingerprint"] != fingerprint:
            raise ValueError(
                f"{folder} holds the state of another training (other data, parameters or seed); "
                "give another folder or resume=False to start over"
            )
        last, best = (_load(folder, name, digest) for name, digest in _ordered(read["files"]))
        return cls(
            epochs=tuple(EpochRecord.from_json(e) for e in read["epochs"]),
            last=_under(last, "model/"),
            optimizer=_under(last, "optimizer/"),
            best=best,
        )


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's moments and step counts by parameter number; groups follow from params."""
    states = optimizer.state_dict()["state"]
    return {
        f"{number}/{name}": torch.as_tensor(value).detach().cpu().contiguous().clone()
        for number, state in states.items()
        for name, value in state.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """The inverse of ``optimizer_tensors``."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split("/", 1)
        state.setdefault(int(number), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _ordered(files: dict[str, str]) -> list[tuple[str, str]]:
    return sorted(files.items(), key=lambda item: not item[0].startswith("last"))


class _Damaged(Exception):
    """A file is not what was written."""


def _load(folder: Path, name: str, digest: str) -> dict[str, Tensor]:
    if sha256_of(folder / name) != digest:
        raise _Damaged(f"{name} has another sha256")
    return load_file(folder / name)


def _keep_previous(folder: Path) -> list[str]:
    """Copy the state that is about to be replaced; the files it names, none if it is damaged."""
    try:
        read = json.loads((folder / STATE).read_text())
    except (UnicodeDecodeError, json.JSONDecodeError):
        read = json.loads((folder / PREVIOUS).read_text())
    write_json(folder / PREVIOUS, read)
    return list(read["files"])


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
