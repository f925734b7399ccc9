"""What stands against a study's answer: regions on one signal, and other wires read as well."""

import pandas as pd

from pipeline.analyses.report_data import Headline, Swap
from schemas import analysis

from .heard import shown_names
from .plan import wanted
from .spec import StudySpec

COLUMNS = ("region", "channels", "independent", "largest_r", "subjects")


def regions(scores: pd.DataFrame) -> pd.DataFrame:
    """Channels, different signals and subjects of each region, the commonest first."""
    rows = scores[(scores["table"] == "Control") & (scores["target"] == "independent_channels")]
    rows = rows.dropna(subset=["detail"])
    counts = rows[rows["metric"] == "independent_channels"].set_index("detail")
    likeness = rows[rows["metric"] == "largest_correlation"].set_index("detail")["value"]
    table = pd.DataFrame(
        {
            "region": counts.index,
            "channels": counts["n"].astype(int).to_numpy(),
            "independent": counts["value"].astype(int).to_numpy(),
            "largest_r": likeness.reindex(counts.index).to_numpy(float),
            "subjects": counts["n_groups"].astype(int).to_numpy(),
        },
        columns=list(COLUMNS),
    )
    return table.sort_values(["channels", "region"], ascending=[False, True], ignore_index=True)


MOSTLY_COPIES = 0.8
"""Share of independent channels from which copies are no longer worth a sentence."""


def doubts(table: pd.DataFrame) -> list[str]:
    """One sentence for each region that rests on one signal, or that has copies among its own."""
    said = []
    for row in table.to_dict("records"):
        n, signals, region = row["channels"], row["independent"], row["region"]
        if n == 1:
            said.append(f"{region} is one channel: wire and region cannot be told apart.")
        elif signals == 1:
            said.append(
                f"{region} is {n} channels that carry one signal (r = "
                f"{_likeness(row['largest_r'])}), n = 1 independent channel: wire and region "
                "cannot be told apart."
            )
        elif signals <= MOSTLY_COPIES * n:
            said.append(
                f"{region} has n = {signals} independent channels: among its {n} some are copies "
                f"of one another (r up to {_likeness(row['largest_r'])})."
            )
    return said


def rivals(scores: pd.DataFrame, headline: Headline) -> list[str]:
    """What does as well as the headline's model without what it is meant to read."""
    if headline.value is None:
        return []
    rows = scores[(scores["metric"] == headline.metric) & (scores["level"] == headline.level)]
    rows = rows[rows["fold"].isna() & rows["detail"].isna() & (rows["table"] == "Evaluation")]
    rows = rows[(rows["model"] != headline.model) & (rows["value"] >= headline.value)]
    said = []
    if len(rows):
        best = rows.sort_values("value", ascending=False).groupby("model", sort=False)["value"]
        names = ", ".join(f"{model} {value:.2f}" for model, value in best.max().items())
        said.append(f"Other models do no worse than {headline.model}: {names}.")
    return said


def alone(table: pd.DataFrame) -> list[str]:
    """Regions that rest on one signal in all the data."""
    return table.loc[table["independent"] == 1, "region"].tolist()


def swaps(spec: StudySpec, scores: pd.DataFrame) -> list[Swap]:
    """The controls that call other channels by the name of the rarest region."""
    rows = scores[(scores["table"] == "Control") & (scores["target"] == "relabelled")]
    rows = rows[rows["detail"].notna()]
    texts = _texts(spec)
    made = []
    for (model, fold, level, detail), group in rows.groupby(
        ["model", "fold", "level", "detail"], sort=False, dropna=False
    ):
        found = group.set_index("metric")
        if "share_reaching" not in found.index:
            continue
        middle = found.loc["balanced_accuracy"]
        where, _, observed = detail.partition("; observed ")
        made.append(
            Swap(
                what=texts.get(model, "other channels under the name of the rarest region"),
                where=where,
                model=model if pd.isna(fold) else f"{model}, fold {int(fold)}",
                level=level,
                observed=None if observed == "undefined" else float(observed),
                median=float(middle["value"]),
                low=float(middle["low"]),
                high=float(middle["high"]),
                highest=float(found.loc["balanced_accuracy_max", "value"]),
                share=_number(found.loc["share_reaching", "value"]),
                n=int(middle["n"]),
                note=middle["reason"].removeprefix("median and range "),
            )
        )
    order = list(shown_names(spec).values())
    return sorted(made, key=lambda s: (order.index(s.model.partition(", fold ")[0]), s.where))


def _texts(spec: StudySpec) -> dict[str, str]:
    """What was done, by model."""
    keys = [{"control": row["member"]} for row in wanted(spec.study.name, "control_task")]
    tasks = analysis.ControlTask * analysis.LinearProbeTask.proj("eval_model")
    rows = (analysis.Control * tasks & keys & {"control_kind": "relabelled"}).to_dicts()
    names = shown_names(spec)
    return {
        names.get(row["eval_model"], row["eval_model"]): row["control_text"].partition(";")[0]
        for row in rows
    }


def _number(value) -> float | None:
    return None if pd.isna(value) else float(value)


def _likeness(r: float) -> str:
    """A correlation with as many nines as it has."""
    return f"{min(r, 0.99995):.4f}" if r > 0.999 else f"{r:.3f}"
