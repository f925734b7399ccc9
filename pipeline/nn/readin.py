"""Per-session linear maps between a session's own units and a shared width."""

import hashlib
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn


class SessionReadIn(nn.Module):
    """One linear map per session from its units to ``dim``, found by the session's name."""

    def __init__(self, sizes: Mapping[str, int], dim: int) -> None:
        super().__init__()
        self.maps = nn.ModuleDict({session_key(s): nn.Linear(n, dim) for s, n in sizes.items()})
        self.sessions = tuple(sizes)

    def forward(self, x: Float[Tensor, "batch time unit"], session: str) -> Float[Tensor, "b t d"]:
        return _find(self.maps, session, self.sessions)(x)


class SessionReadOut(nn.Module):
    """One linear map per session from ``dim`` to its units."""

    def __init__(self, sizes: Mapping[str, int], dim: int) -> None:
        super().__init__()
        self.maps = nn.ModuleDict({session_key(s): nn.Linear(dim, n) for s, n in sizes.items()})
        self.sessions = tuple(sizes)

    def forward(self, x: Float[Tensor, "batch time dim"], session: str) -> Float[Tensor, "b t u"]:
        return _find(self.maps, session, self.sessions)(x)

    @torch.no_grad()
    def set_bias(self, session: str, bias: Float[Tensor, " unit"]) -> None:
        """Start a session's outputs at given values, for example its mean log-rates."""
        _find(self.maps, session, self.sessions).bias.copy_(bias)


def session_key(session: str) -> str:
    """Name of a session's map inside the module: module names may not hold dots."""
    return "s" + hashlib.sha256(session.encode()).hexdigest()[:16]


def _find(maps: nn.ModuleDict, session: str, sessions: tuple[str, ...]) -> nn.Linear:
    if session_key(session) not in maps:
        raise KeyError(
            f"no read-in for session {session!r}; this model was built for {sorted(sessions)}. "
            "Train on that session (starting from these weights) first"
        )
    return maps[session_key(session)]
