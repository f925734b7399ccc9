"""Every table of the package, found by looking."""

import datajoint as dj


def tables_of(schemas):
    """Classes of all tables, parts after their masters, in foreign-key order of the modules."""
    found = []
    for module in schemas.MODULES:
        for table in vars(module).values():
            if (
                isinstance(table, type)
                and issubclass(table, dj.Table)
                and table.__module__ == module.__name__
            ):
                found += [table, *parts_of(table)]
    return found


def parts_of(table):
    return [p for p in vars(table).values() if isinstance(p, type) and issubclass(p, dj.Part)]


def computed_of(schemas):
    """Tables that populate() fills."""
    return [t for t in tables_of(schemas) if issubclass(t, dj.Computed | dj.Imported)]


def module_of(table):
    return table.__module__.rsplit(".", 1)[-1]
