"""What was computed from a file."""

from schemas import dataset, windows
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


def studies_of(files: list[str]) -> list[str]:
    """Names of the studies that asked for these files."""
    members = dataset.StudyMember & {"member_table": "nwb_file"}
    return sorted(set((members & [{"member": file} for file in files]).to_arrays("study")))


def say_results(counts: dict[str, int], studies: list[str]) -> str:
    """The counts, and whose they are, as a phrase."""
    if not counts:
        return "no result was computed from it"
    told = ", ".join(f"{n} {table}" for table, n in counts.items())
    return f"{told} (of {', '.join(studies)})" if studies else told
