"""Which region follows which along a shank, and how thick it is: learned from labelled probes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int64
from pydantic import Field

from ..params import Params
from .depth_chain import Moves
from .depth_rates import expand, fit_rates, stage_moves
from .postprocess import UNKNOWN, TransitionParams


@dataclass(frozen=True)
class LabelledProbe:
    """The labels of one probe of a training subject.

    Attributes
    ----------
    labels
        Region of each channel; None where nothing is known (no label, a bad channel).
    depth_um
        Along the shank (µm), growing from the tip; NaN where unknown.
    shank
        Shank of each channel.
    """

    labels: Sequence[str | None]
    depth_um: Float[np.ndarray, " _"]
    shank: Int64[np.ndarray, " _"]

    def __post_init__(self) -> None:
        sizes = len(self.labels), len(self.depth_um), len(self.shank)
        if len(set(sizes)) > 1:
            raise ValueError(
                "a labelled probe needs one label, depth and shank per channel, "
                "got {}, {} and {}".format(*sizes)
            )


class DepthPrior(Params):
    """A chain of regions along depth, from the tip up, in continuous depth: spacing may vary.

    ``rates`` are borders per µm from the row's region into the column's; the diagonal makes rows
    sum to zero, and its negative inverse is a region's mean thickness. With ``stages`` a region is
    left only after so many equal stages (thickness is Erlang distributed). ``share`` is how often
    each region is met, ``start`` how often at the lowest site.
    """

    classes: tuple[str, ...] = Field(description="what the model can say")
    states: tuple[str, ...] = Field(description="classes, then other regions if they are states")
    stages: int = Field(ge=1)
    rates: tuple[tuple[float, ...], ...]
    start: tuple[float, ...]
    share: tuple[float, ...]
    n_probes: int
    n_labels: int

    @property
    def answers(self) -> tuple[str, ...]:
        """Classes, and "unknown" where other regions are states."""
        return self.classes + (UNKNOWN,) * (len(self.states) > len(self.classes))

    @property
    def stage_start(self) -> Float64[np.ndarray, " stage"]:
        """Probability of each stage of each state at the lowest site: anywhere in its region."""
        return np.repeat(np.array(self.start), self.stages) / self.stages

    def moves(self, gaps_um: Float[np.ndarray, "*chain move"]) -> Moves:
        """Probability of each stage after each other over each gap (µm)."""
        return stage_moves(expand(np.array(self.rates), self.stages), gaps_um)


def learn_transitions(
    probes: Iterable[LabelledProbe],
    classes: Sequence[str],
    params: TransitionParams | None = None,
) -> DepthPrior:
    """The likeliest rates between regions, given labels at discrete depths.

    Between two labels the chain is free to have been elsewhere: an unlabelled gap is bridged, not
    counted as a border. A region cut off by the end of the probe counts as at least so thick.

    Parameters
    ----------
    probes
        Of training subjects only.

    Raises
    ------
    ValueError
        If no two labelled channels of a shank lie within ``params.max_gap_um``.

    Source: Hobolth and Jensen 2011, J. Appl. Probab. 48:911 (expectation maximisation for a
    discretely observed chain); the stages are ours.
    """
    params, probes = params or TransitionParams(), list(probes)
    states = _name_states(probes, classes, params)
    chains = [chain for probe in probes for chain in _chains(probe, states, params.max_gap_um)]
    if not any(len(state) > 1 for _, state in chains):
        raise ValueError(
            f"a prior over depth needs two labelled channels within {params.max_gap_um:g} µm of "
            f"each other on one shank, there are none in {len(probes)} probes"
        )
    share, start, n_labels = _count_states(probes, states, params.pseudo_count)
    rates = fit_rates(
        chains, len(states), stages=params.stages, pseudo_count=params.pseudo_count,
        thickness_um=params.thickness_um, iterations=params.iterations, tolerance=params.tolerance,
    )  # fmt: skip
    return DepthPrior(
        classes=tuple(classes), states=states, stages=params.stages, start=start, share=share,
        rates=tuple(map(tuple, rates.tolist())), n_probes=len(probes), n_labels=n_labels,
    )  # fmt: skip


def _count_states(
    probes: Sequence[LabelledProbe], states: Sequence[str], pseudo_count: float
) -> tuple[tuple[float, ...], tuple[float, ...], int]:
    """How often each state is met, how often at the lowest labelled site, and labels in all."""
    shanks = [state for probe in probes for _, state in _chains(probe, states, np.inf)]
    seen = np.bincount(np.concatenate(shanks), minlength=len(states))
    share = (seen + pseudo_count) / (seen.sum() + pseudo_count * len(states))
    first = np.bincount(np.array([state[0] for state in shanks]), minlength=len(states))
    start = (first + 2 * share) / (first.sum() + 2)
    return tuple(share.tolist()), tuple(start.tolist()), int(seen.sum())


def state_numbers(labels: Sequence[str | None], states: Sequence[str]) -> Int64[np.ndarray, " _"]:
    """Place of each label in `states`; -1 without one, other regions are "unknown" or -1."""
    number = {name: i for i, name in enumerate(states)}
    other = number.get(UNKNOWN, -1)
    found = [-1 if name is None else number.get(name, other) for name in labels]
    return np.array(found, dtype=np.int64)


def shank_runs(
    depth_um: Float[np.ndarray, " channel"], shank: Int64[np.ndarray, " channel"]
) -> Iterator[Int64[np.ndarray, " _"]]:
    """Channels of each shank whose depth is known, from the tip up."""
    for name in np.unique(shank):
        rows = np.flatnonzero((shank == name) & np.isfinite(depth_um))
        if len(rows):
            yield rows[np.argsort(depth_um[rows], kind="stable")]


def _name_states(
    probes: Sequence[LabelledProbe], classes: Sequence[str], params: TransitionParams
) -> tuple[str, ...]:
    if not params.unknown:
        return tuple(classes)
    met = Counter(name for probe in probes for name in set(probe.labels) - {None, UNKNOWN})
    others = [(-n, name) for name, n in met.items() if name not in classes]
    often = [name for n, name in sorted(others) if -n >= params.least_probes]
    return (*classes, *sorted(often[: params.most_others]), UNKNOWN)


def _chains(
    probe: LabelledProbe, states: Sequence[str], max_gap_um: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Depth (µm) and state of labelled channels without a wide gap, on one shank each."""
    state = state_numbers(probe.labels, states)
    for rows in shank_runs(probe.depth_um, probe.shank):
        rows = rows[state[rows] >= 0]
        breaks = np.flatnonzero(np.diff(probe.depth_um[rows]) > max_gap_um) + 1
        for part in np.split(rows, breaks):
            if len(part):
                yield probe.depth_um[part], state[part]
