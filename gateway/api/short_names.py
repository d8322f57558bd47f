"""Shorter names for what a script keeps to itself, and for what the console's scripts export to each other.

A name is replaced wherever it stands for a variable, and `{ name }` becomes `{ name: a }`; a property, a member or a
method of that name keeps it. All places get the same new name, which the script has nowhere else, so what shadows what
stays the same. Where it cannot be told what a name stands for, it is kept in the whole script. An exported name is
replaced in each script that has it, if it can be in all of them.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from gateway.api.script_tokens import Token, tokens_of

IMPORT = re.compile(r'^import \{ ([^}]*) \} from "\./([\w-]+)\.js";\n', re.MULTILINE)  # the one form in the console
LATE_IMPORT = re.compile(r'import\("\./([\w-]+)\.js"\)')
EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let) (\w+))", re.MULTILINE)

_DECLARES = frozenset({"const", "let", "function", "class"})
_BEFORE_BLOCK = frozenset({"if", "for", "while", "switch"})  # `if (…) {` has no parameters
_MEMBER = frozenset({"async", "get", "set", "static", "export"})
_BLOCK_AFTER = frozenset({"", ")", ">", ";", "{", "}", "else", "try", "finally", "do", "catch"})
_FIRST = frozenset({"{", ",", "*"})  # before a member of an object
_END = frozenset({",", "}", "]", ")", "="})  # of a name in a list or a pattern
# Words of the language in some places, as `from` after an import; and browsers' own, of which a script may declare one
# in a function, and mean the browser's in another.
_KEPT = frozenset({
    "as", "async", "await", "from", "get", "of", "set", "static",
    "alert", "blur", "close", "closed", "confirm", "crypto", "document", "event", "external", "fetch", "find", "focus",
    "frames", "history", "length", "location", "name", "navigator", "open", "origin", "parent", "performance", "print",
    "prompt", "screen", "scroll", "self", "status", "stop", "top",
})  # fmt: skip
_LONG = 3
_WORTH = 12  # `{ name: a }` is longer than `{ name }`, and compresses worse than it is long
_WORDS = frozenset({"as", "do", "if", "in", "of"})  # of the language, as short as the new names
_VALUES = frozenset({"false", "null", "super", "this", "true", "undefined"})  # words that stand where a variable may


@dataclass
class _Script:
    """What the words of a script stand for, by their places in it; `fixed`: names of which that is not sure."""

    said: Sequence[Token]
    closings: Mapping[int, int]
    variables: set[int] = field(default_factory=set)
    shorthands: set[int] = field(default_factory=set)
    bound: set[str] = field(default_factory=set)
    fixed: set[str] = field(default_factory=set)

    def part(self, place: int) -> str:
        """The token there; empty outside of the script."""
        return self.said[place][1] if 0 <= place < len(self.said) else ""


def with_short_names(tokens: Sequence[Token]) -> list[Token]:
    """The same script."""
    script = _read(tokens)
    plain, expanded = (
        Counter(script.part(place) for place in found) for found in (script.variables, script.shorthands)
    )
    worth = {name for name in script.bound if plain[name] * (len(name) - 1) > expanded[name] * _WORTH}
    counts = Counter(part for kind, part in script.said if kind == "word")
    return _renamed(tokens, script, _shortened(worth - script.fixed - _KEPT, counts, lengths=(1, 2)))


def short_exports(scripts: Mapping[str, str]) -> dict[str, str]:
    """Which exported names of these scripts (by file name) have which new ones: all but those imported late."""
    exporting: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    fixed: set[str] = set(_KEPT)
    late = {f"{name}.js" for text in scripts.values() for name in LATE_IMPORT.findall(text)}
    for name, text in scripts.items():
        exported = set(EXPORT.findall(text))
        exporting.update(exported)
        script = _read(list(tokens_of(IMPORT.sub("", EXPORT.sub("", text)))))
        counts.update(part for kind, part in script.said if kind == "word")
        fixed |= exported if name in late else script.fixed & (exported | _imported(text))
    return _shortened({name for name, files in exporting.items() if files == 1} - fixed, counts, lengths=(2,))


def with_names(text: str, names: Mapping[str, str]) -> str:
    """A script with these names in place of others, which it exports or imports."""
    tokens, own = list(tokens_of(text)), set(EXPORT.findall(text)) | _imported(text)
    return "".join(
        part for _, part in _renamed(tokens, _read(tokens), {name: names[name] for name in own & set(names)})
    )


def _imported(text: str) -> set[str]:
    return {name for names, _ in IMPORT.findall(text) for name in names.split(", ")}


def _renamed(tokens: Sequence[Token], script: _Script, names: Mapping[str, str]) -> list[Token]:
    made: list[Token] = []
    place = -1
    for kind, part in tokens:
        place += kind != "blank"
        new = names.get(part) if kind == "word" else None
        if new is not None and place in script.shorthands:
            made += [(kind, part), ("sign", ":"), (kind, new)]
        else:
            made.append((kind, new if new is not None and place in script.variables else part))
    return made


def _shortened(names: Iterable[str], counts: Counter[str], lengths: Sequence[int]) -> dict[str, str]:
    """New names that are none of the words counted, the shortest for the most frequent."""
    free = (name for name in _names(lengths) if name not in counts and name not in _WORDS)
    longest = sorted((name for name in names if len(name) >= _LONG), key=lambda name: (-counts[name], name))
    return dict(zip(longest, free, strict=False))


def _names(lengths: Sequence[int]) -> Iterator[str]:
    for letters in lengths:
        yield from map("".join, product(string.ascii_letters, repeat=letters))


def _read(tokens: Sequence[Token]) -> _Script:
    said = [token for token in tokens if token[0] != "blank"]
    script = _Script(said, _closings(said))
    opened = ["block"]
    class_begins = False
    for place, (kind, part) in enumerate(said):
        before = script.part(place - 1)
        if kind == "sign" and part in "({[":
            opened.append(_kind_of(part, before, class_begins=class_begins))
            class_begins = class_begins and part != "{"
        elif kind == "sign" and part in ")}]" and len(opened) > 1:
            opened.pop()
        elif kind == "word":
            class_begins = class_begins or (part == "class" and before != "." and script.part(place + 1) != ":")
            _note(script, place, opened[-1])
    _bind(script)
    return script


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


def _kind_of(bracket: str, before: str, *, class_begins: bool) -> str:
    """What a bracket opens: `(`, `[`, or a block, a class, the names of an import, an object or a pattern of one."""
    if bracket != "{":
        return bracket
    if class_begins:
        return "class"
    if before in {"import", "export"}:
        return "names"
    return "block" if before in _BLOCK_AFTER else "object"


def _note(script: _Script, place: int, within: str) -> None:
    """Note what the word there stands for."""
    earliest, earlier, before, after = (script.part(place + by) for by in (-3, -2, -1, 1))
    first = within == "object" and before in _FIRST
    if (before == "." and earlier != ".") or before == "#":
        return
    if first and (after == ":" or (after == "(" and _has_block(script, place + 1))):
        return
    if first and after in _END:
        script.shorthands.add(place)
        return
    script.variables.add(place)
    exported = before in _DECLARES and (earlier == "export" or (earlier == "async" and earliest == "export"))
    label = within == "block" and after == ":" and before in {"{", "}", ";"}
    if exported or label or before in _MEMBER or within in {"class", "names"}:  # a class has members, and their values
        script.fixed.add(script.part(place))


def _has_block(script: _Script, opening: int) -> bool:
    """Whether a block follows the parentheses that open there: what stands before is a method then, not a call."""
    return opening in script.closings and script.part(script.closings[opening] + 1) == "{"


def _bind(script: _Script) -> None:
    """Note the names that are declared: after `const` and the like, and as parameters; in patterns, too."""
    for place, (kind, part) in enumerate(script.said):
        if kind == "word" and part in _DECLARES:
            script.bound.add(script.part(place + 1))
            _bind_within(script, place + 1)
        elif (kind, part) == ("sign", "(") and _takes_parameters(script, place):
            _bind_within(script, place)


def _takes_parameters(script: _Script, opening: int) -> bool:
    closing = script.closings.get(opening, len(script.said))
    after = script.part(closing + 1) + script.part(closing + 2)
    return after == "=>" or (after.startswith("{") and script.part(opening - 1) not in _BEFORE_BLOCK)


def _bind_within(script: _Script, opening: int) -> None:
    """Note the names of a list or a pattern. One in a default value is a variable as well, or one of `_VALUES`."""
    for place in range(opening + 1, script.closings.get(opening, opening)):
        if script.part(place + 1) in _END and place in script.variables | script.shorthands:
            script.bound |= {script.part(place)} - _VALUES
