"""Which registered model fits a recording, and why."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas import session, training
from schemas._registered import make_card, postprocessing_of, probe_kinds

HEARS = ("lfp", "position")
"""What `locate` can give a model."""


class LocateError(LookupError):
    """What `locate` was asked cannot be done; the message says what to do instead."""


@dataclass(frozen=True)
class Recorded:
    """What of a recording decides which model fits.

    ``rate_hz`` is the lowest sampling rate among its LFP series; None where unknown.
    """

    session: str
    species: str | None
    synthetic: bool
    probes: tuple[str, ...]
    rate_hz: float | None


@dataclass(frozen=True)
class Chosen:
    """A model, what is known of it, and why it is this one."""

    name: str
    training: str
    card: dict[str, Any]
    reason: str

    @property
    def classes(self) -> tuple[str, ...]:
        """Regions it can name, in order."""
        return tuple(self.card["classes"])

    @property
    def label_line(self) -> str:
        """Its label set, for people."""
        return (
            f"model {self.name} tells apart {len(self.classes)} regions "
            f"({self.card['scheme']}): {', '.join(self.classes)}. A channel anywhere else gets one "
            "of these, or unknown."
        )


def describe_recording(series: list[dict[str, Any]]) -> Recorded:
    """What decides about the session of these LFP series (rows of LfpSeries)."""
    key = {"session": series[0]["session"]}
    about = (session.Session * session.Subject.proj("species") & key).fetch1()
    rates = [one["lfp_rate_hz"] for one in series if one["lfp_rate_hz"] is not None]
    return Recorded(
        session=key["session"],
        species=about["species"],
        synthetic=bool(about["synthetic"]),
        probes=tuple(probe_kinds(series)),
        rate_hz=min(rates) if rates else None,
    )


def find_model(name: str) -> Chosen:
    """The model of that name, or the training whose digest begins with it (``DIGEST@STUDY``).

    Raises
    ------
    LocateError
        If there is none, or it cannot be asked about LFP.
    """
    rows = (training.RegisteredModel & {"registered_model": name}).to_dicts()
    if rows:
        chosen = Chosen(name, rows[0]["training"], rows[0]["card"], "asked for by name")
    else:
        chosen = Chosen(name, *_by_digest(name), "asked for by its digest")
    missing = _lacks(chosen.card)
    if missing:
        raise LocateError(
            f"model {name!r} needs {', '.join(missing)}; locate gives a model the field potential "
            "of an NWB file. Choose a model that reads LFP"
        )
    return chosen


def refuse_synthetic(chosen: Chosen, recorded: Recorded, allow: bool) -> None:
    """Raise a LocateError for a model of simulated data on a real recording."""
    if chosen.card["synthetic"] and not recorded.synthetic and not allow:
        raise LocateError(
            f"model {chosen.name!r} was trained on synthetic data and {recorded.session} is a real "
            "recording: its regions would mean nothing. Train a model on labelled recordings, or "
            "give --allow-synthetic to see what it says, with a watermark on every output"
        )


def registered_models() -> list[dict[str, Any]]:
    """Every named model with its card, by name."""
    return training.RegisteredModel().to_dicts(order_by="registered_model")


def choose_model(recorded: Recorded, *, allow_synthetic: bool) -> tuple[Chosen | None, list[str]]:
    """The registered model that fits best, and for each other one why it was passed over."""
    fitting, passed = [], []
    for row in registered_models():
        name, card = row["registered_model"], row["card"]
        against = why_not(card, recorded, allow_synthetic=allow_synthetic)
        if against:
            passed.append(f"{name}: {'; '.join(against)}")
        else:
            fitting.append((_merit(card, recorded), row["model_added"], name, row))
    if not fitting:
        return None, passed
    *_, name, row = max(fitting, key=lambda item: item[:3])
    passed += [f"{other[2]}: fits, {name} fits better" for other in fitting if other[2] != name]
    reason = why(row["card"], recorded)
    return Chosen(name, row["training"], row["card"], reason), passed


def why_not(card: dict[str, Any], recorded: Recorded, *, allow_synthetic: bool) -> list[str]:
    """What speaks against a model, in words; empty if it fits."""
    against = []
    if missing := _lacks(card):
        against.append(f"needs {', '.join(missing)}")
    if card["synthetic"] and not recorded.synthetic and not allow_synthetic:
        against.append("trained on synthetic data (--allow-synthetic)")
    if _differ([recorded.species], card["species"]):
        against.append(f"species {_list(card['species'])}, here {recorded.species}")
    if _differ(recorded.probes, card["probes"]):
        against.append(f"probe {_list(card['probes'])}, here {_list(recorded.probes)}")
    need = _top_hz(card)
    if need and recorded.rate_hz and recorded.rate_hz / 2 < 0.99 * need:
        against.append(f"reads up to {need:g} Hz, this recording holds {recorded.rate_hz / 2:g} Hz")
    return against


def why(card: dict[str, Any], recorded: Recorded) -> str:
    """What speaks for a model, in words."""
    parts = [
        f"species {recorded.species}"
        if recorded.species and recorded.species in card["species"]
        else "species not known on both sides",
        f"probe {_list(set(recorded.probes) & set(card['probes']))}"
        if set(recorded.probes) & set(card["probes"])
        else "probe not known on both sides",
    ]
    if card["band_hz"]:
        low, high = (f"{edge:g}" if edge else "as recorded" for edge in card["band_hz"])
        parts.append(f"band {low} to {high} Hz")
    parts.append(f"trained on {card['n_subjects']} subjects")
    score = card.get("score")
    if score:
        parts.append(
            f"{score['metric'].replace('_', ' ')} {score['value']:.2f} held out "
            f"(chance {score['chance']:.2f})"
        )
    return ", ".join(parts)


def training_command(recorded: Recorded | None) -> str:
    """The command that trains a model for such a recording: a study here, else one to begin from.

    Paths are such as can be pasted into the shell it is printed in.
    """
    from .study.experiment import read_experiment
    from .study.spec import StudyError

    human = recorded is not None and recorded.species == "Homo sapiens"
    suited = {"lobe", "Desikan-Killiany"} if human else {"lfp2vec5", "Cosmos", "Beryl", "Allen"}
    for path in sorted((Path(__file__).parents[1] / "studies").glob("*.toml")):
        try:
            spec = read_experiment(path).specs[0]
        except StudyError:
            continue
        named = spec.study.registered is not None
        if named and spec.data.labels in suited and "lfp" in spec.data.modalities:
            return f"fieldbase study run {_from_here(path)}"
    template = _from_here(Path(__file__).with_name("demo.toml"))
    return (
        "fieldbase study run STUDY.toml (begin with a copy of "
        f"{template}: change [study] name and register, [data] recordings and labels)"
    )


def _from_here(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _by_digest(name: str) -> tuple[str, dict[str, Any]]:
    """The training whose digest begins with ``DIGEST`` or ``DIGEST@STUDY``, and its card."""
    begin, _, study = name.partition("@")
    hexadecimal = len(begin) >= 8 and set(begin) <= set("0123456789abcdef")
    found = training.Training & f"training like '{begin}%'" if hexadecimal else []
    digests = list(found.to_arrays("training")) if hexadecimal else []
    if len(digests) == 1:
        trained = str(digests[0])
        return trained, _card_of(trained, begin, study)
    known = [row["registered_model"] for row in registered_models()]
    there = f"there are {known}" if known else "none is registered yet"
    raise LocateError(
        f'no model {name!r}; {there}. A study registers its model with `register = "NAME"` '
        f"under [study]; train one: {training_command(None)}"
    )


def _card_of(trained: str, begin: str, study: str) -> dict[str, Any]:
    """The card of a training, with the post-processing of the study that was named."""
    ways = postprocessing_of(trained)
    there = ", ".join(f"{begin}@{one}" for one in ways)
    if study and study not in ways:
        raise LocateError(
            f"no study {study!r} has answers of training {begin}; "
            + (f"ask for {there}" if there else "no study has: leave it out")
        )
    if not study and len(set(ways.values())) > 1:
        raise LocateError(
            f"training {begin} is of studies that post-process its answers differently: ask for "
            f"one, --model {there}"
        )
    return make_card(trained, study or None)


def _lacks(card: dict[str, Any]) -> list[str]:
    """What a model needs that LFP windows do not give."""
    from pipeline.models import MODELS

    family = MODELS[card["family"]]
    needs = set(family.needs) - set(HEARS)
    return sorted(needs) or ([] if card["lfp_params"] else ["features made elsewhere"])


def _merit(card: dict[str, Any], recorded: Recorded) -> tuple:
    score = card.get("score") or {}
    gain = score["value"] - score["chance"] if score else float("-inf")
    return (
        not card["synthetic"] or recorded.synthetic,
        recorded.species in card["species"],
        len(set(recorded.probes) & set(card["probes"])),
        gain,
        card["n_subjects"],
    )


def _differ(here, there) -> bool:
    known = {text.casefold() for text in here if text}
    return bool(known and there) and not known & {text.casefold() for text in there}


def _list(names) -> str:
    return ", ".join(sorted(names)) or "unknown"


def _top_hz(card: dict[str, Any]) -> float | None:
    """Highest frequency a model was given (Hz)."""
    lowpass = card["band_hz"][1] if card["band_hz"] else None
    nyquist = min(card["rates_hz"]) / 2 if card["rates_hz"] else None
    known = [value for value in (lowpass, nyquist) if value]
    return min(known) if known else None
