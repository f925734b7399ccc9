"""IBL's published region decoders as peers: same channels, same tables, nothing trained."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from ..training.batches import POSITION, Batch
from .context import DataContext
from .draws import Draws, LossInShares, Pool
from .ibl_features import APPROXIMATE, COMPUTED, ibl_features
from .ibl_parameters import IblDecoderParams
from .ibl_release import Release, open_release
from .parameters import EmbedParams
from .wav2vec_weights import NOT_STATED

DEPTH, ACROSS = POSITION.index("depth_um"), POSITION.index("rel_x")


class IblDecoder(LossInShares, nn.Module):
    """An ensemble whose probabilities are averaged; a family says how its members are read.

    Classes that the study does not have are left out and the others scaled to one: a channel is
    then asked which of the study's regions it is in. A class the decoder does not have gets zero.
    """

    method = ""
    manifest: Tensor

    def __init__(self, params: IblDecoderParams, context: DataContext) -> None:
        super().__init__()
        self.params = params
        self.context = context
        self.objective = "none"
        self.provenance: dict[str, Any] = {}
        self.members = nn.ModuleList()
        self.log_temperature = nn.Parameter(torch.zeros(()))  # 0 as published; never stepped
        self.register_buffer("manifest", torch.zeros(0, dtype=torch.uint8))

    @classmethod
    def build(
        cls,
        params: IblDecoderParams,
        context: DataContext,
        *,
        seed: int,
        weights: Path | None = None,
    ) -> "IblDecoder":
        """The decoder as published; empty where ``source`` is (a checkpoint then fills it).

        Raises
        ------
        FileNotFoundError, ValueError
            As ``open_release``; or if none of its classes is one of the study's, or it reads
            features that LFP does not give.
        """
        model = cls(params, context)
        if not params.source:
            return model
        release = open_release(params.source, params.revision, weights, cls.method)
        told = {"features": release.features, "acronyms": release.acronyms,
                "config": release.manifest["config"].get("model_config", {})}  # fmt: skip
        model.manifest = _bytes(told)
        absent = [name for name in release.features if name not in COMPUTED]
        _check_fit(release, context, absent, params)
        model.members.extend(cls.read(release, first=params.members == "first"))
        model.members.requires_grad_(False)
        facts = release.facts()
        if facts["licence"] == NOT_STATED:
            facts["licence"] = f"not stated in the release; {params.licence_seen}"
        model.provenance = {**facts, "absent": absent, "approximate": APPROXIMATE}
        return model

    @staticmethod
    def read(release: Release, *, first: bool) -> list[nn.Module]:
        """The members of the ensemble, or the first alone."""
        raise NotImplementedError

    def restored(self, state: dict[str, Tensor]) -> list[nn.Module]:
        """Members of the shapes that a checkpoint holds."""
        raise NotImplementedError

    def probabilities(
        self, member: nn.Module, x: Tensor, batch: Batch, there: Tensor
    ) -> Float[Tensor, "window channel klass"]:
        """What one member answers."""
        raise NotImplementedError

    @property
    def told(self) -> dict[str, Any]:
        """Features, classes and architecture."""
        return json.loads(bytes(self.manifest.cpu().numpy()).decode())

    def load_state_dict(self, state: dict[str, Tensor], *args: Any, **kwargs: Any) -> Any:
        """Also of another release than the one built from: members come from the state."""
        self.manifest = state["manifest"].clone().to(self.manifest.device)
        self.members = nn.ModuleList(self.restored(state))
        return super().load_state_dict(state, *args, **kwargs)

    def prepare(self, batches: Iterable[Batch]) -> None:
        """Nothing: it has been trained."""

    def features(self, batch: Batch) -> Float[Tensor, "window channel feature"]:
        """What the decoder reads, of each channel of each window."""
        place = batch.position[0]  # one session: all windows have the same channels
        lines = torch.stack([batch.probe[0].float(), place[:, ACROSS].nan_to_num()], dim=1)
        return ibl_features(
            batch.lfp,
            batch.rate,
            depth_um=place[:, DEPTH],
            column=lines.unique(dim=0, return_inverse=True)[1],
            good=batch.channel_valid,
            names=self.told["features"],
        )

    def predict(self, batch: Batch) -> Float[Tensor, "window channel klass"]:
        """Probabilities of the study's classes."""
        if not self.context.classes:
            raise ValueError(f"{self.params.family} was built without classes; nothing to predict")
        with torch.no_grad():
            x, there = self._input(batch)
            each = [self.probabilities(member, x, batch, there) for member in self.members]
            mean = torch.stack(each).mean(dim=0)
            acronyms = self.told["acronyms"]
            columns = [acronyms.index(c) if c in acronyms else -1 for c in self.context.classes]
            known = torch.tensor([c >= 0 for c in columns], device=mean.device)
            score = (mean[..., columns] * known).clamp(min=1e-12).log()
        return (score * (-self.log_temperature).exp()).softmax(dim=-1)

    def embed(self, batch: Batch, params: EmbedParams) -> Float[Tensor, "window channel feature"]:
        """The features (dB), 0 where there is none."""
        return self.features(batch).nan_to_num()

    def draw(self, batch: Batch, rng: Generator) -> Draws:
        """Nothing is random here."""
        known = batch.region >= 0
        return Draws(torch.zeros_like(known), known, float(known.sum()))

    def share(self, batch: Batch, draws: Draws, pool: Pool | None = None) -> dict[str, Tensor]:
        """Cross-entropy of the labelled channels."""
        known = batch.region >= 0
        right = self.predict(batch).gather(-1, batch.region.clamp(min=0)[..., None])[..., 0]
        return {"total": -right[known].clamp(min=1e-12).log().sum() / draws.scored}

    def _input(self, batch: Batch) -> tuple[Tensor, Bool[Tensor, "window channel"]]:
        """Features, and which channels were kept and have all that LFP gives."""
        x, names = self.features(batch), self.told["features"]
        given = [i for i, name in enumerate(names) if name in COMPUTED]
        return x, x[..., given].isfinite().all(dim=-1) & batch.channel_valid


def _bytes(told: dict[str, Any]) -> Tensor:
    return torch.frombuffer(bytearray(json.dumps(told).encode()), dtype=torch.uint8)


def _check_fit(
    release: Release, context: DataContext, absent: list[str], params: IblDecoderParams
) -> None:
    if context.classes and not set(context.classes) & set(release.acronyms):
        raise ValueError(
            f"{release.folder} tells {list(release.acronyms)} apart, the windows are labelled "
            f'{list(context.classes)}; label them in the decoder\'s scheme (labels = "Cosmos")'
        )
    if absent and (params.absent == "refuse" or len(absent) == len(release.features)):
        raise ValueError(
            f"{release.folder} reads {len(absent)} of {len(release.features)} features that LFP "
            f'does not give: {", ".join(absent)}; absent = "missing" asks it without them, which '
            "is not what its publishers scored"
        )
