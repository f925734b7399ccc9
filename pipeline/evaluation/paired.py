"""Two models on the same subjects: exact tests over subjects, and what seeds and subjects vary."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

EXACT_UP_TO = 20
"""Subjects up to which every flip of signs is counted; beyond, `DRAWS` of them are drawn."""

DRAWS = 100_000


@dataclass(frozen=True)
class SignFlip:
    """A two-sided paired test over subjects.

    Attributes
    ----------
    mean
        Of the differences.
    p
        Share of the flips of signs whose mean is as far from 0.
    smallest
        The least p that so many subjects can give: they all agree.
    exact
        Whether every flip was counted.
    """

    n: int
    mean: float
    p: float
    smallest: float
    exact: bool


def sign_flip(differences: Iterable[float], *, seed: int = 0) -> SignFlip:
    """Test paired differences, one per subject, against no difference.

    Under the null hypothesis each subject's difference could as well have the other sign.

    Raises
    ------
    ValueError
        If there is no difference, or one is not finite.

    Source: Fisher 1935, The Design of Experiments, section 21.
    """
    values = np.array(list(differences), dtype=float)
    if not len(values) or not np.isfinite(values).all():
        raise ValueError(f"a sign-flip test needs finite differences, got {values.tolist()}")
    n, exact = len(values), len(values) <= EXACT_UP_TO
    least = abs(values.sum()) - 1e-9 * np.abs(values).sum()  # equal sums differ by rounding
    if exact:
        share, smallest = float((np.abs(_every_sum(values)) >= least).mean()), 2.0 ** (1 - n)
    else:
        signs = np.random.default_rng(seed).choice((-1.0, 1.0), (DRAWS, n))
        share = float(((np.abs(signs @ values) >= least).sum() + 1) / (DRAWS + 1))
        smallest = max(2.0 ** (1 - n), 1 / (DRAWS + 1))
    return SignFlip(n, float(values.mean()), share, smallest, exact)


def _every_sum(values: Float[np.ndarray, " subject"]) -> Float[np.ndarray, " flip"]:
    """Sums under every choice of signs but for the first one's: the rest mirrors it."""
    sums = values[:1]
    for value in values[1:]:
        sums = np.concatenate([sums + value, sums - value])
    return sums


@dataclass(frozen=True)
class Spread:
    """What repeated trainings and what subjects contribute, kept apart (standard deviations).

    ``seed_sd`` is None with one seed, ``subject_sd`` with one subject; ``rest_sd`` is what neither
    explains, None where one of them is missing.
    """

    seeds: int
    subjects: int
    seed_sd: float | None
    subject_sd: float | None
    rest_sd: float | None


def spread(values: Float[np.ndarray, "seed subject"]) -> Spread:
    """Components of variance of scores by seed and subject, by the method of moments.

    A component below what chance alone gives is 0. Subjects without a value of every seed are
    left out. With one seed, subjects and rest cannot be told apart and count as subjects.

    Source: Searle, Casella and McCulloch 1992, Variance Components, section 4.
    """
    kept = values[:, np.isfinite(values).all(axis=0)]
    seeds, subjects = kept.shape
    if not kept.size or (seeds == 1 and subjects == 1):
        return Spread(seeds, subjects, None, None, None)
    if seeds == 1 or subjects == 1:
        sd = float(kept.std(ddof=1))
        return Spread(seeds, subjects, sd if subjects == 1 else None, sd if seeds == 1 else None,
                      None)  # fmt: skip
    by_seed, by_subject = kept.mean(axis=1), kept.mean(axis=0)
    rest = kept - by_seed[:, None] - by_subject + kept.mean()
    noise = (rest**2).sum() / ((seeds - 1) * (subjects - 1))
    seed = max(0.0, float(by_seed.var(ddof=1) - noise / subjects))
    subject = max(0.0, float(by_subject.var(ddof=1) - noise / seeds))
    return Spread(seeds, subjects, seed**0.5, subject**0.5, float(noise) ** 0.5)


COLUMNS = ("model", "reference", "difference", "n", "p", "smallest", "exact", "seeds")


def compare_models(values: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Every other model against one, over the subjects that both have; seeds are averaged first.

    Parameters
    ----------
    values
        One row per ``model``, ``seed`` and ``subject`` with its ``value``; missing ones are left
        out.

    Returns
    -------
    DataFrame
        Columns of `COLUMNS`; ``difference`` is the mean over subjects of the model's value less
        the reference's.
    """
    known = values[values["value"].notna()]
    means = known.groupby(["model", "subject"], sort=False)["value"].mean().unstack("subject")
    seeds = known.groupby("model")["seed"].nunique()
    rows = []
    for model in means.index if reference in means.index else ():
        apart = (means.loc[model] - means.loc[reference]).dropna()
        if model == reference or apart.empty:
            continue
        found = sign_flip(apart)
        fewest = int(min(seeds[model], seeds[reference]))
        rows.append((model, reference, found.mean, found.n, found.p, found.smallest, found.exact,
                     fewest))  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))
