"""Shorter names for what a script keeps to itself, and for what the console's scripts export to each other.

A name is only replaced if it is declared in the script and every one of its places is surely a variable's: it is never
a property, a shorthand member, a method or a label. All of its places get the same new name, which the script has
nowhere else, so what shadows what stays the same. An exported name is replaced in each script that has it, if it could
be in all of them.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise, product

from gateway.api.script_tokens import Token, tokens_of

IMPORT = re.compile(r'^import \{ ([^}]*) \} from "\./([\w-]+)\.js";\n', re.MULTILINE)  # the one form in the console
LATE_IMPORT = re.compile(r'import\("\./([\w-]+)\.js"\)')
EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let) (\w+))", re.MULTILINE)

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
    short = _shortened(owned, Counter(part for kind, part in said if kind == "word"), lengths=(1, 2))
    return [(kind, short.get(part, part) if kind == "word" else part) for kind, part in tokens]


def short_exports(scripts: Mapping[str, str]) -> dict[str, str]:
    """Which exported names of these scripts (by file name) have which new ones: all but those imported late."""
    exporting: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    fixed: set[str] = set(_KEPT)
    late = {f"{name}.js" for text in scripts.values() for name in LATE_IMPORT.findall(text)}
    for name, text in scripts.items():
        exported = set(EXPORT.findall(text))
        exporting.update(exported)
        said = [token for token in tokens_of(IMPORT.sub("", EXPORT.sub("", text))) if token[0] != "blank"]
        counts.update(part for kind, part in said if kind == "word")
        fixed |= exported if name in late else _fixed(said) & (exported | imported_names(text))
    return _shortened({name for name, files in exporting.items() if files == 1} - fixed, counts, lengths=(2,))


def with_names(text: str, names: Mapping[str, str]) -> str:
    """A script with these names in place of others, which it exports or imports."""
    own = set(EXPORT.findall(text)) | imported_names(text)
    return "".join(
        names[part] if kind == "word" and part in names and part in own else part for kind, part in tokens_of(text)
    )


def imported_names(text: str) -> set[str]:
    """What a script imports from others."""
    return {name for names, _ in IMPORT.findall(text) for name in names.split(", ")}


def _shortened(names: Iterable[str], counts: Counter[str], lengths: Sequence[int]) -> dict[str, str]:
    """New names that are none of the words counted, the shortest for the most frequent."""
    free = (name for name in _names(lengths) if name not in counts and name not in _WORDS)
    longest = sorted((name for name in names if len(name) >= _LONG), key=lambda name: (-counts[name], name))
    return dict(zip(longest, free, strict=False))


def _names(lengths: Sequence[int]) -> Iterator[str]:
    for letters in lengths:
        yield from map("".join, product(string.ascii_letters, repeat=letters))


def _declared(said: Sequence[Token]) -> set[str]:
    """Names after `const`, `function` and the like; exported ones are found in `_fixed`."""
    return {part for (_, before), (kind, part) in pairwise(said) if kind == "word" and before in _DECLARES}


def _parameters(said: Sequence[Token]) -> set[str]:
    """Names in the parentheses of functions, arrows, methods and `catch`."""
    found: set[str] = set()
    for first, last in _closings(said).items():
        if said[first][1] == "(" and _takes_parameters(said, first, last):
            found |= set(_listed(said[first + 1 : last + 1]))
    return found


def _closings(said: Sequence[Token]) -> dict[int, int]:
    """Where each bracket that is opened is closed."""
    found: dict[int, int] = {}
    opened: list[int] = []
    for place, (kind, part) in enumerate(said):
        if kind == "sign" and part in "({[":
            opened.append(place)
        elif kind == "sign" and part in ")}]" and opened:
            found[opened.pop()] = place
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
    closings = _closings(said)
    for index, (kind, part) in enumerate(said):
        if kind == "sign" and part in "({[":
            opened.append("class" if part == "{" and class_begins else part)
            class_begins = class_begins and part != "{"
        elif kind == "sign" and part in ")}]" and opened:
            opened.pop()
        if kind != "word":
            continue
        earliest, earlier, before = (said[index - back][1] if index >= back else "" for back in (3, 2, 1))
        after = said[index + 1][1] if index + 1 < len(said) else ""
        class_begins = class_begins or (part == "class" and before != "." and after != ":")
        in_braces, in_class = opened[-1:] == ["{"], opened[-1:] == ["class"]
        if (
            (before == "." and earlier != ".")
            or (after == ":" and before in "{},;")  # a member or a label; else a choice, `a ? name : b`
            or before in _MEMBER
            or (before in _DECLARES and (earlier == "export" or (earlier == "async" and earliest == "export")))
            or (in_braces and before in "{," and after in ",}=")
            or (in_braces and before in "{},;*" and after == "(" and _has_block(said, closings.get(index + 1)))
            or in_class  # members, and what their fields begin with
        ):
            found.add(part)
    return found


def _has_block(said: Sequence[Token], closing: int | None) -> bool:
    """Whether a block follows a closing parenthesis: what stands before is a method then, not a call."""
    return closing is not None and closing + 1 < len(said) and said[closing + 1][1] == "{"
