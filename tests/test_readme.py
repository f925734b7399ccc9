"""What README and docs tell people to type is there."""

import ast
import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest
import typer

import schemas
from workers.cli import app

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
PAGES = [path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))]
PROSE = re.sub(r"\s+", " ", TEXT)
LINES = [line[4:].partition(" #")[0].strip() for line in re.findall(r"^    .*", TEXT, re.M)]
SPOKEN = [text.replace("\n", " ") for text in re.findall(r"`([^`]+)`", TEXT)]


def commands(text):
    text = re.sub(r" \\\n\s*", " ", text)  # a line that goes on is one
    typed = [line[4:].partition(" #")[0].strip() for line in re.findall(r"^    .*", text, re.M)]
    spoken = [said.replace("\n", " ") for said in re.findall(r"`([^`]+)`", text)]
    parts = [part.strip() for line in [*typed, *spoken] for part in line.split("&&")]
    return {re.sub(r"^fieldbase --home \S+", "fieldbase", p) for p in parts
            if p.startswith("fieldbase ")}  # fmt: skip


COMMANDS = sorted(commands(TEXT))
PYTHON = [line for line in LINES if re.match(r"(import|schemas|recording)\b", line)]


def test_the_readme_shows_the_verbs():
    named = {command.split()[1] for command in COMMANDS}
    verbs = {command.name or command.callback.__name__ for command in app.registered_commands}
    groups = {group.name for group in app.registered_groups}
    assert named - {"--help"} == verbs | groups


@pytest.mark.parametrize("command", sorted(set(COMMANDS).union(*map(commands, PAGES))))
def test_a_command_and_its_options_exist(command):
    words = shlex.split(command)[1:]
    group = typer.main.get_command(app)
    context = click.Context(group)
    while isinstance(group, click.Group | typer.core.TyperGroup) and not words[0].startswith("-"):
        found = group.get_command(context, words[0])
        assert found is not None, f"no command {words[0]}"
        group, words = found, words[1:]
    if words != ["--help"] and not isinstance(group, typer.core.TyperGroup):
        required = [p for p in group.params if p.required and p.nargs == 1]
        given = words if words else ["x"] * len(required)  # named in a sentence, not typed out
        group.make_context(group.name, given, resilient_parsing=False)


@pytest.mark.parametrize("line", PYTHON)
def test_python_lines_parse_and_name_what_there_is(line):
    tree = ast.parse(line)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("schemas."):
            found = schemas
            for name in ast.unparse(node).split(".")[1:]:
                found = getattr(found, name)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make ([a-z-]+)\b(?= |`)", TEXT))))
def test_make_targets_exist(target):
    makefile = (ROOT / "Makefile").read_text()
    if target in SPOKEN or f"`make {target}`" in TEXT or f"    make {target}" in TEXT:
        assert re.search(rf"^{target}:", makefile, re.M)


def test_what_the_page_of_studies_writes_into_a_study_is_accepted():
    from pipeline.analyses.postprocess import PUBLISHED_WEIGHTS
    from workers.study.spec import Analyses, Conditions

    accepted = {
        "data": lambda data: Conditions(**data["conditions"]),
        "analyses": Analyses.from_json,
    }
    page = (ROOT / "docs" / "studies.md").read_text()
    blocks = re.findall(r"(?:^    .*\n)+", page, re.M)
    written = [tomllib.loads(block) for block in blocks if block.lstrip().startswith("[")]
    made = [accepted[name](value) for table in written for name, value in table.items()]
    assert len(made) == 4
    assert made[3].postprocess.risk.target == 0.05
    assert made[1].postprocess.class_weights == PUBLISHED_WEIGHTS
    for path in re.findall(r"\]\(((?!http)[^)]+)\)", page):
        assert (ROOT / "docs" / path).exists(), path


def test_files_and_defaults_it_names_are_so():
    from pipeline.analyses.regions import PostprocessParams
    from pipeline.evaluation import EvalParams

    for path in re.findall(r"\]\(((?!http)[^)]+)\)", TEXT):
        assert (ROOT / path).exists(), path
    assert f"`unknown` below a confidence of {PostprocessParams().unknown_below:g}" in PROSE
    assert EvalParams().unknown_below == 0  # what "is off" says


def test_the_spikeinterface_line_reads_what_locate_writes(tmp_path, monkeypatch):
    import pandas

    from pipeline.nwb import write_regions_csv
    from pipeline.nwb.summary import LfpSummary

    monkeypatch.chdir(tmp_path)
    series = LfpSummary(series="lfp", n_samples=1, n_channels=2, channel_ids=[7, 3])
    regions = {3: ("CA1", 0.9), 7: ("DG", 0.8)}
    write_regions_csv(tmp_path / "FILE_regions.csv", [series], regions, model="m")
    kept = {}

    class Recording:
        def set_property(self, name, values):
            kept[name] = values

    (line,) = [line for line in PYTHON if line.startswith("recording.")]
    exec(line, {"recording": Recording(), "pandas": pandas})
    assert kept["region"].tolist() == ["DG", "CA1"]
    assert kept["region"].dtype.kind == "U"
