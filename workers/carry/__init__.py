"""A whole database with its objects as a folder, and from a folder into a database."""

from .bring import Brought, import_all
from .folder import CarryError
from .take import Taken, export_all

__all__ = ["Brought", "CarryError", "Taken", "export_all", "import_all"]
