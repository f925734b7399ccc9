"""What a study report is made of: plain values that tables and notebooks fill in."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

SCORE_COLUMNS = (
    "study", "model", "split", "fold", "seed", "level", "scheme", "metric", "value", "chance",
    "n", "low", "high", "published", "reason",
)  # fmt: skip


METRICS = {
    "co_bps": "bits per spike",
    "co_bps_unit_mean": "bits per spike, mean of units",
    "co_bps_train_null": "bits per spike over training rates",
    "co_bps_train_null_unit_mean": "bits per spike over training rates, mean of units",
    "poisson_d2": "Poisson D²",
    "ece": "expected calibration error",
    "macro_f1": "macro F1",
}
"""How a metric is called where people read; others lose their underscores."""


def metric_name(metric: str) -> str:
    """A metric, and maybe the class behind it, in words."""
    first, _, rest = str(metric).partition(" ")
    name = METRICS.get(first, first.replace("_", " "))
    return f"{name} {rest}" if rest else name


@dataclass(frozen=True)
class Headline:
    """The one number a study is about.

    ``value`` is None where it is undefined; ``reason`` then says why. ``interval`` names how
    ``low`` and ``high`` were made.
    """

    metric: str
    level: str
    value: float | None
    chance: float | None = None
    low: float | None = None
    high: float | None = None
    n_subjects: int = 0
    n_channels: int = 0
    model: str = ""
    interval: str = "95 % interval, resampling subjects"
    counted: str = "channels"
    reason: str | None = None


@dataclass(frozen=True)
class InsertionReport:
    """One probe of one session.

    Attributes
    ----------
    freqs
        Frequencies of ``power`` (Hz).
    power
        Spectral density (µV²/Hz), NaN where a channel has none.
    channels
        One row per channel in the order of ``power``: ``depth_um`` (from the tip; NaN allowed),
        ``shank``, ``region_pred`` ("unknown" or None without a prediction), ``confidence``,
        ``region_file`` (label in the file), ``evidence``; optional ``bad``,
        ``channel``, ``reason``.
    phase, coherence
        Phase (rad) and coherence against the reference channel at the theta peak.
    """

    session: str
    probe: str
    subject: str
    freqs: Float[np.ndarray, " freq"]
    power: Float[np.ndarray, "channel freq"]
    channels: pd.DataFrame
    model: str = ""
    notes: Sequence[str] = ()
    phase: Float[np.ndarray, " channel"] | None = None
    coherence: Float[np.ndarray, " channel"] | None = None
    theta_hz: float | None = None


@dataclass(frozen=True)
class Confusion:
    """Counts of true (row) against predicted (column) class of one model."""

    model: str
    level: str
    classes: Sequence[str]
    predicted: Sequence[str]
    counts: Int[np.ndarray, "true predicted"]


@dataclass(frozen=True)
class EmbeddingMap:
    """Embeddings of one model on their first two principal components."""

    model: str
    xy: Float[np.ndarray, "row 2"]
    region: Sequence[str | None]
    session: Sequence[str]
    explained: tuple[float, float] = (float("nan"), float("nan"))


@dataclass(frozen=True)
class Swap:
    """A score beside what it becomes when other channels carry a region's name.

    Attributes
    ----------
    what
        In words: "any 2 SUB called RSC, the real RSC left out".
    where
        Which channels may stand in: "anywhere", "within one probe or shank".
    observed, median, low, high, highest
        Score of the real names; of ``n`` relabellings the median, 95 % range and highest.
    share
        Of the relabellings, those that reach the real score.
    note
        How many of how many there are, and whether the comparison is fair.
    """

    what: str
    where: str
    model: str
    level: str
    observed: float | None
    median: float
    low: float
    high: float
    highest: float
    share: float | None
    n: int
    note: str = ""


@dataclass(frozen=True)
class SubjectValues:
    """The score of every subject by every model.

    Attributes
    ----------
    rows
        ``model, seed, subject, value, chance``.
    models
        In the order to show; the others are compared with the first.
    """

    metric: str
    level: str
    rows: pd.DataFrame
    models: Sequence[str]


@dataclass(frozen=True)
class ModelCard:
    """What must be known of a model before its answers are believed.

    Attributes
    ----------
    fold
        What the first training held out.
    facts
        Short ones: family, parameters, licence of the first weights.
    roles
        ``role, subjects, sessions, windows`` of the first training.
    scores, controls
        ``which, level, metric, value, low, high, chance, n, n_groups``; controls have ``control``.
    trainings
        ``fold, seed, training, weights, best, seconds``: every one.
    """

    name: str
    fold: str
    facts: Sequence[tuple[str, str]]
    roles: pd.DataFrame
    scores: pd.DataFrame
    controls: pd.DataFrame
    trainings: pd.DataFrame
    warnings: Sequence[str] = ()


@dataclass(frozen=True)
class ReportData:
    """Everything the report says; an empty table leaves its section out.

    Attributes
    ----------
    scores
        Columns of ``SCORE_COLUMNS``; missing ones are drawn empty.
    silhouettes
        ``model, grouping, value, n, low, high, reason``; grouping region, session or insertion.
    probes
        ``model, target, scheme, role, metric, value, chance, n, low, high, reason``.
    controls
        ``model, control, metric, value, chance, observed, n, low, high, reason``.
    curves
        ``model, stage, epoch, train_loss, validation``; optional ``fold``, ``seed``.
    regions
        ``region, channels, independent, largest_r, subjects``: what each region rests on.
    doubts
        What the data themselves say against the answer; they lead "what not to conclude".
    swaps
        Controls in which other channels carry a region's name.
    subjects
        The score of every subject.
    abnormality
        Scores of the control of that name, where animals are diseased or not.
    trust
        Scores of the control "calibration", and of answers at a stated risk.
    cards
        One per model.
    provenance
        ``(what, restriction)``: the Python text that fetches the number.
    paper
        Published values beside ours, as `report_paper.measure_tables` takes them, side "ours".
    generated
        What made the report: ``version``, ``date``, ``database``, ...
    colours
        Region -> "#rrggbb" (Allen); others get a colour of ours.
    """

    study: str
    question: str
    answer: str
    headline: Headline
    not_to_conclude: Sequence[str]
    synthetic: bool
    watermark: str = ""
    source: str = ""
    data: str = ""
    insertions: Sequence[InsertionReport] = ()
    scores: pd.DataFrame = field(default_factory=pd.DataFrame)
    paper: pd.DataFrame = field(default_factory=pd.DataFrame)
    confusions: Sequence[Confusion] = ()
    silhouettes: pd.DataFrame = field(default_factory=pd.DataFrame)
    probes: pd.DataFrame = field(default_factory=pd.DataFrame)
    controls: pd.DataFrame = field(default_factory=pd.DataFrame)
    curves: pd.DataFrame = field(default_factory=pd.DataFrame)
    regions: pd.DataFrame = field(default_factory=pd.DataFrame)
    doubts: Sequence[str] = ()
    swaps: Sequence[Swap] = ()
    embeddings: Sequence[EmbeddingMap] = ()
    subjects: SubjectValues | None = None
    abnormality: pd.DataFrame = field(default_factory=pd.DataFrame)
    trust: pd.DataFrame = field(default_factory=pd.DataFrame)
    cards: Sequence[ModelCard] = ()
    notes: Sequence[str] = ()
    provenance: Sequence[tuple[str, str]] = ()
    generated: dict[str, str] = field(default_factory=dict)
    colours: dict[str, str] = field(default_factory=dict)
