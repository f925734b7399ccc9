"""A study as its TOML file says it: data, windows, split, models, analyses."""

import tomllib
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field, ValidationError, model_validator

from pipeline.analyses.regions import PostprocessParams
from pipeline.evaluation import EvalParams, FeatureMapping, ProbeParams
from pipeline.models import EmbedParams, parse_params
from pipeline.params import Params
from pipeline.preprocessing import BinParams, LfpParams, SplitParams, WindowParams
from pipeline.training import FitParams

Target = Literal["region", "session", "insertion", "lab"]
ControlKind = Literal[
    "permuted_labels", "phase_randomised", "relabelled", "abnormality", "calibration"
]


class StudyError(ValueError):
    """A study that cannot be run as written; the message says what to change."""


class About(Params):
    """What the study asks, and what its answer does not say."""

    model_config = ConfigDict(serialize_by_alias=True)

    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    title: str = ""
    question: str = ""
    source: str = ""
    not_to_conclude: tuple[str, ...] = ()
    registered: str | None = Field(
        None, alias="register", description="name under which `locate` finds the model"
    )


class Conditions(Params):
    """Which animals are diseased: patterns of genotypes, or of names of subjects or sessions.

    Case counts; ``*`` stands for anything. An animal of neither has no label, one of both is
    refused.
    """

    diseased: tuple[str, ...] = Field(min_length=1)
    control: tuple[str, ...] = Field(min_length=1)
    regions: str = Field("lfp2vec5", description="scheme: only channels with a region of it count")


class Data(Params):
    """Which recordings, which of their signals, which labels."""

    later: ClassVar[frozenset[str]] = frozenset(
        {"only", "subjects", "obtain", "conditions", "may_lack"}
    )
    recordings: tuple[str, ...] = Field(min_length=1, description="paths, globs or URLs")
    lab: str | None = Field(None, description="laboratory, instead of what the files say")
    modalities: tuple[Literal["lfp", "spikes", "behavior", "features"], ...] = ("lfp",)
    series: str | None = Field(None, description="text that the LFP series' path contains")
    only: tuple[str, ...] = Field(
        (), description="LFP series that count: SESSION/TEXT, a text of the series' path"
    )
    behavior: str | None = Field(None, description="text that the behaviour's path contains")
    labels: str | None = Field(None, description="label scheme; None for a study without labels")
    regions: tuple[str, ...] | None = Field(
        None, min_length=2, description="regions that count; channels in others have no label"
    )
    label_origin: str | None = Field(None, description="take labels of this origin only")
    mapping: FeatureMapping | None = Field(None, description="columns of a file of features")
    subjects: str | None = Field(
        None, description="lfpack's files: table that says whose each recording is, or each"
    )
    may_lack: tuple[str, ...] = Field(
        (), description="recordings without which the study runs where the archive lacks them"
    )
    obtain: str = Field("", description="how to get the recordings, said where they are missing")
    conditions: Conditions | None = Field(None, description="for labels = 'condition'")

    @model_validator(mode="after")
    def _told(self):
        if (self.labels == "condition") != (self.conditions is not None):
            raise ValueError("labels = 'condition' and [data.conditions] go together")
        strange = sorted(set(self.may_lack) - set(self.recordings))
        if strange:
            raise ValueError(f"may_lack names {strange}, which are none of the recordings")
        return self


class Model(Params):
    """A model, how it is trained, and with which seeds."""

    name: str = Field(min_length=1, max_length=64)
    family: str
    params: dict[str, Any] = Field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)
    stages: tuple[FitParams, ...] = Field(
        default=(FitParams(objective="none", epochs=0),), min_length=1
    )
    embed: EmbedParams = EmbedParams()

    @model_validator(mode="after")
    def _known(self):
        parse_params({"family": self.family, **self.params})
        return self

    @property
    def values(self) -> Params:
        """The model's parameter object."""
        return parse_params({"family": self.family, **self.params})


class Analyses(Params):
    """What is measured of every model."""

    evaluate: bool = True
    linear_probes: tuple[Target, ...] = ()
    silhouettes: tuple[Target, ...] = ()
    controls: tuple[ControlKind, ...] = ()
    evaluation: EvalParams = EvalParams()
    probe: ProbeParams = ProbeParams()
    postprocess: PostprocessParams = PostprocessParams()


class Published(Params):
    """A value from a paper, to stand beside ours."""

    later: ClassVar[frozenset[str]] = frozenset({"arm", "detail", "statistic"})
    model: str
    metric: str
    level: str
    value: float
    n: int | None = None
    spread: float | None = None
    origin: str = Field(description="text, read from a figure, or recomputed")
    arm: str = Field("", description="of which arm of an experiment; empty without arms")
    detail: str = Field("", description="what a linear probe or a silhouette is of")
    statistic: Literal["", "pooled", "mean over sessions"] = Field(
        "", description="how sessions became one value; empty where it is not stated"
    )

    @property
    def may_be_mean(self) -> bool:
        """Whether it is, or for all that is known could be, a mean over sessions."""
        return self.statistic != "pooled"


class StudySpec(Params):
    """One study."""

    study: About
    data: Data
    lfp: LfpParams = LfpParams()
    windows: WindowParams = WindowParams()
    bins: BinParams = BinParams()
    split: SplitParams | None = Field(None, description="None: every session trains (locate)")
    model: tuple[Model, ...] = ()
    analyses: Analyses = Analyses()
    published: tuple[Published, ...] = ()

    @model_validator(mode="after")
    def _names_differ(self):
        names = [model.name for model in self.model]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two models are called {twice}: give each its own name")
        return self

    @model_validator(mode="after")
    def _controls_can_fail(self):
        ill = self.data.conditions is not None
        asked = set(self.analyses.controls)
        if "abnormality" in asked and not ill:
            raise ValueError("the control 'abnormality' needs [data.conditions]: who is diseased")
        if "permuted_labels" in asked and ill:
            raise ValueError(
                "permuted_labels shuffles channels within a session, and a condition is the same "
                "for all of them: ask for 'abnormality', which permutes animals"
            )
        return self

    @property
    def uses_bins(self) -> bool:
        """Whether spikes or behaviour are binned."""
        return bool({"spikes", "behavior"} & set(self.data.modalities))


def read_study(path: Path) -> StudySpec:
    """The study in a TOML file; relative recordings are relative to the file.

    Raises
    ------
    StudyError
        If the file is not TOML, or says something that is not known; one line per mistake.
    """
    try:
        return StudySpec.model_validate(load_toml(path))
    except ValidationError as error:
        raise StudyError(spell_mistakes(path, error)) from error


def load_toml(path: Path) -> dict[str, Any]:
    """What a study file holds, before it is checked."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StudyError(f"no study file {path}; `fieldbase study plan FILE` needs one") from error
    except tomllib.TOMLDecodeError as error:
        raise StudyError(f"{path} is not TOML: {error}") from error


def spell_mistakes(path: Path, error: ValidationError) -> str:
    """What is wrong in a study file, one line per mistake."""
    lines = [f"  {'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
    return f"{path} is no study we can run:\n" + "\n".join(lines)
