"""Untrusted text made fit to show: bounded, and without a character that a terminal or a page would act upon.

What a host says can hold ANSI escapes, control characters, bytes that were no UTF-8, and marks that turn the
direction of text. All of these are shown as ``\\x1b`` or ``\\u202e``, never passed on. Markup (HTML, XML) is
escaped by what writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LINE_CHARACTERS = 240
"""Most characters of one line of a report."""

BLOCK_CHARACTERS = 20_000
"""Most characters of a block of many lines."""

_BIG = 1 << 20
"""Whole numbers from here on are addresses and register values: shown in hexadecimal."""

_MOST_ITEMS = 24


def line(text: str, limit: int = LINE_CHARACTERS) -> str:
    """`text` on one line of about `limit` characters, a line break shown as ``\\n``."""
    head = text[:limit]
    shown = head if head.isprintable() else "".join(_visible(c) for c in head)
    return shown[:limit] + _rest(len(text) - limit if len(text) > limit else len(shown) - limit)


def block(text: str, limit: int = BLOCK_CHARACTERS) -> str:
    """`text` with its line breaks kept and tabs as spaces, of about `limit` characters."""
    head = text[:limit].replace("\r\n", "\n").expandtabs(4)
    rows = (row if row.isprintable() else "".join(_visible(c) for c in row) for row in head.split("\n"))
    return "\n".join(rows)[: 2 * limit] + _rest(len(text) - limit)


def _rest(count: int) -> str:
    return f" … (+{count:,} characters)" if count > 0 else ""


def _visible(character: str) -> str:
    return (
        character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode()
    )


def markdown(text: str, limit: int = LINE_CHARACTERS) -> str:
    """`text` on one line of Markdown, also within a table, that shows as it is."""
    shown = line(text, limit)
    # An underscore within a word means nothing in Markdown: identifiers stay readable as they are.
    around = zip(f" {shown}", shown, f"{shown[1:]} ", strict=False)
    escaped = "".join(
        f"\\{c}" if c in _MARKDOWN and not (c == "_" and before.isalnum() and after.isalnum()) else c
        for before, c, after in around
    )
    return f"\\{escaped}" if shown[:1] in _MARKDOWN_FIRST else escaped


_MARKDOWN = frozenset("\\`*_[]<>|~&$")
_MARKDOWN_FIRST = frozenset("#+-=")  # these mean something at the beginning of a line only


def code(text: str, limit: int = LINE_CHARACTERS) -> str:
    """`text` on one line as a code span of Markdown, also within a table."""
    shown = line(text, limit).replace("|", "\\|")
    longest = max((len(run) for run in "".join(c if c == "`" else " " for c in shown).split()), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest else ""
    return f"{fence}{pad}{shown or ' '}{pad}{fence}"


def details(data: Mapping[str, Any], limit: int = LINE_CHARACTERS) -> str:
    """A record's data as ``key=value`` words on one line; the work is bounded, however big the data."""
    words = [f"{line(str(key), 60)}={value(item)}" for key, item in list(data.items())[:_MOST_ITEMS]]
    return line(" ".join(words) + _more(len(data)), limit)


def value(item: Any) -> str:
    """One plain value, bounded: text as it is, big numbers in hexadecimal, lists in brackets."""
    if isinstance(item, str):
        return line(item)
    if isinstance(item, int) and not isinstance(item, bool):
        return hex(item) if abs(item) >= _BIG else str(item)
    if isinstance(item, list | tuple):
        return f"[{', '.join(value(part) for part in item[:_MOST_ITEMS])}{_more(len(item))}]"
    if isinstance(item, Mapping):
        return f"{{{details(item)}}}"
    return line(str(item))


def _more(count: int) -> str:
    return f" … (+{count - _MOST_ITEMS:,})" if count > _MOST_ITEMS else ""
