"""How far a study's trainings are, over all of them together."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from schemas import training


@dataclass(frozen=True)
class Step:
    """One more epoch is done.

    Attributes
    ----------
    record
        The epoch, as ``fit`` tells it.
    done, total
        Epochs done and to do, over every training that was left to make.
    seconds_left
        Estimate for the epochs that remain (s): they take as long as those before them.
    """

    record: Any
    done: int
    total: int
    seconds_left: float


def epochs_left(names: list[str]) -> int:
    """Epochs of those of the asked trainings that are not made yet."""
    asked = [{"training": name} for name in names]
    tasks = (training.TrainingTask & asked) - training.Training.proj()
    return sum(training.FitParamSet.get(task).epochs for task in tasks.to_dicts())


def count_epochs(total: int, tell: Callable[[Step], None]) -> Callable[[Any], None]:
    """What ``fit`` calls after each epoch, so that `tell` hears how far all trainings are."""
    took: list[float] = []

    def on_epoch(record: Any) -> None:
        took.append(record.seconds)
        left = max(total - len(took), 0)
        mean = sum(took) / len(took)
        tell(Step(record, len(took), max(total, len(took)), left * mean))

    return on_epoch
