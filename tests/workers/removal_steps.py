"""What tests of removal look at, and the moments at which they kill one."""

import os
import signal

TIMES = {"read_seconds", "added", "registered"}


def everything(home):
    """Every row of every table but those of workers, the queues' keys, and every stored file."""
    from schemas import operation
    from schemas._tables import computed_tables
    from workers.export.lineage import all_tables

    passing = {"operation.Worker", "operation.Lease"}
    found = {
        name: sorted(repr(sorted(row.items(), key=str)) for row in plain(table()))
        for name, table in all_tables().items()
        if name not in passing
    }
    found |= {f"{name} queue": sorted(map(repr, t.jobs.keys())) for name, t in computed_tables()}
    files = (path for path in (home / "stores").rglob("*") if path.is_file())
    assert operation.JobError in all_tables().values()
    return found | {"files": sorted(str(path) for path in files)}


def plain(table):
    hidden = set(table.heading.schema_objects)
    return table.proj(*(name for name in table.heading.names if name not in hidden)).to_dicts()


def content(file):
    """Rows that a file brought and digests of the windows cut from it, without times."""
    from schemas import recording, windows
    from workers.export.lineage import all_tables

    key = {"nwb_file": file}
    name = (recording.IngestionSession & key).fetch1("session")
    found = {}
    for place, table in all_tables().items():
        for column, value in (("nwb_file", file), ("session", name)):
            if column in table().heading.names and not place.startswith("operation"):
                rows = plain(table() & {column: value})
                kept = [{k: v for k, v in row.items() if k not in TIMES} for row in rows]
                found[place, column] = sorted(map(repr, kept))
    cut = windows.Windows * windows.WindowsTask.proj("session") & {"session": name}
    return found | {"windows": sorted(cut.to_arrays("content_digest"))}


def changed(before, after):
    return {name for name in after if after[name] != before.get(name)}


def training_of(study):
    from schemas import dataset

    asked = {"study": study, "member_table": "training_task"}
    return sorted(map(str, (dataset.StudyMember & asked).to_arrays("member")))


def subjects_of(folder):
    from schemas import session

    names = [path.parent.name.removeprefix("sub-") for path in folder.rglob("*.nwb")]
    return [name for name in names if len(session.Subject & {"subject_id": name})]


def failed(training):
    from schemas._tables import job_digest

    return {"job": job_digest({"training": training})}


def leave_a_failed_try(training):
    from datetime import datetime

    from schemas import operation

    operation.JobError.insert1(
        {
            "failed_table": "training.Training", **failed(training), "attempt": 1,
            "failed_key": {"training": training}, "error_kind": "permanent",
            "error_stage": "test", "error_message": "test", "failed_at": datetime(2024, 1, 1),
        }
    )  # fmt: skip


def in_child(act):
    """Run `act` in a process of its own, connected anew; how it ended, negative if killed."""
    pid = os.fork()
    if pid == 0:
        try:
            import schemas

            schemas.connect(create=False)
            act()
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def removing(path, arm):
    """Remove a file in a process that is killed where `arm` says."""

    def act():
        from workers.remove import remove

        arm()
        remove("file", path)

    return in_child(act)


def before_the_list():
    from workers.remove import apply

    apply._write_down = die


def before_the_rows():
    from workers.remove import apply

    apply._delete_rows = die


def among_the_rows():
    from schemas import recording

    recording.LfpSeries.delete_quick = die


def before_the_commit():
    from schemas import session

    session.schema.connection.commit_transaction = die


def after_the_commit():
    from workers.remove import apply

    apply._forget_jobs = lambda plan, true=apply._forget_jobs: (
        true(plan) if plan.objects and apply.session.schema.connection.in_transaction else die()
    )


def after_one_object():
    from workers import collect

    def remove(store, path, true=collect._remove_object):
        true(store, path)
        die()

    collect._remove_object = remove


def before_the_list_goes():
    from workers.remove import apply

    apply.clear = die
    apply.Path.unlink = die
