"""What leaves the database: a study's rows, a model, a recording with its regions."""

from .model import export_model
from .recording import export_recording
from .study import export_study

__all__ = ["export_model", "export_recording", "export_study"]
