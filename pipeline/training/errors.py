"""What ends a training for good. Free of torch, so that any worker can tell these apart."""


class OutOfMemory(Exception):
    """A single row does not fit into memory; trying again will not help.

    Attributes
    ----------
    way_out
        What to do.
    rows
        How many rows were computed together when memory ran out; 0 where no row was.
    """

    way_out = (
        "use a machine or device with more memory, or a smaller model or window, then "
        "`fieldbase retry`"
    )

    def __init__(self, message: str, rows: int = 0) -> None:
        super().__init__(message)
        self.rows = rows


class RankFailed(RuntimeError):
    """One of the processes of a training on several devices failed; carries its traceback."""
