"""Who trains, who is tested: folds without a shared subject, or named for what they are."""

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from pydantic import Field, model_validator

from ..params import Params

ROLES = ("pretrain", "train", "validation", "calibrate", "support", "test")
RESERVED = 1_000_003
"""Second word of the seed that draws who is set aside; folds have their number there."""

COLUMNS = ("windows", "session", "subject", "lab", "n_windows", "t_start", "t_stop")


class SplitParams(Params):
    """How recordings are divided into folds and roles."""

    later: ClassVar[frozenset[str]] = frozenset({"pretrain_subjects"})
    by: Literal["subject", "session", "insertion", "lab", "species", "time"] = "subject"
    folds: Literal["leave-one-out", "k-fold", "fixed"] = "leave-one-out"
    k: int = Field(5, ge=2, description="folds of k-fold; blocks per recording when by='time'")
    test: tuple[str, ...] = Field((), description="groups held out together, for folds='fixed'")
    train: tuple[str, ...] = Field((), description="groups allowed to train; empty: all others")
    validation: int = Field(1, ge=0, description="training groups (blocks) set aside to stop on")
    calibrate: int = Field(0, ge=0, description="training groups set aside for calibration")
    validation_share: float = Field(
        0.0, ge=0, lt=1, description="instead: last share of each training recording's time"
    )
    gap_s: float = Field(10.0, ge=0, description="left out between roles cut from one recording")
    pretrain: Literal["none", "train", "all", "disjoint"] = Field(
        "train",
        description="whose signal self-supervision sees: of each fold's training subjects, of all "
        "(transductive), or, once for all folds, of subjects that do nothing else",
    )
    pretrain_subjects: int = Field(0, ge=0, description="so many, for pretrain='disjoint'")
    support_windows: int = Field(
        0, ge=0, description="k-shot: first windows of each test recording"
    )
    support_sessions: int = Field(0, ge=0, description="sessions moved from test to support")
    max_windows: int | None = Field(None, ge=1, description="per recording, for train and support")
    allow_shared_subject: bool = Field(False, description="folds are then named within-subject")
    seed: int = 42

    @model_validator(mode="after")
    def _consistent(self) -> "SplitParams":
        if (self.folds == "fixed") != bool(self.test):
            raise ValueError("folds='fixed' and test=(groups to hold out) go together")
        if self.by == "time" and self.folds == "fixed":
            raise ValueError("by='time' cuts blocks: use folds='leave-one-out' or 'k-fold'")
        if self.by == "time" and (self.support_windows or self.support_sessions):
            raise ValueError("by='time' has no support role: training already saw the recording")
        if self.validation and self.validation_share:
            raise ValueError("validation groups or validation_share, not both: set validation=0")
        if (self.pretrain == "disjoint") != bool(self.pretrain_subjects):
            raise ValueError("pretrain='disjoint' and pretrain_subjects (how many) go together")
        if self.pretrain == "disjoint" and self.by == "time":
            raise ValueError("by='time' tests every subject: no subject is left to pretrain on")
        return self


@dataclass(frozen=True)
class Assignment:
    """A role for one recording's windows, or for those of a stretch of it.

    Attributes
    ----------
    windows
        Digest of the windows.
    start_s, stop_s
        A window belongs if it lies wholly between them (s, session clock); None: no limit.
    max_windows
        Of those that belong, the first so many; None: all.
    """

    windows: str
    role: str
    start_s: float | None = None
    stop_s: float | None = None
    max_windows: int | None = None


@dataclass(frozen=True)
class Fold:
    """One division into roles.

    Attributes
    ----------
    name
        What was held out; says so when train and test share a subject.
    transductive
        Pretraining sees signal of a test subject.
    """

    fold: int
    name: str
    assignments: list[Assignment] = field(default_factory=list)
    transductive: bool = False

    def of(self, *roles: str) -> list[Assignment]:
        """Assignments in any of these roles."""
        return [a for a in self.assignments if a.role in roles]


def select_windows(
    start_s: Float[np.ndarray, " window"], window_s: float, assignment: Assignment
) -> Bool[np.ndarray, " window"]:
    """Which windows of a recording an assignment means."""
    inside = np.ones(len(start_s), bool)
    if assignment.start_s is not None:
        inside &= start_s >= assignment.start_s - 1e-6
    if assignment.stop_s is not None:
        inside &= start_s + window_s <= assignment.stop_s + 1e-6
    if assignment.max_windows is not None:
        inside &= np.cumsum(inside) <= assignment.max_windows
    return inside


def assign_split(members: pd.DataFrame, params: SplitParams) -> list[Fold]:
    """Divide recordings into folds.

    Parameters
    ----------
    members
        One row per windows digest: ``windows, session, subject, lab, n_windows, t_start,
        t_stop`` (s), and ``species`` or ``insertion`` where that is split by. Recordings without a
        window take no role.

    Raises
    ------
    ValueError
        If a fold would be empty on one side, or would share a subject between training and test
        without being asked to.
    """
    _check_members(members, params)
    members = members[members["n_windows"] > 0].sort_values(
        ["lab", "subject", "session", "windows"], ignore_index=True
    )
    if params.by == "time":
        return _time_folds(members, params)
    params = _with_full_names(members, params)
    members, reserved = _reserve(members, params)
    held_out = _held_out(members, params)
    folds = []
    for number, groups in enumerate(held_out):
        rng = np.random.default_rng([params.seed, number])
        fold = _group_fold(members, params, number, groups, rng)
        alone = [Assignment(w, "pretrain") for w in reserved["windows"]]
        folds.append(replace(fold, assignments=alone + fold.assignments))
    return folds


def _reserve(members: pd.DataFrame, params: SplitParams) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Set whole subjects aside that self-supervision alone hears; the rest is split."""
    if params.pretrain != "disjoint":
        return members, members.iloc[:0]
    tested = members[params.by].isin(params.test)
    subjects = sorted(set(members["subject"]) - set(members.loc[tested, "subject"]))
    if len(subjects) <= params.pretrain_subjects:
        raise ValueError(
            f"{params.pretrain_subjects} subjects to pretrain on leave none of {len(subjects)}: "
            "ask for fewer"
        )
    order = np.random.default_rng([params.seed, RESERVED]).permutation(subjects)
    chosen = members["subject"].isin(order[: params.pretrain_subjects])
    return members[~chosen].reset_index(drop=True), members[chosen]


def _check_members(members: pd.DataFrame, params: SplitParams) -> None:
    missing = [c for c in (*COLUMNS, params.by) if c not in members and c != "time"]
    if missing or not (members["n_windows"] > 0).any():
        raise ValueError(
            f"a split needs one row per recording with {COLUMNS}, and windows in some of them; "
            f"of {len(members)} rows none has any, or columns are missing: {missing}"
        )
    if members["windows"].duplicated().any():
        raise ValueError("the same windows twice: drop the duplicates of column 'windows'")


def _with_full_names(members: pd.DataFrame, params: SplitParams) -> SplitParams:
    """Groups may be asked for by the last part of their name where one group alone has it."""
    groups = sorted(members[params.by].unique())
    short = pd.Series(groups, index=[g.rpartition("/")[2] for g in groups])
    short = short[~short.index.duplicated(keep=False)].to_dict()
    unknown = [g for g in params.test + params.train if g not in groups and g not in short]
    if unknown:
        raise ValueError(f"no {params.by} named {sorted(unknown)}; there are {groups}")
    test, train = (tuple(short.get(g, g) for g in side) for side in (params.test, params.train))
    return params.model_copy(update={"test": test, "train": train})


def _held_out(members: pd.DataFrame, params: SplitParams) -> list[tuple[str, ...]]:
    groups = sorted(members[params.by].unique())
    if params.folds == "fixed":
        return [params.test]
    if len(groups) < 2:
        raise ValueError(f"holding out a {params.by} needs two; there is {groups}: use by='time'")
    if params.folds == "leave-one-out":
        return [(g,) for g in groups]
    if params.k > len(groups):
        raise ValueError(f"k={params.k} folds of {len(groups)} {params.by}s: choose a smaller k")
    order = np.random.default_rng(params.seed).permutation(groups)
    return [tuple(sorted(order[i :: params.k].tolist())) for i in range(params.k)]


def _group_fold(
    members: pd.DataFrame,
    params: SplitParams,
    number: int,
    groups: tuple[str, ...],
    rng: np.random.Generator,
) -> Fold:
    test = members[members[params.by].isin(groups)]
    rest = members[~members[params.by].isin(groups)]
    if params.train:
        rest = rest[rest[params.by].isin(params.train)]
    name = f"{params.by} {', '.join(groups)} held out"
    test, support = _draw_support(test, params, rng)
    unit = params.by if params.by in ("session", "insertion") else "subject"
    parts = _draw(rest, unit, {"validation": params.validation, "calibrate": params.calibrate}, rng)
    if parts["train"].empty or test.empty:
        raise ValueError(
            f"{name}: {len(parts['train'])} recordings to train on, {len(test)} to test on; of "
            f"{rest[unit].nunique()} {unit}s left, validation takes {params.validation} and "
            f"calibration {params.calibrate}: ask for fewer, or use validation_share"
        )
    name = _name_shared(name, parts, test, params)
    out = _train_side(parts, params)
    out += [Assignment(w, "support", max_windows=params.max_windows) for w in support["windows"]]
    out += _test_side(test, params)
    pretrain, transductive = _pretrain(members, parts, support, test, params, out)
    return Fold(number, name, pretrain + out, transductive)


def _draw(
    rest: pd.DataFrame, unit: str, counts: dict[str, int], rng: np.random.Generator
) -> dict[str, pd.DataFrame]:
    """Set whole groups aside for each role; the rest trains."""
    order = rng.permutation(sorted(rest[unit].unique())).tolist()
    parts = {}
    for role, n in counts.items():
        parts[role], order = rest[rest[unit].isin(order[:n])], order[n:]
    return {"train": rest[rest[unit].isin(order)], **parts}


def _draw_support(
    test: pd.DataFrame, params: SplitParams, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Move sessions from test to support; what else their subjects have is not tested."""
    chosen = rng.permutation(sorted(test["session"].unique()))[: params.support_sessions]
    support = test[test["session"].isin(chosen)]
    return test[~test["subject"].isin(support["subject"])], support


def _name_shared(
    name: str, parts: dict[str, pd.DataFrame], test: pd.DataFrame, params: SplitParams
) -> str:
    sides = {**parts, "test": test}
    pairs = [(a, b) for i, a in enumerate(sides) for b in list(sides)[i + 1 :]]
    for a, b in pairs:
        shared = sorted(set(sides[a]["subject"]) & set(sides[b]["subject"]))
        if shared and not params.allow_shared_subject:
            raise ValueError(
                f"{name}: subject {', '.join(shared)} is in {a} and in {b}; split by='subject', "
                "or set allow_shared_subject=True and the fold is called within-subject"
            )
        if shared and not name.startswith("within-subject"):
            name = f"within-subject: {name}"
    return name


def _train_side(parts: dict[str, pd.DataFrame], params: SplitParams) -> list[Assignment]:
    out = []
    for role, part in parts.items():
        for row in part.itertuples():
            limit = params.max_windows if role == "train" else None
            if role != "train" or not params.validation_share:
                out.append(Assignment(row.windows, role, max_windows=limit))
                continue
            cut = row.t_stop - params.validation_share * (row.t_stop - row.t_start)
            half = params.gap_s / 2
            out.append(Assignment(row.windows, "train", stop_s=cut - half, max_windows=limit))
            out.append(Assignment(row.windows, "validation", start_s=cut + half))
    return out


def _test_side(test: pd.DataFrame, params: SplitParams) -> list[Assignment]:
    if not params.support_windows:
        return [Assignment(w, "test") for w in test["windows"]]
    out, n = [], params.support_windows
    for row in test.itertuples():
        if row.n_windows <= n:
            raise ValueError(f"{n} support windows leave none of {row.n_windows} to test")
        end = row.t_start + n * (row.t_stop - row.t_start) / row.n_windows
        out.append(Assignment(row.windows, "support", stop_s=end, max_windows=n))
        out.append(Assignment(row.windows, "test", start_s=end + params.gap_s))
    return out


def _pretrain(
    members: pd.DataFrame,
    parts: dict[str, pd.DataFrame],
    support: pd.DataFrame,
    test: pd.DataFrame,
    params: SplitParams,
    assigned: list[Assignment],
) -> tuple[list[Assignment], bool]:
    if params.pretrain in ("none", "disjoint"):  # those set aside are in no fold
        return [], False
    if params.pretrain == "all":
        seen = pd.concat([*parts.values(), support, test])
        out = [Assignment(w, "pretrain") for w in seen["windows"]]
    else:
        sources = [a for a in assigned if a.role == "train"]
        out = [Assignment(a.windows, "pretrain", a.start_s, a.stop_s) for a in sources]
    subject = members.set_index("windows")["subject"]
    shared = {subject[a.windows] for a in out} & set(test["subject"])
    return out, bool(shared)


def _time_folds(members: pd.DataFrame, params: SplitParams) -> list[Fold]:
    """Each block of every recording is tested once; blocks next to it keep their distance."""
    if params.validation + params.calibrate + 2 > params.k:
        raise ValueError(
            f"k={params.k} blocks: one to test, {params.validation} for validation, "
            f"{params.calibrate} for calibration leave none to train on: choose a larger k"
        )
    folds = []
    for number in range(params.k):
        roles = _block_roles(number, params)
        out = [a for row in members.itertuples() for a in _blocks(row, roles, params)]
        seen = ("train",) if params.pretrain == "train" else ROLES
        sources = [a for a in out if a.role in seen and params.pretrain != "none"]
        pretrain = [Assignment(a.windows, "pretrain", a.start_s, a.stop_s) for a in sources]
        name = f"within-subject: time block {number + 1} of {params.k} held out"
        folds.append(Fold(number, name, pretrain + out, bool(pretrain)))
    return folds


def _block_roles(number: int, params: SplitParams) -> list[str]:
    """Role of each block: validation follows the test block, going round."""
    roles = ["train"] * params.k
    roles[number] = "test"
    following = [(number + 1 + i) % params.k for i in range(params.validation + params.calibrate)]
    for i, block in enumerate(following):
        roles[block] = "validation" if i < params.validation else "calibrate"
    return roles


def _blocks(row: tuple, roles: list[str], params: SplitParams) -> list[Assignment]:
    """Neighbouring blocks of one role merge; half the gap is cut on each side of a change."""
    edges = np.linspace(row.t_start, row.t_stop, len(roles) + 1)
    changes = [i for i in range(1, len(roles)) if roles[i] != roles[i - 1]]
    bounds = [0, *changes, len(roles)]
    out = []
    for a, b in zip(bounds[:-1], bounds[1:], strict=True):
        start = float(edges[a]) + (params.gap_s / 2 if a > 0 else 0.0)
        stop = float(edges[b]) - (params.gap_s / 2 if b < len(roles) else 0.0)
        limit = params.max_windows if roles[a] == "train" else None
        if stop <= start:
            raise ValueError(
                f"{row.windows[:8]}: blocks of {edges[1] - edges[0]:g} s vanish in a gap of "
                f"{params.gap_s:g} s: choose a smaller k or gap_s"
            )
        out.append(Assignment(row.windows, roles[a], start, stop, limit))
    return out
