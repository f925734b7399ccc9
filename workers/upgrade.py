"""Bring an older database to the definitions of this package, by adding only.

New tables, new columns that may be null or have a default, new indexes, and foreign keys of new
columns are added; nothing is dropped, changed or filled.
"""

from collections.abc import Callable
from dataclasses import dataclass

import datajoint as dj

import schemas
from schemas import _definitions as definitions
from schemas._additions import statements
from schemas._columns import table_name, tables_in
from schemas._differences import Difference, compare
from schemas._locks import let_go, take_lock
from schemas._server import ServerError


@dataclass(frozen=True)
class Step:
    """What one table lacks and the SQL that adds it."""

    table: str
    lacks: tuple[Difference, ...]
    sql: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {"table": self.table, "lacks": [d.told for d in self.lacks], "sql": [*self.sql]}


@dataclass(frozen=True)
class Plan:
    """What an upgrade adds, and what stands in its way."""

    steps: tuple[Step, ...]
    refused: tuple[str, ...]
    stored: definitions.Stored

    @property
    def needed(self) -> bool:
        """Whether tables or their records differ from this package's."""
        lines = dict(self.stored.lines)
        return bool(self.steps or self.refused) or lines != dict(definitions.package_lines())


def plan_upgrade(prefix: str = "fieldbase") -> Plan:
    """Compare the tables as they are on the server with this package's; nothing is changed.

    Raises
    ------
    LookupError
        If there are no tables.
    """
    schemas.activate(prefix, create=False)
    connection = schemas.connect(create=False)
    stored = definitions.stored_definitions(connection, prefix)
    actual = dict(definitions.actual_definitions(connection, prefix))
    unknown = stored.lines.keys() - definitions.package_lines().keys()
    actual |= {name: stored.lines[name] for name in unknown}
    differing = compare(actual, definitions.package_lines())
    refused = tuple(found.told for found in differing if not found.additive)
    steps = []
    for name in dict.fromkeys(found.table for found in differing if found.additive):
        lacks = tuple(found for found in differing if found.table == name and found.additive)
        steps.append(Step(name, lacks, tuple(statements(_class_of(name), lacks))))
    return Plan(tuple(steps), refused, stored)


def upgrade(
    prefix: str = "fieldbase", *, on_step: Callable[[Step], None] = lambda step: None
) -> Plan:
    """Add what the database lacks and record the definitions; what was done.

    Each table is compared with the server anew, so an upgrade that was cut short is finished by
    the next.

    Raises
    ------
    ServerError
        If adding is not enough, a worker computes or another upgrade is at work (nothing is
        changed then), or if the server refuses a statement.
    """
    connection, name = schemas.connect(create=False), f"upgrade {prefix}"
    if not take_lock(connection, name):
        raise ServerError(
            f"not upgraded: another `fieldbase upgrade` of {prefix!r} is at work; wait for its end"
        )
    try:
        return _upgrade(prefix, on_step)
    finally:
        let_go(connection, name)


def _upgrade(prefix: str, on_step: Callable[[Step], None]) -> Plan:
    plan = plan_upgrade(prefix)
    if plan.refused:
        other = f"fieldbase {plan.stored.versions[-1]}" if plan.stored.versions else "its version"
        raise ServerError(
            f"not upgraded, because adding is not enough: {'; '.join(plan.refused)}; use {other} "
            "with this database, or begin another"
        )
    if plan.needed:
        _refuse_while_computing()
        for step in plan.steps:
            on_step(step)
            _add(prefix, step)
        _finish(prefix)
    return plan


def _add(prefix: str, step: Step) -> None:
    table = _class_of(step.table)
    module = next(module for module in schemas.MODULES if module.__name__ == table.__module__)
    try:
        if not module.schema.is_activated():
            name = definitions.schema_name(prefix, module)
            module.schema.activate(name, create_schema=True, create_tables=True)
        elif not table().is_declared:
            table().declare(table.declaration_context)
        elif step.lacks[0].subject != "table":
            _alter(table, statements(table, step.lacks))
    except dj.errors.DataJointError as error:
        reason = " ".join(str(error).split())
        raise ServerError(
            f"the upgrade stopped at {step.table} ({reason}); what was added before stays: mend "
            "that and run `fieldbase upgrade` again"
        ) from error
    table.connection.dependencies.clear()


def _alter(table: type[dj.Table], sql: list[str]) -> None:
    """Run the statements; PostgreSQL takes all or none, MySQL has but one."""
    connection = table.connection
    if connection.adapter.backend == "postgresql":
        with connection.transaction:
            for statement in sql:
                connection.query(statement)
    else:
        for statement in sql:
            connection.query(statement)
    table._heading = type(table._heading)(table_info=table._heading.table_info)
    table()._refresh_lineage(table.declaration_context)


def _finish(prefix: str) -> None:
    from schemas._tables import computed_tables

    connection = schemas.connect()
    actual = definitions.actual_definitions(connection, prefix)
    left = compare(actual, definitions.package_lines())
    if left:
        told = "; ".join(found.told for found in left[:3])
        raise ServerError(f"the upgrade did not settle {told}: run `fieldbase upgrade` again")
    definitions.record(connection, prefix, renew=True)
    for _, table in computed_tables():
        _ = table.jobs  # declares its queue: workers have no right to


def _refuse_while_computing() -> None:
    from schemas import operation
    from schemas._reap import live_leases

    if not operation.schema.is_activated() or not operation.Lease().is_declared:
        return
    live = [row["worker"] for row in live_leases()]
    if live:
        raise ServerError(
            f"not upgraded while {len(live)} worker(s) compute ({', '.join(live[:5])}): stop them "
            "first (SIGTERM: each hands its job back)"
        )


def _class_of(name: str) -> type[dj.Table]:
    return {table_name(t): t for module in schemas.MODULES for t in tables_in(module)}[name]
