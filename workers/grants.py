"""Who may do what on the database server: the rights of three roles, and no more.

``analyst`` reads every table. ``worker`` also inserts, which is all that populate() and studies do
to results; it updates and deletes only in the tables of `CHANGED`, and in the job queues. ``admin``
makes, alters and drops tables. Stores have rights of their own, which no database server gives.
"""

import re
from collections.abc import Iterator

import schemas
from schemas._server import ServerError
from schemas._tables import computed_tables

ROLES = ("worker", "analyst", "admin")
CHANGED = {
    "operation": {"worker": "UPDATE", "lease": "UPDATE", "job_error": "DELETE"},
    "session": {"subject": "UPDATE", "session": "UPDATE", "source": "UPDATE", "nwb_file": "UPDATE"},
    "recording": {"_ingestion": "DELETE"},
    "dataset": {"study_member": "DELETE"},
}
"""Schema and table in which a worker changes rows: it keeps its lease, forgets the tries of a job
that is retried, adds what a second file tells of a session, reads a file again that could not be
read, and lets go of what a study asked for before."""


def grant_lines(role: str, *, user: str | None = None) -> list[str]:
    """SQL that gives a role its rights on this server's tables, and the role to a user.

    Parameters
    ----------
    role
        One of `ROLES`; the server's role is called ``<prefix>_<role>``.
    user
        Who gets it: a user there is, on MySQL ``name`` or ``name@host``.

    Raises
    ------
    LookupError
        If there is no such role here.
    ValueError
        If a user's name holds what no user's name needs.
    """
    if role not in ROLES:
        raise LookupError(f"no role {role!r}; there are {', '.join(ROLES)}")
    databases = {_last(module): module.schema.database for module in schemas.MODULES}
    name = f"{databases['session'].removesuffix('_session')}_{role}"
    if user is not None and not re.fullmatch(r"[\w.+-]+(@[\w.%+:-]+)?", user):
        raise ValueError(f"{user!r} is no name of a user: letters, digits and . _ + - are taken")
    mysql = schemas.session.schema.connection.adapter.backend == "mysql"
    lines = _mysql if mysql else _postgresql
    return list(lines(role, name, databases, user))


def apply_grants(role: str, *, user: str | None = None) -> list[str]:
    """Make the role, give it its rights and give it to a user; the SQL that was run.

    The job queues are declared first: a worker may not.

    Raises
    ------
    ServerError
        If this account may not give rights, or the user is not there.
    """
    connection = schemas.session.schema.connection
    declare_queues()
    lines = grant_lines(role, user=user)
    for line in lines:
        if line.startswith("--"):
            continue
        try:
            connection.query(line.replace("%", "%%"))
        except Exception as error:
            reason = " ".join(str(error.args[-1] if error.args else error).split())
            raise ServerError(
                f"{connection.get_user()} could not run `{line}` ({reason}); make the user first, "
                "or run this as an account that may create roles and grant"
            ) from error
    return lines


def declare_queues() -> None:
    """Make the job queue of every computed table that has none."""
    for _, table in computed_tables():
        if not table.jobs.is_declared:
            table.jobs.declare()


def queue_names() -> dict[str, list[str]]:
    """Names of the job queues' tables, by module."""
    found: dict[str, list[str]] = {}
    for name, table in computed_tables():
        found.setdefault(name.split(".")[0], []).append(f"~~{table.table_name.lstrip('_')}")
    return found


def _last(module) -> str:
    return module.__name__.rsplit(".", 1)[-1]


def _changes(module: str) -> Iterator[tuple[str, str]]:
    """Table and rights that a worker has in a schema beside reading and inserting."""
    yield from CHANGED.get(module, {}).items()
    for queue in queue_names().get(module, ()):
        yield queue, "UPDATE, DELETE"


def _mysql(role: str, name: str, databases: dict[str, str], user: str | None) -> Iterator[str]:
    yield f"CREATE ROLE IF NOT EXISTS `{name}`"
    rights = {"analyst": "SELECT", "worker": "SELECT, INSERT"}
    if role == "admin":
        prefix = databases["session"].removesuffix("session").replace("_", r"\_")
        yield f"GRANT ALL PRIVILEGES ON `{prefix}%`.* TO `{name}`"
    else:
        for module, database in databases.items():
            escaped = database.replace("_", r"\_")  # `_` stands for any character there
            yield f"GRANT {rights[role]} ON `{escaped}`.* TO `{name}`"
            for table, more in _changes(module) if role == "worker" else ():
                yield f"GRANT {more} ON `{database}`.`{table}` TO `{name}`"
    if user is None:
        yield f"-- GRANT `{name}` TO 'NAME'@'%'; SET DEFAULT ROLE `{name}` TO 'NAME'@'%'"
        return
    person, _, host = user.partition("@")
    account = f"'{person}'@'{host or '%'}'"
    yield f"GRANT `{name}` TO {account}"
    yield f"SET DEFAULT ROLE ALL TO {account}"


def _postgresql(role: str, name: str, databases: dict[str, str], user: str | None) -> Iterator[str]:
    yield (
        f'DO $$ BEGIN CREATE ROLE "{name}" NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; '
        "END $$"
    )
    connection = schemas.session.schema.connection
    database = connection.query("SELECT current_database()").fetchone()[0]
    yield f'GRANT CONNECT ON DATABASE "{database}" TO "{name}"'
    if role == "admin":
        yield f'GRANT CREATE ON DATABASE "{database}" TO "{name}"'
    # The server shows the primary keys of a table, which DataJoint asks for, to those only who have
    # a right beside SELECT. REFERENCES needs a table of one's own to be of use: none may be made.
    tables, sequences, schema = {
        "analyst": ("SELECT, REFERENCES", "SELECT", "USAGE"),
        "worker": ("SELECT, INSERT", "USAGE, SELECT", "USAGE"),
        "admin": ("ALL", "ALL", "ALL"),
    }[role]
    for module, place in databases.items():
        yield f'GRANT {schema} ON SCHEMA "{place}" TO "{name}"'
        for kind, rights in (("TABLES", tables), ("SEQUENCES", sequences)):
            yield f'GRANT {rights} ON ALL {kind} IN SCHEMA "{place}" TO "{name}"'
            yield (
                f'ALTER DEFAULT PRIVILEGES IN SCHEMA "{place}" GRANT {rights} ON {kind} TO "{name}"'
            )
        for table, more in _changes(module) if role == "worker" else ():
            yield f'GRANT {more} ON "{place}"."{table}" TO "{name}"'
    if role == "admin":
        owner = connection.query("SELECT current_user").fetchone()[0]
        yield f'-- only their owner alters or drops tables there are: GRANT "{owner}" TO "{name}"'
    if user is None:
        yield f'-- GRANT "{name}" TO "NAME"'
    else:
        yield f'GRANT "{name}" TO "{user}"'


def to_text(lines: list[str]) -> str:
    """The lines as a script."""
    ends = ("" if line.startswith("--") else ";" for line in lines)
    return "\n".join(f"{line}{end}" for line, end in zip(lines, ends, strict=True))
