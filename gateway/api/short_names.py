"""Shorter names for what a script keeps to itself, and for what the console's scripts export to each other.

A name is replaced where it stands for a variable, and `{ name }` becomes `{ name: a }`; a property, a member or a
method of that name keeps it. Blocks and functions that are not in each other use the same short names. Where it cannot
be told what a name stands for, it is kept in the whole script. An exported name is replaced in each script that has it,
if it can be in all of them.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product

from gateway.api.script_scopes import NameScope, scopes_of
from gateway.api.script_tokens import Token, tokens_of
from gateway.api.script_words import ScriptWords, words_of

IMPORT = re.compile(r'^import \{ ([^}]*) \} from "\./([\w-]+)\.js";\n', re.MULTILINE)  # the one form in the console
LATE_IMPORT = re.compile(r'import\("\./([\w-]+)\.js"\)')
EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let) (\w+))", re.MULTILINE)

# Browsers' own, of which a script may declare one in a function, and mean the browser's in another.
_KEPT = frozenset({
    "alert", "blur", "close", "closed", "confirm", "crypto", "document", "event", "external", "fetch", "find", "focus",
    "frames", "history", "length", "location", "name", "navigator", "open", "origin", "parent", "performance", "print",
    "prompt", "screen", "scroll", "self", "status", "stop", "top",
})  # fmt: skip
# Words of the language in some places.
_SPECIAL = frozenset({"as", "async", "await", "from", "get", "of", "set", "static"})
_LETTERS = "eatnrsolicdupmhgfyvbwxkjqzEATNRSOLICDUPMHGFYVBWXKJQZ"  # the frequent ones first: they compress best
_LONG = 3
_WORTH = 8  # `{ name: a }` is longer than `{ name }`, and compresses worse than it is long
_WORDS = frozenset({"as", "do", "if", "in", "of"})  # of the language, as short as the new names


def with_short_names(tokens: Sequence[Token]) -> list[Token]:
    """The same script."""
    script = words_of(tokens)
    slots: dict[int, list[int]] = defaultdict(list)
    _fill(scopes_of(script), script, slots)
    replaced = {place for places in slots.values() for place in places}
    kept = {part for place, (kind, part) in enumerate(script.said) if kind == "word" and place not in replaced}
    free = (name for name in _names((1, 2)) if name not in kept and name not in _WORDS)
    frequent = sorted(slots.values(), key=len, reverse=True)
    names = {place: name for places, name in zip(frequent, free, strict=False) for place in places}
    return _renamed(tokens, script, names)


def _fill(scope: NameScope, script: ScriptWords, slots: dict[int, list[int]]) -> int:
    """Add each variable's places to those of a slot that no scope around its own or within it has; the next free slot.

    What shares a slot gets the same name.
    """
    number = max((_fill(inner, script, slots) for inner in scope.within), default=0)
    for name, places in scope.places.items():
        expanded = sum(place in script.shorthands for place in places)
        if name not in script.fixed | _SPECIAL and (len(places) - expanded) * (len(name) - 1) > expanded * _WORTH:
            slots[number] += places
            number += 1
    return number


def short_exports(scripts: Mapping[str, str]) -> dict[str, str]:
    """Which exported names of these scripts (by file name) have which new ones: all but those imported late."""
    exporting: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    fixed: set[str] = set(_KEPT | _SPECIAL)
    late = {f"{name}.js" for text in scripts.values() for name in LATE_IMPORT.findall(text)}
    for name, text in scripts.items():
        exported = set(EXPORT.findall(text))
        exporting.update(exported)
        script = words_of(list(tokens_of(IMPORT.sub("", EXPORT.sub("", text)))))
        counts.update(part for kind, part in script.said if kind == "word")
        fixed |= exported if name in late else script.fixed & (exported | _imported(text))
    return _shortened({name for name, files in exporting.items() if files == 1} - fixed, counts)


def with_names(text: str, names: Mapping[str, str]) -> str:
    """A script with these names in place of others, which it exports or imports."""
    tokens, own = list(tokens_of(text)), (set(EXPORT.findall(text)) | _imported(text)) & set(names)
    script = words_of(tokens)
    places = script.variables | script.shorthands
    new = {place: names[part] for place, (_, part) in enumerate(script.said) if place in places and part in own}
    return "".join(part for _, part in _renamed(tokens, script, new))


def _imported(text: str) -> set[str]:
    return {name for names, _ in IMPORT.findall(text) for name in names.split(", ")}


def _renamed(tokens: Sequence[Token], script: ScriptWords, names: Mapping[int, str]) -> list[Token]:
    """The tokens with new names, by their places among those that are not blank."""
    made: list[Token] = []
    place = -1
    for kind, part in tokens:
        place += kind != "blank"
        new = names.get(place) if kind == "word" else None
        if new is not None and place in script.shorthands:
            made += [(kind, part), ("sign", ":")]
        made.append((kind, new or part))
    return made


def _shortened(names: Iterable[str], counts: Counter[str]) -> dict[str, str]:
    """New names that are none of the words counted, the shortest for the most frequent."""
    free = (name for name in _names((2,)) if name not in counts and name not in _WORDS)
    longest = sorted((name for name in names if len(name) >= _LONG), key=lambda name: (-counts[name], name))
    return dict(zip(longest, free, strict=False))


def _names(lengths: Sequence[int]) -> Iterator[str]:
    for letters in lengths:
        yield from map("".join, product(_LETTERS, repeat=letters))
