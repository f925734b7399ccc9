"""One training loop for every family. Importing this package does not import torch."""

from .errors import OutOfMemory, RankFailed
from .parameters import EpochRecord, FitParams

__all__ = ["EpochRecord", "FitParams", "OutOfMemory", "RankFailed"]
