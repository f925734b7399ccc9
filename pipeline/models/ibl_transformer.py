"""IBL's channel transformer: a probe at a time."""

from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ..training.batches import Batch
from .ibl_decoder import DEPTH, IblDecoder
from .ibl_release import Release
from .probe_transformer import ProbeTransformer

WEIGHTS = "best_model"


class IblTransformer(IblDecoder):
    """One network per seed of its training, each with its own scaling of the features."""

    method = "transformer"

    @staticmethod
    def read(release: Release, *, first: bool) -> list[nn.Module]:
        artifacts = release.manifest.get("artifacts", {})
        config = release.manifest["config"].get("model_config") or {}
        scaler = str(artifacts.get("scaler", "feature_scaler.npz"))
        found = []
        for seed in list(artifacts.get("seeds") or ["."])[: 1 if first else None]:
            member = _Member(config, release)
            member.fill(_weights(release, str(seed)), release.file(f"{seed}/{scaler}"))
            found.append(member)
        return found

    def restored(self, state: dict[str, Tensor]) -> list[nn.Module]:
        count = sum(name.endswith(".mean") for name in state)
        told = self.told
        return [_Member(told["config"], None, len(told["features"])) for _ in range(count)]

    def probabilities(self, member: nn.Module, x: Tensor, batch: Batch, there: Tensor) -> Tensor:
        """Channels that were rejected or lack a feature are attended to by none.

        Raises
        ------
        ValueError
            If the depth of a channel is not known.
        """
        depth = batch.position[0, :, DEPTH]
        if bool(depth[there.any(dim=0)].isnan().any()):
            raise ValueError(
                f"ibl_transformer needs the depth of every channel along its shank (depth_um), and "
                f"{batch.session[0]} lacks some"
            )
        scaled = ((x - member.mean) / member.std).nan_to_num(0.0, 0.0, 0.0)
        found = torch.full((*x.shape[:2], member.n_classes), 1 / member.n_classes, device=x.device)
        for probe in batch.probe[0].unique():
            at = (batch.probe[0] == probe).nonzero()[:, 0]
            here = there[:, at]
            kept = here.any(dim=1)  # a window without any channel has nothing to attend to
            if not kept.any():
                continue
            place = depth[at].nan_to_num().expand(int(kept.sum()), -1)
            logits = member.network(scaled[kept][:, at], place, here[kept])
            answer = (logits / member.temperature).softmax(dim=-1)
            even = torch.full_like(answer, 1 / member.n_classes)
            rows = kept.nonzero()
            found[rows, at] = torch.where(here[kept][..., None], answer, even)
        return found


class _Member(nn.Module):
    """A network and the scaling it was trained with."""

    mean: Tensor
    std: Tensor

    def __init__(
        self, config: dict[str, Any], release: Release | None, n_features: int = 0
    ) -> None:
        super().__init__()
        n_features = len(release.features) if release else n_features
        try:
            self.n_classes = int(config["n_classes"])
            self.network = ProbeTransformer(
                n_features=int(config["n_features"]),
                n_classes=self.n_classes,
                d_model=int(config["d_model"]),
                n_heads=int(config["n_heads"]),
                n_layers=int(config["n_transformer_layers"]),
                n_merfish=int(config.get("n_merfish") or 0),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"the release's model_config does not say {error}") from error
        if int(config["n_features"]) != n_features:
            raise ValueError(
                f"the release's network reads {config['n_features']} features, it names "
                f"{n_features}"
            )
        if release is not None and self.n_classes != len(release.acronyms):
            raise ValueError(
                f"the release's network has {self.n_classes} classes, it names "
                f"{len(release.acronyms)}"
            )
        self.temperature = float(config.get("temperature", 1.0))
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("std", torch.ones(n_features))

    def fill(self, weights: dict[str, Tensor], scaler: Any) -> None:
        """Take weights and scaling from files; raises ``ValueError`` if they do not fit."""
        try:
            self.network.load_state_dict(weights)
            with np.load(scaler, allow_pickle=False) as given:
                mean, std = (
                    torch.from_numpy(np.float32(given[n]).ravel()) for n in ("mean", "std")
                )
        except (RuntimeError, KeyError, ValueError, OSError) as error:
            first = str(error).splitlines()[0]
            raise ValueError(f"{scaler.parent} does not fit its release: {first}") from error
        if mean.shape != self.mean.shape or std.shape != self.std.shape:
            raise ValueError(f"{scaler} scales {len(mean)} features, not {len(self.mean)}")
        self.mean.copy_(mean)
        self.std.copy_(std)


def _weights(release: Release, seed: str) -> dict[str, Tensor]:
    folder = release.folder / seed
    path = folder / f"{WEIGHTS}.safetensors"
    if not path.is_file():
        pickled = sorted(p.name for p in folder.glob("*.pt")) if folder.is_dir() else []
        if pickled:
            raise ValueError(
                f"{folder} holds pickled weights only ({', '.join(pickled)}), which can run any "
                "code and are never loaded: where you trust them, write them once as "
                f"{path.name} (safetensors.torch.save_file(torch.load(file, weights_only=True), "
                "file))"
            )
        raise ValueError(f"{release.folder} is incomplete: it has no {seed}/{path.name}")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is no safetensors file ({error}); fetch it again") from error
