"""What differs between two sets of tables, and whether adding is all it takes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """One thing of one table that the database and this package have otherwise.

    ``subject`` is ``table``, ``key``, ``column x``, ``foreign key x, y`` or ``index x``; ``stored``
    and ``wanted`` say what the database has and the package expects, None where it has nothing.
    """

    table: str
    subject: str
    stored: str | None
    wanted: str | None
    additive: bool

    @property
    def told(self) -> str:
        """The difference in words."""
        if self.subject == "table":
            if self.stored is None:
                return f"table {self.table} is new"
            return f"table {self.table} is unknown to this package"
        if self.stored is None:
            return f"{self.table}: {self.subject} ({self.wanted}) is new"
        if self.wanted is None:
            return f"{self.table}: {self.subject} ({self.stored}) is unknown to this package"
        return f"{self.table}: {self.subject} is {self.stored}, not {self.wanted}"


def compare(
    stored: Mapping[str, tuple[str, ...]], wanted: Mapping[str, tuple[str, ...]]
) -> list[Difference]:
    """Differences between lines (see `schemas._columns`) of a database and of a package.

    Additive are new tables, new columns that may be null or have a default, new indexes, and new
    foreign keys all of whose columns are such columns. All else would drop, fill or read again
    what is stored.
    """
    found = []
    for table in [*wanted, *(table for table in stored if table not in wanted)]:
        if table not in stored:
            found.append(Difference(table, "table", None, "", additive=True))
        elif table not in wanted:
            found.append(Difference(table, "table", "", None, additive=False))
        elif stored[table] != wanted[table]:
            found += _compare_table(table, _by_subject(stored[table]), _by_subject(wanted[table]))
    return found


def _compare_table(table: str, stored: dict[str, str], wanted: dict[str, str]) -> list[Difference]:
    key = set(wanted.get("key", "").split(", "))
    free = {
        subject.removeprefix("column ")
        for subject, kind in wanted.items()
        if subject.startswith("column ") and subject not in stored
        if kind.endswith("may be null") or ", default " in kind
    } - key

    def is_additive(subject: str) -> bool:
        if subject in stored or subject not in wanted:
            return False
        names = re.sub("^(column|foreign key|index) ", "", subject).split(", ")
        return subject.startswith("index ") or set(names) <= free

    return [
        Difference(table, subject, stored.get(subject), wanted.get(subject), is_additive(subject))
        for subject in [*wanted, *(subject for subject in stored if subject not in wanted)]
        if stored.get(subject) != wanted.get(subject)
    ]


def _by_subject(lines: tuple[str, ...]) -> dict[str, str]:
    return {subject: told for subject, _, told in (line.partition(": ") for line in lines)}
