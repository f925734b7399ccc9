"""Control for a class that few channels carry: is it the region that is read, or the wire?"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from jaxtyping import Float

from .scores import ScoreRow, as_labels


@dataclass(frozen=True)
class SwapControl:
    """A score beside what it becomes when a class is carried by channels of another.

    Attributes
    ----------
    observed
        Score of the labels as they are; None where undefined.
    values
        Score of each relabelling.
    chosen
        Channels that carried the name in each.
    possible
        Relabellings there are; ``values`` may be a random share of them.
    """

    observed: float | None
    values: Float[np.ndarray, " draw"]
    chosen: list[tuple[str, ...]]
    possible: int
    carrier: str
    pool: str

    @property
    def at_least(self) -> float | None:
        """Share of relabellings that score as high as the real labels; None if undefined."""
        if self.observed is None or not len(self.values):
            return None
        return float((self.values >= self.observed).mean())

    def rows(self, metric: str = "balanced_accuracy") -> list[ScoreRow]:
        """Median and 95 % range of the relabellings, and the share that reach the real score."""
        n = len(self.values)
        detail = f"any {self.pool} called {self.carrier}"
        names = (f"{metric}_swapped", "swapped_at_least")
        if not n:
            reason = f"no set of {self.pool} channels can stand in for {self.carrier}"
            return [
                ScoreRow(m, "control", None, None, 0, reason=reason, detail=detail) for m in names
            ]
        low, middle, high = (float(q) for q in np.percentile(self.values, (2.5, 50, 97.5)))
        reason = f"range of {n} of {self.possible} relabellings"
        share = self.at_least
        none = reason if share is not None else "the real labels have no score"
        return [
            ScoreRow(names[0], "control", middle, None, n, low, high, reason, detail),
            ScoreRow(names[1], "control", share, None, n, reason=none, detail=detail),
        ]


def swap_control(
    labels: Iterable[object],
    channels: Iterable[object],
    score: Callable[[np.ndarray], float | None],
    *,
    carrier: str,
    pool: str,
    within: Iterable[object] | None = None,
    size: int | None = None,
    max_draws: int = 200,
    seed: int = 0,
) -> SwapControl:
    """Call as many channels of ``pool`` by the name of ``carrier`` as carry it, and score again.

    The real carriers are left out (None), so that nothing but which wire it is can be read. If
    the scores match the real one, wire and region cannot be told apart.

    Parameters
    ----------
    labels, channels
        Region and channel of each sample.
    score
        From labels per sample (None is left out) to a score; None where undefined.
    within
        Group of each sample (tetrode, shank): only sets inside one group are taken.
    size
        Channels that carry the name in each relabelling; as many as really do by default. Fewer
        are fair where the real ones are copies of one signal.
    max_draws
        More possible sets are drawn from at random, without replacement.

    Raises
    ------
    ValueError
        If no channel carries one of the two names, or a channel carries several.
    """
    truth, names = as_labels(labels), np.array([str(c) for c in channels], dtype=object)
    places = names if within is None else np.array([str(w) for w in within], dtype=object)
    region_of = _one_each(names, truth, "label")
    place_of = _one_each(names, places, "group") if within is not None else {}
    carriers = [c for c, r in region_of.items() if r == carrier]
    others = [c for c, r in region_of.items() if r == pool]
    if not carriers or not others:
        have = sorted({str(r) for r in region_of.values()})
        raise ValueError(
            f"no channel labelled {carrier if not carriers else pool!r}; there are {have}"
        )
    size = len(carriers) if size is None else size
    blocks: dict[str, list[str]] = {}
    for channel in others:
        blocks.setdefault(place_of.get(channel, ""), []).append(channel)
    possible = sum(comb(len(block), size) for block in blocks.values())
    chosen = _draw_sets(list(blocks.values()), size, possible, max_draws, seed)
    scores = [score(_relabelled(truth, names, carrier, set(some))) for some in chosen]
    kept = [(v, some) for v, some in zip(scores, chosen, strict=True) if v is not None]
    values = np.array([v for v, _ in kept], dtype=float)
    return SwapControl(score(truth), values, [some for _, some in kept], possible, carrier, pool)


def _one_each(channels: np.ndarray, values: np.ndarray, what: str) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for channel, value in zip(channels, values, strict=True):
        if found.setdefault(channel, value) != value:
            raise ValueError(f"channel {channel} has {what}s {found[channel]!r} and {value!r}")
    return found


def _relabelled(
    truth: np.ndarray, channels: np.ndarray, carrier: str, some: set[str]
) -> np.ndarray:
    swapped = truth.copy()
    swapped[truth == carrier] = None
    swapped[np.array([c in some for c in channels], dtype=bool)] = carrier
    return swapped


def _draw_sets(
    blocks: list[list[str]], size: int, possible: int, max_draws: int, seed: int
) -> list[tuple[str, ...]]:
    if possible <= max_draws:
        return list(_all_sets(blocks, size))
    rng = np.random.default_rng(seed)
    weight = np.array([comb(len(block), size) for block in blocks], dtype=float) / possible
    seen: dict[tuple[str, ...], None] = {}
    while len(seen) < max_draws:
        block = blocks[rng.choice(len(blocks), p=weight)]
        seen[tuple(block[i] for i in np.sort(rng.choice(len(block), size, replace=False)))] = None
    return list(seen)


def _all_sets(blocks: list[list[str]], size: int) -> Iterator[tuple[str, ...]]:
    for block in blocks:
        yield from combinations(block, size)
