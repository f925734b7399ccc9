"""One training loop for every family. Importing this package does not import torch."""

from .errors import OutOfMemory, RankFailed
from .parameters import AugmentParams, EpochRecord, FitParams

__all__ = ["AugmentParams", "EpochRecord", "FitParams", "OutOfMemory", "RankFailed"]
