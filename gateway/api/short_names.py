"""Shorter names for what a script keeps to itself: a twentieth of what is sent.

A name is only replaced if it is declared in the script and every one of its places is surely a variable's: it is never
a property, a shorthand member, a method, a label, an import or an export. All of its places get the same new name,
which the script has nowhere else, so what shadows what stays the same.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise, product

Token = tuple[str, str]

_DECLARES = frozenset({"const", "let", "function", "class"})
_BEFORE_BLOCK = frozenset({"if", "for", "while", "switch"})  # `if (…) {` has no parameters
_MEMBER = frozenset({"async", "get", "set", "static", "#", "export"})
# Words of the language in some places, as `from` after an import; and browsers' own, of which a script may declare one
# in a function, and mean the browser's in another.
_KEPT = frozenset({
    "as", "async", "await", "from", "get", "of", "set", "static",
    "close", "document", "event", "find", "focus", "history", "length", "location", "name", "navigator", "open",
    "origin", "parent", "print", "self", "status", "stop", "top",
})  # fmt: skip
_LONG = 3
_WORDS = frozenset({"as", "do", "if", "in", "of"})  # of the language, as short as the new names


def with_short_names(tokens: Sequence[Token]) -> list[Token]:
    """The same script."""
    said = [token for token in tokens if token[0] != "blank"]
    owned = (_declared(said) | _parameters(said)) - _fixed(said) - _KEPT
    counts = Counter(part for kind, part in said if kind == "word")
    free = (name for name in _names() if name not in counts and name not in _WORDS)
    longest = sorted((name for name in owned if len(name) >= _LONG), key=lambda name: (-counts[name], name))
    short = dict(zip(longest, free, strict=False))
    return [(kind, short.get(part, part) if kind == "word" else part) for kind, part in tokens]


def _names() -> Iterator[str]:
    for letters in (1, 2):
        yield from map("".join, product(string.ascii_letters, repeat=letters))


def _declared(said: Sequence[Token]) -> set[str]:
    """Names after `const`, `function` and the like; exported ones are found in `_fixed`."""
    return {part for (_, before), (kind, part) in pairwise(said) if kind == "word" and before in _DECLARES}


def _parameters(said: Sequence[Token]) -> set[str]:
    """Names in the parentheses of functions, arrows, methods and `catch`."""
    found: set[str] = set()
    opened: list[int] = []
    for place, (kind, part) in enumerate(said):
        if kind != "sign":
            continue
        if part in "({[":
            opened.append(place)
        elif part in ")}]" and opened:
            first = opened.pop()
            if part == ")" and _takes_parameters(said, first, place):
                found |= set(_listed(said[first + 1 : place + 1]))
    return found


def _takes_parameters(said: Sequence[Token], first: int, last: int) -> bool:
    after = "".join(part for _, part in said[last + 1 : last + 3])
    before = said[first - 1][1] if first else ""
    return after == "=>" or (after.startswith("{") and before not in _BEFORE_BLOCK)


def _listed(inside: Sequence[Token]) -> Iterator[str]:
    """The plain names of a list of parameters, up to its closing parenthesis; no defaults, no patterns."""
    depth, before = 0, ","
    for (kind, part), (_, after) in pairwise(inside):
        if kind == "sign":
            depth += (part in "({[") - (part in ")}]")
        elif depth == 0 and before == "," and after in ",)=":
            yield part
        before = part


def _fixed(said: Sequence[Token]) -> set[str]:
    """Names that are a property, a member or known outside, anywhere in the script."""
    found: set[str] = set()
    opened: list[str] = []
    class_begins = False
    edge = ("sign", "")
    for index, (kind, part) in enumerate(said):
        if kind == "sign" and part in "({[":
            opened.append("class" if part == "{" and class_begins else part)
            class_begins = class_begins and part != "{"
        elif kind == "sign" and part in ")}]" and opened:
            opened.pop()
        if kind != "word":
            continue
        (_, earlier), (_, before) = (said[index - back] if index >= back else edge for back in (2, 1))
        after = said[index + 1][1] if index + 1 < len(said) else ""
        class_begins = class_begins or (part == "class" and before != "." and after != ":")
        in_braces, in_class = opened[-1:] == ["{"], opened[-1:] == ["class"]
        if (
            (before == "." and earlier != ".")
            or after == ":"
            or before in _MEMBER
            or (before in _DECLARES and earlier in {"export", "async"})
            or (in_braces and before in "{," and after in ",}=")
            or (in_braces and before in "{},;*" and after == "(")
            or in_class  # members, and what their fields begin with
        ):
            found.add(part)
    return found
