"""How far each computed table is."""

from typing import Any

import schemas


def table_status() -> list[dict[str, Any]]:
    """Per computed table: rows asked for, done, left to make, and failed jobs."""
    rows = []
    for module in schemas.MODULES:
        for table in vars(module).values():
            if not isinstance(table, type) or table.__module__ != module.__name__:
                continue
            if not hasattr(table, "populate"):
                continue
            done = len(table())
            left = len(table().key_source - table().proj())
            failed = len(table.jobs.errors) if _has_jobs(module, table) else 0
            if table.__name__ == "Ingestion":
                failed += len(table & {"ingestion_status": "error"})
            rows.append(
                {
                    "table": f"{module.__name__.rsplit('.', 1)[-1]}.{table.__name__}",
                    "asked": done + left,
                    "done": done,
                    "left": left,
                    "failed": failed,
                }
            )
    return rows


def _has_jobs(module, table) -> bool:
    return f"~~{table.table_name.lstrip('_')}" in module.schema.list_tables()
