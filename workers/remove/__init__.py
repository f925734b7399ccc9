"""What leaves for good: a file, session, subject, training or study, with all that rests on it."""

from .apply import RemovalRefused, remove
from .names import KINDS, NoSuchName
from .plan import Removal, plan_removal

__all__ = ["KINDS", "NoSuchName", "Removal", "RemovalRefused", "plan_removal", "remove"]
