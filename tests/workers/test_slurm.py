"""The Slurm script, run with stand-ins for the worker and for Slurm's own commands."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "workers" / "slurm" / "workers.sh"
SCRIPTS = [SCRIPT, ROOT / "workers" / "make_secrets.sh"]
WORKER = """#!/usr/bin/env bash
echo "$0 $*" >> "$LOG"
echo "image=${FIELDBASE_IMAGE:-} threads=${OMP_NUM_THREADS:-}" >> "$LOG"
trap 'echo told to stop >> "$LOG"; sleep 0.3; echo handed back >> "$LOG"; exit 0' TERM
for _ in $(seq "${STEPS:-1}"); do sleep 0.05; done
exit "${ENDS:-0}"
"""
NOTES = '#!/usr/bin/env bash\necho "$(basename "$0") $*" >> "$LOG"\n'


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shell_scripts_parse_and_the_linter_finds_nothing(script):
    assert subprocess.run(["bash", "-n", script]).returncode == 0
    tool = Path(sys.executable).parent / "shellcheck"
    found = subprocess.run([tool, "--enable=all", "--exclude=SC2250,SC2312,SC2310", script],
                           capture_output=True, text=True)  # fmt: skip
    assert found.returncode == 0, found.stdout
    bad = subprocess.run([tool, "-"], input="#!/bin/bash\nrm $1/*\n", text=True,
                         capture_output=True)  # fmt: skip
    assert bad.returncode != 0
    assert os.access(script, os.X_OK)


def call(expression, **environment):
    """What a function of the script prints."""
    return subprocess.run(
        ["bash", "-c", f"source {SCRIPT}; {expression}"], capture_output=True, text=True,
        env=os.environ | environment, check=True,
    ).stdout.strip()  # fmt: skip


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("1-02:03:04", 93784),
        ("02:03:04", 7384),
        ("08:09", 489),  # no octal
        ("0:30", 30),
        ("10-00:00:00", 864000),
    ],
)
def test_times_of_slurm_are_read_as_seconds(told, seconds):
    assert call(f"seconds_of {told}") == str(seconds)


def test_the_time_left_comes_of_the_end_that_slurm_told():
    left = int(call("time_left", SLURM_JOB_END_TIME=str(int(time.time()) + 3600)))
    assert 3590 <= left <= 3600


@pytest.mark.parametrize(
    ("answer", "left"), [("1:30:00", "5400"), ("UNLIMITED", ""), ("INVALID", ""), ("", "")]
)
def test_else_it_is_asked_of_squeue_and_may_have_no_end(commands, answer, left):
    folder, _ = commands
    (folder / "squeue").write_text(f'#!/bin/sh\necho "$@" >> "$LOG"\necho "  {answer}"\n')
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "SLURM_JOB_ID": "77"}
    assert call("time_left", **environment, LOG=str(folder / "log")) == left
    assert "--jobs=77" in (folder / "log").read_text()


@pytest.fixture
def commands(tmp_path):
    """A folder of stand-ins, and how to start the script with it."""
    for name, text in {"fieldbase": WORKER, "apptainer": WORKER, "scontrol": NOTES,
                       "squeue": NOTES}.items():  # fmt: skip
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "FIELDBASE", "OMP"))}

    def start(*arguments, left_s=3600, **environment):
        return subprocess.Popen(
            ["bash", SCRIPT, *arguments], stderr=subprocess.PIPE, text=True,
            env=clean | {
                "PATH": f"{tmp_path}:{os.environ['PATH']}", "LOG": str(tmp_path / "log"),
                "SLURM_JOB_ID": "80", "SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": "3",
                "SLURM_JOB_END_TIME": str(int(time.time()) + left_s), **environment,
            },
        )  # fmt: skip

    return tmp_path, start


def told(folder, line=None, seconds=10):
    """The lines of the log, once `line` is among them."""
    until = time.monotonic() + seconds
    while True:
        lines = (folder / "log").read_text().splitlines() if (folder / "log").exists() else []
        if line is None or any(line in text for text in lines):
            return lines
        assert time.monotonic() < until, lines
        time.sleep(0.02)


def test_a_task_starts_a_worker_that_leaves_before_its_allocation_ends(commands):
    folder, start = commands
    task = start("cpu", "--study", "one", left_s=3600, SLURM_CPUS_PER_TASK="4")
    assert task.wait(20) == 0
    first, second = told(folder)[:2]
    words = first.split()[1:]
    assert words[:5] == ["worker", "--lane", "cpu", "--grace", "60"]
    assert words[5] == "--max-time"
    assert 3600 - 120 - 60 - 15 <= int(words[6]) <= 3600 - 120 - 60
    assert words[7:] == ["--study", "one"]
    assert second == "image= threads=4"


def test_the_script_gives_the_worker_what_the_command_takes(commands):
    import typer

    from workers.cli import app

    folder, start = commands
    assert start("gpu", "--until-idle").wait(20) == 0
    verb, *rest = told(folder)[0].split()[1:]
    asked = typer.main.get_command(app).commands[verb].make_context(verb, rest).params
    assert asked["lane"] == ["gpu"]
    assert asked["until_idle"]


def test_what_the_worker_ends_with_is_what_the_task_ends_with(commands):
    _, start = commands
    assert start("io", ENDS="1").wait(20) == 1


def test_an_allocation_too_short_for_a_worker_is_refused_in_words(commands):
    folder, start = commands
    task = start("io", left_s=150)
    _, errors = task.communicate(timeout=20)
    assert task.returncode == 2
    assert "a worker needs 180 s to stop: ask for more with --time" in errors
    assert told(folder) == []


def test_before_it_is_taken_away_a_task_hands_back_and_is_queued_again(commands):
    folder, start = commands
    task = start("io", STEPS="200")
    told(folder, "threads=")
    task.send_signal(signal.SIGUSR1)
    assert task.wait(20) == 0
    assert told(folder)[-3:] == ["told to stop", "handed back", "scontrol requeue 77_3"]


def test_a_cancelled_task_hands_back_and_is_not_queued_again(commands):
    folder, start = commands
    task = start("io", STEPS="200")
    told(folder, "threads=")
    task.send_signal(signal.SIGTERM)
    assert task.wait(20) == 0
    assert told(folder)[-2:] == ["told to stop", "handed back"]


def test_in_an_image_the_worker_gets_its_secrets_gpu_and_name(commands):
    folder, start = commands
    task = start("gpu", FIELDBASE_SIF="/images/fieldbase-2.sif", FIELDBASE_SECRETS="/home/me/keys",
                 CUDA_VISIBLE_DEVICES="0")  # fmt: skip
    assert task.wait(20) == 0
    first, second = told(folder)[:2]
    assert first.split("/apptainer ")[1].startswith(
        "run --nv --bind /home/me/keys:/run/secrets/datajoint:ro /images/fieldbase-2.sif "
        "worker --lane gpu "
    )
    assert second.startswith("image=fieldbase-2.sif ")
