"""HTML that cannot be broken by what is in it: every text is escaped unless it is `Markup`."""

import base64
import html
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EM DASH}"


class Markup(str):
    """Text that is HTML already."""


def element(name: str, /, *children: Any, **attributes: Any) -> Markup:
    """An HTML element; ``class_`` and ``for_`` lose their underscore, None and False are left out.

    Children are escaped unless they are `Markup`; attributes always are.
    """
    parts = [name]
    for key, value in attributes.items():
        if value is not None and value is not False:
            text = "" if value is True else f'="{html.escape(str(value))}"'
            parts.append(key.rstrip("_").replace("_", "-") + text)
    if name in ("img", "source", "meta", "br", "col"):
        return Markup(f"<{' '.join(parts)}>")
    return Markup(f"<{' '.join(parts)}>{join(children)}</{name}>")


def join(children: Sequence[Any]) -> Markup:
    """Children one after the other; None is left out."""
    kept = (c for c in children if c is not None)
    return Markup("".join(c if isinstance(c, Markup) else html.escape(str(c)) for c in kept))


def data_uri(content: bytes, kind: str) -> str:
    """A file inside the page."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def number(value: Any, digits: int = 3) -> str:
    """A number to read: fixed digits, significant ones if it is tiny, a dash if undefined."""
    if value is None or pd.isna(value):
        return NOTHING
    if not np.isfinite(value):
        return ("" if value > 0 else MINUS) + "∞"
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return f"{value:,}".replace("-", MINUS)
    small = 0 < abs(value) < 10.0**-digits
    text = f"{value:.2g}" if small else f"{value:,.{digits}f}"
    return text.replace("-", MINUS)


def interval(low: Any, high: Any, digits: int = 3) -> str:
    """Both ends of an interval, or a dash."""
    if low is None or high is None or pd.isna(low) or pd.isna(high):
        return NOTHING
    return f"{number(low, digits)} to {number(high, digits)}"


def table(
    rows: pd.DataFrame,
    columns: dict[str, str],
    *,
    caption: str,
    show: dict[str, Callable[[Any], str]] | None = None,
    numeric: Sequence[str] = (),
) -> Markup:
    """An accessible table that scrolls sideways inside its frame on a narrow screen.

    Parameters
    ----------
    columns
        Column of `rows` -> heading, in order; the first becomes the row's header.
    show
        How to write a column's values; others are written as text, missing ones as a dash.
    numeric
        Columns aligned right.
    """
    head = [
        element("th", title, scope="col", class_="num" if name in numeric else None)
        for name, title in columns.items()
    ]
    body, before = [], None
    for row in rows.to_dict("records"):
        texts = {name: (show or {}).get(name, _plain)(row.get(name)) for name in columns}
        body.append(_row(texts, numeric, again=next(iter(texts.values()), None) == before))
        before = next(iter(texts.values()), None)
    whole = element(
        "table",
        element("caption", element("span", caption)),
        element("thead", element("tr", *head)),
        element("tbody", *body),
    )
    return element("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)


def _row(texts: dict[str, str], numeric: Sequence[str], *, again: bool) -> Markup:
    """One row; a header that repeats the one above it is written faintly."""
    (first, title), *others = texts.items()
    kind = "again" if again else "num" if first in numeric else None
    cells = [element("th", title, class_=kind, scope="row")]
    cells += [element("td", t, class_="num" if name in numeric else None) for name, t in others]
    return element("tr", *cells)


def _plain(value: Any) -> str:
    if value is None or (not isinstance(value, (list, tuple)) and pd.isna(value)):
        return NOTHING
    return number(value) if isinstance(value, float) else str(value)
