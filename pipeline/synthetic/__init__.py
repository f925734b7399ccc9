"""A synthetic laboratory: what `fieldbase demo` records when nobody gives it a recording."""

from .lab import write_lab as write_lab
from .lab import write_sessions as write_sessions
from .session import LabParams as LabParams
from .session import SyntheticSession as SyntheticSession
from .session import simulate_session as simulate_session
