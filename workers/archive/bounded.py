"""Connections of the archive's client that have an end."""

import time
from typing import Any

from requests import RequestException, Timeout
from requests.adapters import HTTPAdapter

from pipeline.nwb.http import TRY_AGAIN, patience_s

LONG_ANSWER = 4
"""How much longer than patience a server may think: a search in a large dandiset takes seconds."""


class Bounded(HTTPAdapter):
    """Connections of the archive's client that give up once patience has ended.

    By itself the client waits for ever where a server is silent, as long as a busy one tells it
    to, and for about a minute at each question where there is no server.
    """

    _failing_since: float | None = None

    def send(self, request: Any, **how: Any) -> Any:
        """The answer, its body read.

        Raises
        ------
        requests.Timeout
            If the server has failed for as long as patience lasts; the client asks no more then.
        """
        began = time.monotonic()
        connect, read = (max(1.0, min(30.0, times * patience_s())) for times in (1, LONG_ANSWER))
        how["timeout"] = connect, read
        try:
            answer = super().send(request, **how)
            answer.content  # noqa: B018 (a body that stalls ends here)
        except RequestException as error:
            self._go_on(began, _name(error), error)
            raise
        if answer.status_code in TRY_AGAIN:
            left = self._go_on(began, f"answered {answer.status_code}")
            after = answer.headers.get("Retry-After", "")
            if not after.isdigit() or int(after) > left:
                answer.headers.pop("Retry-After", None)
        else:
            self._failing_since = None
        return answer

    def _go_on(self, began: float, reason: str, error: Exception | None = None) -> float:
        """How long the server may go on failing (s)."""
        self._failing_since = began if self._failing_since is None else self._failing_since
        spent = time.monotonic() - self._failing_since
        if spent >= patience_s():
            raise Timeout(f"{reason}, {spent:.0f} s long") from error
        return patience_s() - spent


def _name(error: Exception) -> str:
    """What went wrong beneath an error of `requests`, in a word."""
    beneath = error.args[0] if error.args else error
    return type(getattr(beneath, "reason", error)).__name__
