"""Scripts and styles of the console without what only their readers need: comments and white space, half of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.api.short_names import with_short_names

_COMMENT = re.compile(r"^[ \t]*/\*.*?\*/[ \t]*$", re.MULTILINE | re.DOTALL)  # in CSS, on lines of its own
_AROUND = re.compile(r"\s*([{};,])\s*|(?<=:)\s+")  # insignificant white space in CSS

_TEMPLATE = re.compile(r"(?:\\.|\$(?!\{)|[^`\\$])*(?P<end>`|\$\{)", re.DOTALL)  # from a backtick or `}` on
_CODE = re.compile(
    r"""
      (?P<blank>(?:\s|//[^\n]*|/\*.*?\*/)+)
    | (?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    | (?P<word>[\w\$]+)
    | (?P<pattern>/(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\\n])+/[a-z]*)
    | (?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL,
)
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
    for kind, part in with_short_names(list(_tokens(text))):
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


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """The tokens of a script; an expression in a template string is code again, to any depth."""
    position, braces, before = 0, [0], ""  # open braces of the code, and of each expression that it is in
    while position < len(text):
        match = _at(_CODE, text, position)
        kind, part = str(match.lastgroup), match[0]
        if kind == "pattern" and (before == "word" or before in {")", "]", "}"}):
            kind, part = "sign", "/"  # a division
        position += len(part)
        if part == "`" or (part == "}" and len(braces) > 1 and braces[-1] == 0):
            rest = _at(_TEMPLATE, text, position)
            if part == "}":
                braces.pop()
            if rest["end"] == "${":
                braces.append(0)
            kind, part, position = "text", part + rest[0], rest.end()
        elif kind == "sign":
            braces[-1] += {"{": 1, "}": -1}.get(part, 0)
        yield kind, part
        if kind != "blank":
            before = part if kind == "sign" else "operator" if part in {"return", "typeof", "case"} else "word"


def _at(pattern: re.Pattern[str], text: str, position: int) -> re.Match[str]:
    match = pattern.match(text, position)
    if match is None:
        raise ValueError(f"a template string without an end: {text[position : position + 40]!r}")
    return match
