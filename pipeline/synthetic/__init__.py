"""A synthetic laboratory: what `fieldbase demo` records when nobody gives it a recording.

Frozen for mice in the Allen-like, IBL-like and generic laboratories: models are compared on them,
and a changed constant voids every figure measured before (tests/pipeline/test_synthetic_frozen.py).
"""

from .lab import write_lab as write_lab
from .lab import write_sessions as write_sessions
from .session import LabParams as LabParams
from .session import SyntheticSession as SyntheticSession
from .session import simulate_session as simulate_session
