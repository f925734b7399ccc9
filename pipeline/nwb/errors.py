"""The one error a file can cause, in three parts that fit an error row."""

from ..redact import redact


class ReadError(Exception):
    """A recording that cannot be read.

    Attributes
    ----------
    stage
        What was being done: "open", "read", "memory", "deadline", "crash", "layout", "network",
        "changed".
    message
        What was asked and what there is, in one sentence.
    way_out
        What to do about it, in one sentence.
    """

    def __init__(self, stage: str, message: str, way_out: str):
        message, way_out = redact(message), redact(way_out)
        super().__init__(stage, message, way_out)
        self.stage, self.message, self.way_out = stage, message, way_out

    def __str__(self) -> str:
        return f"{self.message}; {self.way_out}"


class TransientReadError(ReadError):
    """Nothing is wrong with the recording: the network or its server failed, now."""

    transient = True


class ContentChanged(ReadError):
    """What lies there now is not what was registered."""


KINDS = {kind.__name__: kind for kind in (ReadError, TransientReadError, ContentChanged)}
"""By name, to cross a process border."""
