"""Text from outside, made safe to be shown in a log, at a terminal and in an error.

A terminal obeys control characters: `ESC [2J` clears it, `ESC ]0;` renames it, a line break begins a line of a log that
nobody logged. Characters that change the direction of writing let a line read as another one (CVE-2021-42574). They are
written out, as Python would write them, in the one place where a log line is rendered and in the one where the command
line prints.
"""

from __future__ import annotations

import re

# C0, DEL and C1; the marks, embeddings, overrides and isolates of direction; the two separators of lines and
# paragraphs; halves of surrogate pairs, which no terminal can be sent.
UNSAFE = r"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"

UNSAFE_CHARACTER = re.compile(f"[{UNSAFE}]")
_UNSAFE_BUT_LINES = re.compile(rf"(?![\n\t])[{UNSAFE}]")
_BYTE_MAX = 0xFF


# `isprintable` is false where one of these is in a text, and takes a twentieth of the time of looking for them.


def visible(text: str) -> str:
    r"""The text on one line, with `\x1b` for an escape and `\u202e` for an override of direction."""
    return text if text.isprintable() else UNSAFE_CHARACTER.sub(_written, text)


def visible_lines(text: str) -> str:
    """The same, but line breaks and tabs stay: for text that is laid out already."""
    return text if text.isprintable() else _UNSAFE_BUT_LINES.sub(_written, text)


def visible_json(text: str) -> str:
    """A line of JSON that says the same, with what a terminal would obey as JSON's own escapes.

    Of these characters a tab alone may stand outside of its strings, where it is left.
    """
    return text if text.isprintable() else _UNSAFE_BUT_LINES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _written(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code <= _BYTE_MAX else f"\\u{code:04x}"
