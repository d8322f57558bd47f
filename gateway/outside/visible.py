"""Makes text from outside safe for logs, terminals and error messages.

Terminals interpret control characters: `ESC [2J` clears the screen, `ESC ]0;` sets the title, and a line break forges a
log line. Bidirectional controls make a line read as another one (CVE-2021-42574). All are escaped as in Python, in the
one place where log lines are rendered and the one where the command line prints.
"""

from __future__ import annotations

import re

# C0, DEL and C1; bidirectional marks, embeddings, overrides and isolates; line and paragraph separators; lone
# surrogates, which cannot be encoded.
UNSAFE = r"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"

UNSAFE_CHARACTER = re.compile(f"[{UNSAFE}]")
_UNSAFE_BUT_LINES = re.compile(rf"(?![\n\t])[{UNSAFE}]")
_BYTE_MAX = 0xFF


# `isprintable` is false for any text with one of these, and takes a twentieth of the time of a search.


def visible(text: str) -> str:
    r"""The text on one line, with `\x1b` for an escape and `\u202e` for an override of direction."""
    return text if text.isprintable() else UNSAFE_CHARACTER.sub(_written, text)


def visible_lines(text: str) -> str:
    """The same, but line breaks and tabs are kept: for text with a layout."""
    return text if text.isprintable() else _UNSAFE_BUT_LINES.sub(_written, text)


def visible_json(text: str) -> str:
    """A line of JSON with these characters as JSON escapes.

    Of these characters only a tab can occur outside strings; there it is left as it is.
    """
    return text if text.isprintable() else _UNSAFE_BUT_LINES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _written(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code <= _BYTE_MAX else f"\\u{code:04x}"
