"""Passwords, keys and signatures leave no text that is shown, logged or stored."""

import json
import os
import re
from collections.abc import Iterable
from functools import lru_cache

HIDDEN = "***"
_USER = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/?#\"'<>]*@", re.IGNORECASE)
_QUERY = re.compile(
    r"([?&;](?:x-(?:amz|goog)-(?:signature|credential|security-token)|signature|sig|awsaccesskeyid|"
    r"googleaccessid|key-pair-id|policy|[\w-]*token|auth|authorization|[\w-]*api-?_?key|key|"
    r"[\w-]*secret[\w-]*|password|passwd|pwd)=)[^&;\s\"'#<>]+",
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"((?:password|passwd|secret|secret_key|secret_access_key|aws_secret_access_key|api_key|"
    r"access_token|session_token)\\?[\"']?\s*[:=]\s*\\?[\"'])[^\"'\\]+",
    re.IGNORECASE,
)
_HEADER = re.compile(r"(authorization\W{1,5}(?:token|bearer|basic)\s+)[^\s\"',]+", re.IGNORECASE)
VARIABLES = (
    "DJ_PASS", "DANDI_API_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN",
)  # fmt: skip
KEYS = ("secret_key", "secret", "token", "password", "session_token")
"""Of a store in ``DJ_STORES``, what is secret."""
SHORTEST = 8


def redact(text: str) -> str:
    """The text without the passwords and signatures of URLs, and without this process's own.

    >>> redact("no https://ann:pw@host/a.nwb?versionId=7&X-Amz-Signature=12ab there")
    'no https://***@host/a.nwb?versionId=7&X-Amz-Signature=*** there'
    """
    text = redact_url(text)
    text = _NAMED.sub(rf"\1{HIDDEN}", text)
    text = _HEADER.sub(rf"\1{HIDDEN}", text)
    for secret in _own(*(os.environ.get(name) for name in (*VARIABLES, "DJ_STORES"))) + _told:
        text = text.replace(secret, HIDDEN)
    return text


def redact_url(text: str) -> str:
    """URLs in a text without user, password, signature and token."""
    if "://" not in text:
        return text
    return _QUERY.sub(rf"\1{HIDDEN}", _USER.sub(rf"\1{HIDDEN}@", text))


def hides_something(text: str) -> bool:
    """Whether a text names a password or key with its value."""
    return _NAMED.search(text) is not None


def hide(secrets: Iterable[str | None]) -> None:
    """Let `redact` know values that come from somewhere else than the environment."""
    global _told
    _told = _longest_first({*_told, *filter(_is_told_from_words, secrets)})


_told: tuple[str, ...] = ()


@lru_cache(maxsize=4)
def _own(*values: str | None) -> tuple[str, ...]:
    *plain, stores = values
    return _longest_first(filter(_is_told_from_words, [*plain, *secrets_of(_parse(stores))]))


def secrets_of(stores: object) -> list[str]:
    """The secret values in a configuration of stores."""
    specs = stores.values() if isinstance(stores, dict) else ()
    found = [spec.get(key) for spec in specs if isinstance(spec, dict) for key in KEYS]
    return [value for value in found if isinstance(value, str)]


def _parse(stores: str | None) -> object:
    try:
        return json.loads(stores or "{}")
    except ValueError:
        return {}


def _is_told_from_words(value: str | None) -> bool:
    """Whether a secret can be found in a text without taking a common word for it."""
    return value is not None and len(value) >= SHORTEST and not value.isalpha()


def _longest_first(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(values), key=len, reverse=True))
