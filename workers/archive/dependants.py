"""What was computed from a file."""

from schemas import windows
from schemas._guard import _links

READS = (windows.WindowsLfp, windows.WindowsUnits, windows.WindowsBehavior, windows.WindowsFeatures)


def results_of(files: list[str]) -> dict[str, int]:
    """How many rows of each table of results descend from these files, windows first.

    Followed is what a result was made of: windows, the trainings that saw them, what those
    trainings said, and the scores of that.
    """
    read = [{"nwb_file": file} for file in files]
    asked = {row["windows"] for link in READS for row in (link & read).to_dicts()} if read else ()
    first = (windows.Windows & [{"windows": name} for name in asked]).keys() if asked else []
    found = {windows.Windows: {tuple(key.items()) for key in first}}
    fresh = [windows.Windows] if first else []
    while fresh:
        table = fresh.pop(0)
        lost = table & [dict(key) for key in found[table]]
        for parent, child, link in _links():
            if parent is not table:
                continue
            keys = {tuple(key.items()) for key in (child & link(lost)).keys()}
            if keys - found.get(child, set()):
                found.setdefault(child, set()).update(keys)
                fresh.append(child)
    return {table.__name__: len(keys) for table, keys in found.items() if keys}


def say_results(counts: dict[str, int]) -> str:
    """The counts as a phrase."""
    if not counts:
        return "no result was computed from it"
    return ", ".join(f"{n} {table}" for table, n in counts.items())
