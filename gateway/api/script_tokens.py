"""The tokens of the console's scripts: as much of the language as it takes to tell code from text."""

from __future__ import annotations

import re
from collections.abc import Iterator

Token = tuple[str, str]  # its kind and the token itself

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


def tokens_of(text: str) -> Iterator[Token]:
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
