"""The answer to a study's question, in one sentence."""

from collections.abc import Sequence

from pipeline.analyses.report_data import Headline, metric_name

FEW_SUBJECTS = 5
"""Below so many, all of them above chance still happens by luck in more than 1 of 32 studies."""


def answer(headline: Headline, synthetic: bool, alone: Sequence[str] = ()) -> str:
    """One sentence: yes, no, or not to be told; ``alone`` are regions that rest on one signal."""
    where = " on synthetic recordings" if synthetic else ""
    if headline.value is None:
        return f"It cannot be told{where}: {headline.reason}."
    digits = 3 if abs(headline.value) < 0.1 else 2
    value = f"{headline.value:.{digits}f}"
    told = f"{headline.model} reaches a {metric_name(headline.metric)} of {value}"
    if headline.level == "unit":
        told = f"{headline.model} earns {value} {metric_name(headline.metric)}"
    chance = 0.0 if headline.chance is None else headline.chance
    if headline.low is None or headline.high is None:
        return f"It cannot be told apart from luck{where}: {told}, without an interval."
    low, high = (f"{end:.{digits}f}" for end in (headline.low, headline.high))
    spread = f"{low} to {high}, chance {chance:.2f}"
    few = headline.n_subjects < FEW_SUBJECTS and "resampling subjects" in headline.interval
    if headline.low > chance and few:
        return (
            f"It cannot be told from {headline.n_subjects} subjects{where}: {told} ({spread}), "
            "and an interval over so few says little."
        )
    if headline.low > chance and alone:
        names = ", ".join(alone)
        signal = "rests on one signal" if len(alone) == 1 else "each rest on one signal"
        return (
            f"It cannot be told{where}: {told} ({spread}), but {names} {signal}, so the model may "
            "know the wire and not the region."
        )
    if headline.low > chance:
        return f"Yes{where}: {told} ({spread})."
    if headline.high < chance:
        return f"No{where}: {told} ({spread}), below chance."
    return f"No evidence that it can{where}: {told} ({spread})."
