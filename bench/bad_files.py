"""Damage recordings in hundreds of ways and read each as a worker does.

    python bench/bad_files.py [--each 300] [--short] [--seed 0] [FILE.nwb ...]

Promise: each ends as a summary or one clear error, in 30 s and 1 GB at most, and reads nothing
outside of its file. Without files: synthetic sessions of every layout, and the real recordings of
../shared/data where they are. Signals are read too, of every fifth.
"""

import argparse
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).parents[1]
sys.path.insert(0, str(HERE / "tests"))
from mutation_trials import SIGNALS, SUMMARY, Outcome, Reader  # noqa: E402
from mutations import mutations  # noqa: E402

SHORT = 12


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--each", type=int, default=300, help="ways to damage each file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--short", action="store_true", help=f"{SHORT} ways, synthetic files only")
    given = parser.parse_args()
    each = SHORT if given.short else given.each
    found: dict[str, list[Outcome]] = defaultdict(list)
    broken: list[str] = []
    with tempfile.TemporaryDirectory(prefix="fbb-") as folder, Reader() as reader:
        files = given.files or synthetic(Path(folder)) + ([] if given.short else real())
        (Path(folder) / "damaged").mkdir()
        for number, file in enumerate(files):
            seed = given.seed + number * each
            for one in mutations(file, Path(folder) / "damaged", each, seed=seed):
                targets = [SUMMARY, SIGNALS] if one.seed % 5 == 0 else [SUMMARY]
                for target in targets:
                    read = reader.read(one.path, target)
                    found[one.kind].append(read)
                    if read.broken:
                        broken.append(
                            f"{file.name} {one.kind}-{one.seed} ({one.what}): {read.broken}"
                        )
    show(found, len(files))
    for text in broken:
        print(f"BROKEN {text}")
    print(f"{len(broken)} of {sum(map(len, found.values())):,} readings broke a promise")
    return 1 if broken else 0


def show(found: dict[str, list[Outcome]], n_files: int) -> None:
    print(f"{n_files} files, {len(found)} kinds of damage")
    print(f"{'kind':26}{'rows':>7}{'errors':>8}{'slowest s':>11}{'peak MB':>9}")
    for kind, reads in sorted(found.items()):
        errors = sum(read.error is not None for read in reads)
        slowest, peak = max(r.seconds for r in reads), max(r.peak_bytes for r in reads) >> 20
        print(f"{kind:26}{len(reads) - errors:7}{errors:8}{slowest:11.1f}{peak:9}")


def synthetic(folder: Path) -> list[Path]:
    from pipeline.synthetic.lab import write_sessions
    from pipeline.synthetic.session import LabParams

    made = []
    for layout in ("allen", "ibl", "generic"):
        params = LabParams(layout=layout, subjects=1, channels=8, duration_s=6, units=3, seed=5)
        made += [path for paths in write_sessions(folder / layout, params) for path in paths]
    return made


def real() -> list[Path]:
    folder = HERE.parent / "shared" / "data"
    files = sorted([*folder.glob("**/*.nwb"), *folder.glob("**/*.h5")])
    if not files:
        print(f"real recordings not damaged: none in {folder}")
    return files


if __name__ == "__main__":
    sys.exit(main())
