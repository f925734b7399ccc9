"""Workers as processes: they are killed, frozen, stopped and raced, and nothing is lost."""

import json
import signal
import time

import pytest


def test_a_worker_makes_what_is_pending_and_leaves_when_idle(crew):
    crew.files("0_a", "0_b", "0_c")
    out, _ = crew.start(until_idle=True).communicate(timeout=180)
    assert json.loads(out) == {
        "made": {"recording.Ingestion": 3}, "failed": {}, "put_off": {}, "left": "idle",
    }  # fmt: skip
    assert crew.rows() == 3
    assert crew.states() == ["success"] * 3


def test_the_job_of_a_killed_worker_is_pending_within_ten_seconds_and_made_by_another(crew):
    crew.files("6_long")
    doomed = crew.start()
    crew.wait_for(lambda: crew.said() == ["begin 6_long.nwb"])
    crew.start(until_idle=False)
    time.sleep(1.5)  # the other sees the job, and leaves it alone
    assert crew.said() == ["begin 6_long.nwb"]
    doomed.send_signal(signal.SIGKILL)
    took = crew.wait_for(lambda: len(crew.said()) == 2, seconds=10)
    assert took < 10
    crew.wait_for(lambda: crew.rows() == 1)
    assert crew.said() == ["begin 6_long.nwb"] * 2 + ["end 6_long.nwb"]


def test_the_job_of_a_living_worker_is_never_taken_however_long_it_runs(crew):
    crew.files("5_long")
    crew.start(until_idle=True)
    crew.wait_for(lambda: crew.said() == ["begin 5_long.nwb"])
    crew.start()
    crew.wait_for(lambda: crew.rows() == 1)
    assert crew.said() == ["begin 5_long.nwb", "end 5_long.nwb"]


def test_a_frozen_worker_that_comes_back_finds_out_before_it_inserts(crew):
    crew.env = {"FIELDBASE_SILENT": "4"}
    crew.files("1_frozen")
    frozen = crew.start()
    crew.wait_for(lambda: crew.said() == ["begin 1_frozen.nwb"])
    frozen.send_signal(signal.SIGSTOP)
    crew.start()
    crew.wait_for(lambda: crew.rows() == 1)
    frozen.send_signal(signal.SIGCONT)
    crew.wait_for(lambda: crew.said().count("end 1_frozen.nwb") == 2)
    time.sleep(1)
    assert crew.rows() == 1
    assert crew.states() == ["success"]
    assert not crew.jobs.tries(crew.keys[0])
    assert frozen.poll() is None  # it goes on under a new lease
    crew.files("0_next")
    crew.wait_for(lambda: crew.rows() == 2)


def test_a_worker_told_to_stop_finishes_the_job_that_fits_its_grace(crew):
    crew.files("1.5_short", "0_never")
    worker = crew.start(grace_s=20)
    crew.wait_for(lambda: len(crew.said()) >= 1)
    worker.send_signal(signal.SIGTERM)
    out, _ = worker.communicate(timeout=120)
    assert worker.returncode == 0
    assert json.loads(out)["left"] == "stopped"
    assert sum(json.loads(out)["made"].values()) == crew.rows() == crew.states().count("success")
    assert "error" not in crew.states()
    assert "reserved" not in crew.states()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_told_to_stop_hands_back_the_job_that_does_not_fit(crew, number):
    crew.files("30_long")
    worker = crew.start(grace_s=0.5)
    crew.wait_for(lambda: len(crew.said()) == 1)
    worker.send_signal(number)
    out, err = worker.communicate(timeout=60)
    assert worker.returncode == 0, err
    assert crew.states() == ["pending"]
    assert crew.rows() == 0


def test_a_worker_leaves_when_its_time_is_over(crew):
    crew.files("30_long")
    worker = crew.start(max_time_s=3, grace_s=0.5)
    out, err = worker.communicate(timeout=120)
    assert worker.returncode == 0, err
    assert json.loads(out)["left"] == "stopped"
    assert crew.states() == ["pending"]


def test_several_workers_make_every_job_once(crew):
    crew.files(*[f"0.01_{i}" for i in range(40)])
    workers = [crew.start(until_idle=True) for _ in range(4)]
    outs = [worker.communicate(timeout=120)[0] for worker in workers]
    made = sum(json.loads(out)["made"].get("recording.Ingestion", 0) for out in outs)
    assert made == crew.rows() == 40
    assert sorted(crew.said()) == sorted(
        [f"{verb} 0.01_{i}.nwb" for i in range(40) for verb in ("begin", "end")]
    )


def test_populate_with_reserved_jobs_has_a_lease_too(crew):
    crew.files("8_long")
    notebook = crew.start(populate=True)
    crew.wait_for(lambda: len(crew.said()) == 1)
    notebook.send_signal(signal.SIGKILL)
    crew.start()
    crew.wait_for(lambda: len(crew.said()) == 2, seconds=10)


def test_a_worker_whose_connections_the_server_cuts_goes_on(crew):
    crew.files("3_cut", "0_next")
    worker = crew.start()
    crew.wait_for(lambda: "begin 3_cut.nwb" in crew.said())
    crew.cut_connections()
    crew.wait_for(lambda: crew.rows() == 2)
    assert worker.poll() is None
    assert crew.said().count("begin 3_cut.nwb") == 1


def test_a_full_disk_pauses_the_worker_and_fails_no_job(crew):
    crew.log.with_suffix(".full").touch()
    crew.files("0_a", "0_b")
    worker = crew.start()
    time.sleep(6)
    assert crew.states() == ["pending"] * 2
    crew.log.with_suffix(".full").unlink()
    crew.wait_for(lambda: crew.rows() == 2)
    assert worker.poll() is None
