"""What a removal takes, before anything is removed."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import datajoint as dj

from schemas import dataset, recording, session, training
from schemas._params import ParamSet
from schemas._reap import live_leases
from schemas._stores import store_named
from schemas._tables import among, computed_tables, name_of

from ..collect import objects_of
from .lineage import LASTING, Things, fallen_rows, follow, parts, tables
from .names import Roots, find_roots


@dataclass
class Removal:
    """What goes, who loses something by it, and who is at work on it.

    Attributes
    ----------
    rows
        Number of rows by table.
    objects, n_bytes
        Stored objects of these rows (store, path), and what they take (bytes).
    studies
        Name, tasks that go, and tasks there are, of each study that loses some.
    trainings, models
        Trainings that go, and names of the registered models that go with them.
    read_again
        Files that stay, but share probes with one that goes: they are read anew.
    labels
        Origin and number of labels of sets that were given by hand, and go.
    in_use
        Who makes something of it at the moment; while there is anyone, nothing is removed.
    notes
        What stays, and for whom.
    """

    kind: str
    name: str
    told: str
    rows: dict[str, int] = field(default_factory=dict)
    objects: list[tuple[str, str]] = field(default_factory=list)
    n_bytes: int = 0
    studies: list[dict[str, Any]] = field(default_factory=list)
    trainings: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    read_again: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    in_use: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    fallen: Things = field(default_factory=dict, repr=False)
    files: set[str] = field(default_factory=set, repr=False)
    """Keys of the files whose registration goes; other fallen files are read again."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        hidden = {"fallen", "files", "objects"}
        told = {name: value for name, value in asdict(self).items() if name not in hidden}
        return told | {"objects": len(self.objects)}


def plan_removal(kind: str, name: str) -> Removal:
    """What goes with a file, session, subject, training or study; nothing is changed.

    Raises
    ------
    NoSuchName
        If the name stands for nothing or for several things.
    """
    return plan_of(find_roots(kind, name))


def plan_of(roots: Roots) -> Removal:
    """What goes with these roots, as the tables are now."""
    fallen = follow(roots.things)
    plan = Removal(roots.kind, roots.name, roots.told, notes=list(roots.notes), fallen=fallen)
    plan.files = set(roots.things.get("nwb_file", ()))
    for name, table in tables().items():
        if rows_of(table, plan) and (count := len(going(table, plan))):
            plan.rows[name] = count
    plan.trainings = sorted(fallen.get("training", ()))
    plan.models = sorted(fallen.get("registered_model", ()))
    plan.rows |= {name_of(table): len(keys) for table, keys in lonely(plan).items()}
    plan.objects = objects_now(plan)
    plan.n_bytes = sum(_bytes(*one) for one in plan.objects)
    plan.studies = list(_studies(plan))
    again = [{"nwb_file": file} for file in fallen.get("nwb_file", set()) - plan.files]
    plan.read_again = sorted((session.NwbFile & again).to_arrays("path")) if again else []
    plan.labels = list(_labels(plan))
    plan.in_use = users_of(plan)
    return plan


def rows_of(table: type[dj.Table], plan: Removal) -> list[Any]:
    """Conditions of which a row that goes fits at least one; each is short enough for a query."""
    if table is session.NwbFile:
        return list(fallen_rows(table, {"nwb_file": plan.files}))
    found = list(fallen_rows(table, plan.fallen))
    if table is dataset.StudyMember:
        for kind, keys in plan.fallen.items():
            member = {"member_table": kind if kind == "nwb_file" else f"{kind}_task"}
            for some in parts(plan.files if kind == "nwb_file" else keys):
                found.append(dj.AndList([member, among([{"member": key} for key in some])]))
    return found


def going(table: type[dj.Table], plan: Removal, more: Iterable[Any] = ()) -> dj.Table:
    """The rows of a table that go, and those that fit one of `more`, each once."""
    return table() & ([*rows_of(table, plan), *more] or "1 = 0")


def lonely(plan: Removal) -> dict[type[dj.Table], list[dict[str, Any]]]:
    """Keys of subjects, sources and parameter sets that nothing names once the rows are gone.

    Only those are looked at that a row which goes names.
    """
    found: dict[type[dj.Table], list[dict[str, Any]]] = {}
    by_name = {table().full_table_name: table for table in tables().values()}
    told = _told_by_cards(plan)
    for table in reversed(tables().values()):
        if not (issubclass(table, ParamSet) or table in LASTING[:2]):
            continue
        left: Counter[tuple] = Counter()
        gone: Counter[tuple] = Counter()
        for name, link in table().children(foreign_key_info=True):
            child, back = by_name[name], {above: here for here, above in link["attr_map"].items()}
            column = [back[part] for part in table().primary_key]
            left += _count(child(), column)
            gone += _count(going(child, plan, found.get(child, ())), column)
        alone = [key for key, n in gone.items() if left[key] == n and told.isdisjoint(key)]
        if alone:
            found[table] = [dict(zip(table().primary_key, key, strict=True)) for key in alone]
    return found


def _count(rows: dj.Table, names: list[str]) -> Counter:
    counted = dj.U(*names).aggr(rows, n_rows="count(*)").to_dicts()
    keys = {tuple(row[name] for name in names): row["n_rows"] for row in counted}
    return Counter({key: n for key, n in keys.items() if None not in key})


def _told_by_cards(plan: Removal) -> set[str]:
    """What the cards of registered models that stay name."""
    cards = training.RegisteredModel().to_dicts()
    stay = [row["card"] for row in cards if row["registered_model"] not in plan.models]
    return {value for card in stay for value in card.values() if isinstance(value, str)}


def objects_now(plan: Removal) -> list[tuple[str, str]]:
    """Store and path of what the rows that go name, as they are now."""
    known = [table for table in tables().values() if table().heading.schema_objects]
    return sorted({one for t in known if rows_of(t, plan) for one in objects_of(going(t, plan))})


def _bytes(store: str, path: str) -> int:
    there = store_named(store)
    return sum(info["size"] for info in there.fs.find(there._full_path(path), detail=True).values())


def _studies(plan: Removal) -> list[dict[str, Any]]:
    lost = Counter(going(dataset.StudyMember, plan).to_arrays("study"))
    asked = Counter(dataset.StudyMember().to_arrays("study"))
    return [{"study": str(name), "tasks": n, "of": asked[name]} for name, n in sorted(lost.items())]


def _labels(plan: Removal) -> list[str]:
    sets = going(recording.LabelSet, plan) & "nwb_file is null"
    rows = sets.to_dicts(order_by="origin")
    return [f"{row['n_labels']} of {row['session']} from {row['origin']}" for row in rows]


def queue_of(table: type[dj.Table], plan: Removal) -> list[Any]:
    """Conditions on the jobs of a computed table that go."""
    return list(fallen_rows(table, plan.fallen))


def users_of(plan: Removal) -> list[str]:
    """Who makes something of what goes: living workers with such a job, or only for a study."""
    living = {row["lease"]: row for row in live_leases()}
    found = [
        f"{who['worker_host']}, pid {who['worker_pid']}: works for study {who['only_study']}"
        for who in living.values()
        if who["only_study"] in plan.fallen.get("study", ())
    ]
    for name, table in computed_tables():
        for condition in queue_of(table, plan):
            for row in (table.jobs & condition & "status = 'reserved'").to_dicts():
                if row["connection_id"] in living:
                    who = living[row["connection_id"]]
                    key = " ".join(str(row[part])[:12] for part in table.primary_key)
                    found.append(f"{who['worker_host']}, pid {who['worker_pid']}: {name} {key}")
    return sorted(found)
