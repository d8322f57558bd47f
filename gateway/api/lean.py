"""Scripts and styles of the console without what only their readers need: comments and white space, half of them."""

from __future__ import annotations

import re

from gateway.api.script_tokens import tokens_of
from gateway.api.short_names import with_short_names

_COMMENT = re.compile(r"^[ \t]*/\*.*?\*/[ \t]*$", re.MULTILINE | re.DOTALL)  # in CSS, on lines of its own
_AROUND = re.compile(r"\s*([{};,])\s*|(?<=:)\s+")  # insignificant white space in CSS

_SIGNS = frozenset("{}()[],;:=<>?!&|*%+-/.`")
_OPENING, _CLOSING = frozenset("({["), frozenset(")}]")
_LAST = {"}": {";", ","}, "]": {","}, ")": {","}}
_DECLARES = frozenset({"const", "let"})
_GLUED = frozenset({"++", "--", "//", "/*"})  # two signs that mean something else side by side


def lean_style(text: str) -> str:
    """A stylesheet without comments, indentation and the white space around signs."""
    lines = (line.strip() for line in _COMMENT.sub("", text).splitlines())
    return _AROUND.sub(r"\1", "\n".join(filter(None, lines)) + "\n")


def lean_script(text: str) -> str:
    """A script without comments, indentation and the white space around signs.

    A line's end stays where a statement may end there without a semicolon. Template strings are kept as they are. What
    the script keeps to itself has shorter names; declarations that follow each other are one.
    """
    parts: list[str] = []
    blank = ""
    declares = [False]  # whether the statement does, in each bracket that is open
    for kind, part in with_short_names(list(tokens_of(text))):
        if kind == "blank":
            blank = "\n" if "\n" in part else " "
            continue
        if part in _CLOSING and parts and parts[-1] in _LAST[part]:
            parts.pop()
        declaration = kind == "word" and part in _DECLARES
        if declaration and declares[-1] and parts[-1] == ";":
            parts[-1], blank = ",", ""
            continue
        if parts and blank:
            parts[-1] += _needed(parts[-1][-1], part[0], blank)
        _note_statement(declares, kind, part, parts[-1].strip() if parts else "")
        parts.append("let" if declaration and part == "const" else part)  # a browser does not have to check it
        blank = ""
    return "".join(parts) + "\n"


def _note_statement(declares: list[bool], kind: str, part: str, before: str) -> None:
    """Keep track of whether the statement is a declaration, and not exported."""
    if kind == "word" and part in _DECLARES:
        declares[-1] = before != "export"
    elif before == ";":
        declares[-1] = False
    if (part in _CLOSING or (kind == "text" and part[0] == "}")) and len(declares) > 1:
        declares.pop()
    if part in _OPENING or (kind == "text" and part[0] in "`}" and part.endswith("${")):
        declares.append(False)


def _needed(before: str, after: str, blank: str) -> str:
    """The white space to keep between two characters."""
    if blank == "\n":
        return "" if before in "{([,;" or after in "}]),.?:&|" else "\n"
    glued = before + after in _GLUED
    return "" if (before in _SIGNS or after in _SIGNS) and not glued else " "
