"""IBL's gradient-boosted decoder: one channel at a time."""

import torch
from torch import Tensor, nn

from ..training.batches import Batch
from .boosted_trees import FIELDS, BoostedTrees
from .ibl_decoder import IblDecoder
from .ibl_release import Release


class IblTrees(IblDecoder):
    """One model per fold of its training, or the one of all data where there are no folds."""

    method = "xgboost"

    @staticmethod
    def read(release: Release, *, first: bool) -> list[nn.Module]:
        folds = list(release.manifest.get("artifacts", {}).get("folds") or [])
        names = [(f"folds/{fold}/model", f"{fold}/model") for fold in folds] or [("model",)]
        files = [
            release.file(*(f"{name}.{kind}" for name in each for kind in ("ubj", "json")))
            for each in names[: 1 if first else None]
        ]
        found = [BoostedTrees.read(file) for file in files]
        for trees, file in zip(found, files, strict=True):
            widest = int(trees.feature.max()) if len(trees.feature) else -1
            if trees.n_classes != len(release.acronyms) or widest >= len(release.features):
                raise ValueError(
                    f"{file} has {trees.n_classes} classes and reads feature {widest}; its release "
                    f"names {len(release.acronyms)} classes and {len(release.features)} features"
                )
        return found

    def restored(self, state: dict[str, Tensor]) -> list[nn.Module]:
        count = sum(name.endswith(".root") for name in state)
        return [
            BoostedTrees({name: state[f"members.{i}.{name}"].clone() for name in FIELDS})
            for i in range(count)
        ]

    def probabilities(self, member: nn.Module, x: Tensor, batch: Batch, there: Tensor) -> Tensor:
        """Features that are missing are for the trees to deal with: they were trained on some."""
        clean = torch.where(x.isfinite(), x, torch.nan)
        return member(clean.flatten(0, 1)).unflatten(0, x.shape[:2])
