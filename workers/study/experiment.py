"""An experiment: studies that differ in a few values, and their synthetic twins."""

import copy
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from pipeline.params import Params
from pipeline.synthetic.session import LabParams

from .spec import Published, StudyError, StudySpec, load_toml, spell_mistakes

Protocol = Literal["published", "strict"]


class Variant(Params):
    """One study of an experiment: what it is called, and where it differs."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,32}$")
    protocol: Protocol = "strict"
    arm: str = Field("", description="what the variants of both protocols share: a row's name")
    only_models: tuple[str, ...] = Field((), description="of the file's models; empty: all")
    twin: dict[str, Any] = Field(default_factory=dict, description="where its twin differs more")


class Twin(Params):
    """Laboratories to simulate, and where the twin of every study differs from it."""

    model_config = ConfigDict(extra="allow")

    lab: dict[str, LabParams] = Field(min_length=1, description="folder: what is simulated in it")


class Member(Params):
    """One study, by the protocol and the arm it stands for."""

    spec: StudySpec
    protocol: Protocol = "strict"
    arm: str = ""


class Experiment(Params):
    """What a study file says: one study, or several that one table compares.

    ``labs`` are what its twin simulates, by folder.
    """

    name: str
    members: tuple[Member, ...]
    published: tuple[Published, ...] = ()
    labs: dict[str, LabParams] = Field(default_factory=dict)

    @property
    def specs(self) -> list[StudySpec]:
        """The studies, in order."""
        return [member.spec for member in self.members]


def read_experiment(path: Path, *, twin: bool = False, only: Sequence[str] = ()) -> Experiment:
    """The studies in a TOML file.

    Each ``[[variant]]`` is the file with the variant's values on top: tables are merged, lists of
    tables by their ``name`` or else by position, anything else is replaced. ``only_models`` of a
    variant are the models that it has.

    Parameters
    ----------
    twin
        The same studies on simulated recordings, as ``[twin]`` says; their names begin with
        "twin-", and paths are relative to where the laboratories are written.
    only
        Names of the variants to take; none takes all.

    Raises
    ------
    StudyError
        If the file is no TOML, says something that is not known, or has no such variant or twin.
    """
    values = load_toml(path)
    try:
        variants = [Variant.model_validate(v) for v in values.pop("variant", [])]
        simulated = values.pop("twin", None)
        if twin and simulated is None:
            raise StudyError(f"{path} has no [twin]: it says nothing of a synthetic laboratory")
        both = Twin.model_validate(simulated) if twin else None
        unknown = sorted(set(only) - {one.name for one in variants})
        if unknown:
            raise StudyError(
                f"{path} has no variant {unknown}; it has {[one.name for one in variants]}"
            )
        name = values["study"]["name"] if "study" in values else ""
        chosen = [one for one in variants if not only or one.name in only]
        members = [_member(values, one, both) for one in chosen or [None]]
        return Experiment(
            name=f"twin-{name}" if twin else name,
            members=tuple(members),
            published=tuple(Published.model_validate(p) for p in values.get("published", [])),
            labs=both.lab if both else {},
        )
    except ValidationError as error:
        raise StudyError(spell_mistakes(path, error)) from error


def merge(base: Any, over: Any) -> Any:
    """`over` on top of `base`, neither of them changed."""
    if isinstance(base, dict) and isinstance(over, dict):
        return {**base, **{k: merge(base[k], v) if k in base else v for k, v in over.items()}}
    if _tables(base) and _tables(over):
        return _merge_tables(base, over)
    return copy.deepcopy(over)


def _merge_tables(base: list[dict], over: list[dict]) -> list[dict]:
    """Tables with a name go on top of the one so called, or behind; others by position."""
    made = copy.deepcopy(base)
    at_name = {one["name"]: at for at, one in enumerate(made) if "name" in one}
    for place, one in enumerate(over):
        at = at_name.get(one["name"], len(made)) if "name" in one else place
        made[at:] = [
            merge(made[at], one) if at < len(made) else copy.deepcopy(one),
            *made[at + 1 :],
        ]
    return made


def _tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _member(values: dict[str, Any], variant: Variant | None, twin: Twin | None) -> Member:
    made = values
    if variant is not None:
        made = merge(made, variant.model_extra)
        made = merge(made, {"study": {"name": f"{values['study']['name']}.{variant.name}"}})
    if twin is not None:
        made = merge(made, twin.model_extra)
        made = merge(made, variant.twin if variant else {})
        made = merge(made, {"study": {"name": f"twin-{made['study']['name']}"}})
        made.pop("published", None)  # a paper's value is no target for simulated recordings
    if variant is None:
        return Member(spec=StudySpec.model_validate(made))
    if variant.only_models:
        made = {**made, "model": _chosen(made.get("model", []), variant)}
    mine = [p for p in made.get("published", []) if p.get("arm", "") == variant.arm]
    spec = StudySpec.model_validate({**made, "published": mine})
    return Member(spec=spec, protocol=variant.protocol, arm=variant.arm)


def _chosen(models: list[dict[str, Any]], variant: Variant) -> list[dict[str, Any]]:
    """The models that a variant has, in the file's order."""
    names = [one.get("name") for one in models]
    if unknown := [name for name in variant.only_models if name not in names]:
        raise StudyError(f"variant {variant.name!r} has no model {unknown}; there are {names}")
    return [one for one in models if one.get("name") in variant.only_models]


def simulate(experiment: Experiment, folder: Path, say: Callable[[str], None]) -> None:
    """Write the laboratories of a twin that are not there yet."""
    from pipeline.synthetic.lab import write_sessions

    for name, lab in experiment.labs.items():
        place = folder / name
        if place.exists():
            continue
        say(f"simulating {lab.subjects} subjects of {name} (synthetic: no animal) in {place}")
        fresh = place.with_name(f"{name}.part")
        shutil.rmtree(fresh, ignore_errors=True)
        for _ in write_sessions(fresh, lab):
            pass
        fresh.rename(place)
