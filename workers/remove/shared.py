"""Which of a study's tasks it asked for alone, so that nobody misses them."""

from schemas import dataset, training
from schemas._params import Task
from schemas._tables import among

from .lineage import Things, columns, tables


def tasks_of_study(study: str) -> tuple[Things, list[str]]:
    """The tasks that only this study wants, and in words which stay for whom.

    What another study wants stays, and what a registered model is made of, with all that these
    were made of in turn. A dataset goes with the last task that splits it.
    """
    mine, notes = _asked(study), []
    needed: Things = {}
    for other in sorted(set(dataset.StudyMember().to_arrays("study")) - {study}):
        both = _shared(mine, _close(_asked(other)))
        notes += _note(both, f"study {other}")
        _add(needed, both)
    for row in training.RegisteredModel.proj("training").to_dicts(order_by="registered_model"):
        both = _shared(mine, _close({"training": {row["training"]}}))
        notes += _note(both, f"the registered model {row['registered_model']!r}")
        _add(needed, both)
    alone = {kind: keys - needed.get(kind, set()) for kind, keys in mine.items()}
    splits = dataset.SplitTask.proj("dataset").to_dicts()
    kept = {row["dataset"] for row in splits if row["split"] not in alone.get("split", set())}
    going = {row["dataset"] for row in splits} - kept
    return {kind: keys for kind, keys in (alone | {"dataset": going}).items() if keys}, notes


def _asked(study: str) -> Things:
    found: Things = {}
    kinds = {table.key for table in _tasks()}
    for row in (dataset.StudyMember & {"study": study}).to_dicts():
        kind = row["member_table"].removesuffix("_task")
        if kind in kinds:
            found.setdefault(kind, set()).add(row["member"])
    return found


def _tasks() -> list[type[Task]]:
    return [table for table in tables().values() if issubclass(table, Task)]


def _close(things: Things) -> Things:
    """The tasks, and all that they are made of."""
    kinds = {table.key for table in _tasks()}
    told = [*_tasks(), dataset.DatasetMember, *(t.inputs for t in _tasks() if t.inputs)]
    found: Things = {}
    fresh = things
    while any(fresh.values()):
        _add(found, fresh)
        above: Things = {}
        for table in told:
            first = table().primary_key[0]
            names = [n for n, kind in columns(table).items() if kind in kinds and n != first]
            if names and fresh.get(first):
                rows = table() & among([{first: key} for key in fresh[first]])
                for row in rows.proj(*names).to_dicts():
                    for name in names:
                        above.setdefault(columns(table)[name], set()).add(row[name])
        fresh = {kind: keys - {None} - found.get(kind, set()) for kind, keys in above.items()}
    return found


def _shared(mine: Things, theirs: Things) -> Things:
    return {kind: both for kind, keys in mine.items() if (both := keys & theirs.get(kind, set()))}


def _add(things: Things, more: Things) -> None:
    for kind, keys in more.items():
        things.setdefault(kind, set()).update(keys)


def _note(both: Things, who: str) -> list[str]:
    if not both:
        return []
    counts = ", ".join(f"{len(keys)} {kind}" for kind, keys in both.items())
    return [f"{counts} stay for {who}"]
