"""Which region follows which along a shank, and how soon: learned from labelled probes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int64
from pydantic import Field

from ..params import Params
from .depth_chain import Moves
from .regions import UNKNOWN


class TransitionParams(Params):
    """How a prior over depth is learned."""

    unknown: bool = Field(
        True, description="a state for every region that is not one of the classes"
    )
    thickness_um: float = Field(400.0, gt=0, description="of a region never seen (µm)")
    pseudo_count: float = Field(
        0.5, gt=0, description="borders of each region taken as seen, shared by all neighbours"
    )
    max_gap_um: float = Field(
        300.0, gt=0, description="labels further apart than this say nothing of each other (µm)"
    )
    iterations: int = Field(200, ge=1, description="most steps of expectation maximisation")
    tolerance: float = Field(1e-4, gt=0, description="largest relative change of a rate at the end")


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
    depth_um: Float[np.ndarray, " channel"]
    shank: Int64[np.ndarray, " channel"]

    def __post_init__(self) -> None:
        sizes = len(self.labels), len(self.depth_um), len(self.shank)
        if len(set(sizes)) > 1:
            raise ValueError(
                "a labelled probe needs one label, depth and shank per channel, "
                "got {}, {} and {}".format(*sizes)
            )


class DepthPrior(Params):
    """A Markov chain along depth, from the tip up, in continuous depth so that spacing may vary.

    ``rates`` are borders per µm from the row's state into the column's; the diagonal makes rows
    sum to zero. ``share`` is how often each state is met, ``start`` how often at the lowest site.
    """

    states: tuple[str, ...] = Field(description="classes, then 'unknown' where it is a state")
    rates: tuple[tuple[float, ...], ...]
    start: tuple[float, ...]
    share: tuple[float, ...]
    n_probes: int
    n_labels: int

    @property
    def classes(self) -> tuple[str, ...]:
        """What the model can say."""
        return tuple(name for name in self.states if name != UNKNOWN)

    def moves(self, gaps_um: Float[np.ndarray, "*chain move"]) -> Moves:
        """Probability of each state after each other over each gap (µm)."""
        from scipy.linalg import expm  # slow to import

        rates = np.array(self.rates)
        gaps, kind = np.unique(whole_um(gaps_um), return_inverse=True)
        kinds = np.array([np.maximum(expm(rates * gap), 0) for gap in gaps])
        return Moves(kinds.reshape(-1, *rates.shape), kind.reshape(gaps_um.shape).astype(np.int64))


def learn_transitions(
    probes: Iterable[LabelledProbe],
    classes: Sequence[str],
    params: TransitionParams | None = None,
) -> DepthPrior:
    """The likeliest rates between regions, given labels at discrete depths.

    Between two labels the chain is free to have been elsewhere: an unlabelled gap is bridged, not
    counted as a border. Labels that are not in `classes` share the state "unknown", or count as
    missing without ``params.unknown``.

    Parameters
    ----------
    probes
        Of training subjects only.

    Raises
    ------
    ValueError
        If no two labelled channels of a shank lie within ``params.max_gap_um``.

    Source: Hobolth and Jensen 2011, J. Appl. Probab. 48:911 (expectation maximisation for a
    discretely observed chain).
    """
    params = params or TransitionParams()
    states = (*classes, UNKNOWN) if params.unknown else tuple(classes)
    chains = [(i, *chain) for i, probe in enumerate(probes) for chain in _chains(probe, states)]
    pairs: Counter[tuple[int, int, int]] = Counter()
    for _, depth, state in chains:
        gaps = whole_um(np.diff(depth))
        found = zip(gaps.tolist(), state[:-1].tolist(), state[1:].tolist(), strict=True)
        pairs.update(pair for pair in found if pair[0] <= params.max_gap_um)
    if not pairs:
        raise ValueError(
            f"a prior over depth needs two labelled channels within {params.max_gap_um:g} µm of "
            f"each other on one shank, there are none in {len(chains)} shanks"
        )
    size = len(states)
    seen = np.bincount(np.concatenate([state for _, _, state in chains]), minlength=size)
    share = (seen + params.pseudo_count) / (seen.sum() + params.pseudo_count * size)
    first = np.bincount([int(state[0]) for *_, state in chains], minlength=size)
    start = (first + 2 * share) / (first.sum() + 2)
    rates = _fit_rates(_count_pairs(pairs, size), size, params)
    return DepthPrior(
        states=states,
        rates=tuple(map(tuple, rates.tolist())),
        start=tuple(start.tolist()),
        share=tuple(share.tolist()),
        n_probes=len({number for number, _, _ in chains}),
        n_labels=int(seen.sum()),
    )


def whole_um(gaps_um: Float[np.ndarray, "*chain move"]) -> Int64[np.ndarray, "*chain move"]:
    """Gaps in whole µm, at least 1: two sites of one row may lie in two regions."""
    return np.maximum(np.rint(gaps_um), 1).astype(np.int64)


def shank_runs(
    depth_um: Float[np.ndarray, " channel"], shank: Int64[np.ndarray, " channel"]
) -> Iterator[Int64[np.ndarray, " _"]]:
    """Channels of each shank whose depth is known, from the tip up."""
    for name in np.unique(shank):
        rows = np.flatnonzero((shank == name) & np.isfinite(depth_um))
        if len(rows):
            yield rows[np.argsort(depth_um[rows], kind="stable")]


def state_numbers(labels: Sequence[str | None], states: Sequence[str]) -> Int64[np.ndarray, " _"]:
    """Place of each label in `states`; -1 without one, other regions are "unknown" or -1."""
    number = {name: i for i, name in enumerate(states)}
    other = number.get(UNKNOWN, -1)
    found = [-1 if name is None else number.get(name, other) for name in labels]
    return np.array(found, dtype=np.int64)


def _chains(probe: LabelledProbe, states: Sequence[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Depth (µm) and state of the labelled channels of each shank."""
    state = state_numbers(probe.labels, states)
    for rows in shank_runs(probe.depth_um, probe.shank):
        rows = rows[state[rows] >= 0]
        if len(rows):
            yield probe.depth_um[rows], state[rows]


def _count_pairs(pairs: Counter, size: int) -> dict[int, np.ndarray]:
    counts: dict[int, np.ndarray] = {}
    for (gap, lower, upper), n in pairs.items():
        counts.setdefault(gap, np.zeros((size, size)))[lower, upper] += n
    return counts


def _fit_rates(
    counts: dict[int, np.ndarray], size: int, params: TransitionParams
) -> Float64[np.ndarray, "state state"]:
    """Rates by expectation maximisation, from pairs of states counted at each gap (µm)."""
    around = params.pseudo_count * (1 - np.eye(size)) / max(size - 1, 1)
    along = params.pseudo_count * params.thickness_um
    borders = sum(counts.values())
    length = sum(gap * n.sum(axis=1) for gap, n in counts.items())
    rates = _close((borders + around) / (length + along)[:, None])
    for _ in range(params.iterations):
        borders, length = _expect(rates, counts)
        found = _close((borders + around) / (length + along)[:, None])
        moved = np.abs(found - rates).max() / max(np.abs(found).max(), 1e-300)
        rates = found
        if moved < params.tolerance:
            break
    return rates


def _expect(
    rates: np.ndarray, counts: dict[int, np.ndarray]
) -> tuple[Float64[np.ndarray, "state state"], Float64[np.ndarray, " state"]]:
    """Borders between each two states and µm spent in each, expected from the pairs."""
    from scipy.linalg import expm  # slow to import

    size = len(rates)
    block = np.zeros((2 * size, 2 * size))
    block[:size, :size] = block[size:, size:] = rates.T
    total = np.zeros_like(rates)
    for gap, n in counts.items():
        block[:size, size:] = n / np.maximum(expm(rates * gap), 1e-300)
        total += expm(block * gap)[:size, size:]  # the integral over where a border may lie
    return rates * total * (1 - np.eye(size)), total.diagonal().copy()


def _close(rates: np.ndarray) -> np.ndarray:
    """Off-diagonal rates with the diagonal that makes rows sum to zero."""
    off = rates * (1 - np.eye(len(rates)))
    return off - np.diag(off.sum(axis=1))
