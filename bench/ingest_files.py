"""Read the headers of many small files with two workers.

    python bench/ingest_files.py [--backend postgresql|mysql|both] [--files 500] [--short]

Promise: 20 files a second on 2 cores, none of them read in the worker's own process.
"""

import os
import shutil
import sys
from pathlib import Path

from _servers import activate, each_backend, parse, server
from overhead import at_work

WORKERS = 2


def main() -> None:
    given = parse(__doc__, lambda parser: parser.add_argument("--files", type=int, default=500))
    if given.backend == "both":
        sys.exit(each_backend(__file__))
    n_files = min(given.files, 40) if given.short else given.files
    with server(given.backend) as home:
        prefix = activate(home)
        from schemas import recording
        from workers.ingest import register

        register(write_files(home, n_files), base=home)
        took = at_work(prefix, WORKERS, busy=False)
        read = len(recording.Ingestion & "ingestion_status <> 'error'")
    assert read == n_files, f"{read} of {n_files} files were read"
    rate = n_files / took
    print(f"{given.backend}: {rate:.1f} files a second with {WORKERS} workers ({n_files} files)")
    sys.exit(0 if rate >= 20 else f"{given.backend}: fewer than 20 files a second")


def write_files(folder: Path, n_files: int) -> list[str]:
    """Small recordings of a session each; their names."""
    import h5py

    from pipeline.synthetic import write_lab

    (first,) = write_lab(folder, subjects=1, seed=0, layout="generic", channels=8, duration_s=3.0)
    names = []
    for number in range(n_files):
        path = folder / f"{number}.nwb"
        shutil.copyfile(first, path)
        with h5py.File(path, "r+") as file:
            for name in ("identifier", "general/session_id"):
                del file[name]
                file[name] = f"bench-{number}"
        names.append(path.name)
    os.unlink(first)
    return names


if __name__ == "__main__":
    main()
