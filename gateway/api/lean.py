"""Scripts and styles of the console without what only their readers need: comments and white space, half of them."""

from __future__ import annotations

import re

from gateway.api.script_tokens import tokens_of
from gateway.api.short_names import with_short_names

_COMMENT = re.compile(r"^[ \t]*/\*.*?\*/[ \t]*$", re.MULTILINE | re.DOTALL)  # in CSS, on lines of its own
_AROUND = re.compile(r"\s*([{};,])\s*|(?<=:)\s+")  # insignificant white space in CSS

_SIGNS = frozenset("{}()[],;:=<>?!&|*%+-/.`")
_GLUED = frozenset({"++", "--", "//", "/*"})  # two signs that mean something else side by side


def lean_style(text: str) -> str:
    """A stylesheet without comments, indentation and the white space around signs."""
    lines = (line.strip() for line in _COMMENT.sub("", text).splitlines())
    return _AROUND.sub(r"\1", "\n".join(filter(None, lines)) + "\n")


def lean_script(text: str) -> str:
    """A script without comments, indentation and the white space around signs.

    A line's end stays where a statement may end there without a semicolon. Template strings are kept as they are. What
    the script keeps to itself has shorter names.
    """
    parts: list[str] = []
    blank = ""
    for kind, part in with_short_names(list(tokens_of(text))):
        if kind == "blank":
            blank = "\n" if "\n" in part else " "
            continue
        if part == "}" and parts and parts[-1] == ";":
            parts.pop()  # the last of its block
        if parts and blank:
            parts[-1] += _needed(parts[-1][-1], part[0], blank)
        parts.append("let" if (kind, part) == ("word", "const") else part)  # a browser does not have to check it
        blank = ""
    return "".join(parts) + "\n"


def _needed(before: str, after: str, blank: str) -> str:
    """The white space to keep between two characters."""
    if blank == "\n":
        return "" if before in "{([,;" or after in "}]),.?:&|" else "\n"
    glued = before + after in _GLUED
    return "" if (before in _SIGNS or after in _SIGNS) and not glued else " "
