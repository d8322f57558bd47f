"""Which names of a script mean the same: a name is bound in a block or a function, and holds in what that contains.

The scripts are as a formatter writes them: a semicolon after each statement, parameters in parentheses, one variable
a declaration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gateway.api.script_words import DECLARES, END, ScriptWords

_BEFORE_BLOCK = frozenset({"if", "for", "while", "switch"})  # `if (…) {` has no parameters
_CLOSED = frozenset({")", "]", "}"})
_VALUES = frozenset({"false", "null", "super", "this", "true", "undefined"})  # words that stand where a variable may


@dataclass
class NameScope:
    """A block, a function or the whole script (without `around`), and where the names that it binds stand in it."""

    start: int
    end: int
    around: NameScope | None = None
    within: list[NameScope] = field(default_factory=list)
    places: dict[str, list[int]] = field(default_factory=dict)


def scopes_of(script: ScriptWords) -> NameScope:
    """The scope of the whole script; each name's places are with the scope that binds it, in their order."""
    root = NameScope(-1, len(script.said))
    ends = {place: end for place in script.closings if (end := _end_of_scope(script, place)) is not None}
    innermost = []
    now = root
    for place in range(len(script.said)):
        while place > now.end and now.around:
            now = now.around
        if place in ends:
            inner = NameScope(place, ends[place], now)
            now.within.append(inner)
            now = inner
        innermost.append(now)
    _bind(script, innermost, ends)
    for place in sorted(script.variables | script.shorthands):
        found: NameScope | None = innermost[place]
        while found and script.part(place) not in found.places:
            found = found.around
        if found:
            found.places[script.part(place)].append(place)
    return root


def _end_of_scope(script: ScriptWords, place: int) -> int | None:
    """Where the scope ends that begins with the bracket there; None if it begins none."""
    part, before = script.part(place), script.part(place - 1)
    if part == "{":
        return script.closings[place] if place in script.blocks else None
    if part != "(":
        return None
    after = script.closings[place] + 1
    if before == "for" or (before == "await" and script.part(place - 2) == "for"):
        return _end_of_statement(script, after)
    if script.part(after) == "{" and after in script.blocks and before not in _BEFORE_BLOCK:
        return script.closings[after]
    if script.part(after) + script.part(after + 1) == "=>":
        body = after + 2
        return script.closings[body] if body in script.blocks else _end_of_expression(script, body)
    return None


def _end_of_statement(script: ScriptWords, place: int) -> int:
    part = script.part(place)
    if place in script.blocks:
        return script.closings[place]
    if part not in {"if", "for", "while"}:
        end = _end_of_expression(script, place, several=True)
        return end + (script.part(end + 1) == ";")
    opening = place + 1 + (script.part(place + 1) == "await")
    end = _end_of_statement(script, script.closings[opening] + 1)
    if part == "if" and script.part(end + 1) == "else":
        return _end_of_statement(script, end + 2)
    return end


def _end_of_expression(script: ScriptWords, place: int, *, several: bool = False) -> int:
    """The last place of the expression that begins there; `several`: with all that commas and colons separate."""
    asked = 0
    while place < len(script.said):
        kind, part = script.said[place]
        if part in _CLOSED or part == ";" or (kind == "text" and part[0] == "}") or (part == "," and not several):
            break
        while place in script.closings:  # of a template string: one expression after the other
            place = script.closings[place]
        if part == "?" and script.part(place + 1) not in {".", "?"} and script.part(place - 1) != "?":
            asked += 1
        elif part == ":" and not several:
            if not asked:
                break
            asked -= 1
        place += 1
    return place - 1


def _bind(script: ScriptWords, innermost: list[NameScope], ends: Mapping[int, int]) -> None:
    """Note what each scope binds: after `const` and the like, and as parameters; in patterns, too."""
    for place, (kind, part) in enumerate(script.said):
        if kind == "word" and part in DECLARES and script.part(place - 1) != ".":
            opening = place + 1 if place + 1 in script.closings and script.part(place + 1) in {"{", "["} else None
            names = [place + 1] if opening is None else _in_pattern(script, opening)
        elif part == "(" and place in ends and script.part(place - 1) not in {"for", "await"}:
            names = _in_pattern(script, place)
        else:
            continue
        for name in names:
            if script.said[name][0] == "word" and script.part(name) not in _VALUES:
                innermost[place].places.setdefault(script.part(name), [])


def _in_pattern(script: ScriptWords, opening: int) -> Iterator[int]:
    """The places of the names that a list or a pattern binds: not those in default values and computed keys."""
    place, end = opening + 1, script.closings[opening]
    while place < end:
        part = script.part(place)
        if part == "=":
            place = _end_of_expression(script, place + 1)
        elif part == "[" and script.part(place - 1) in {"{", ","} and script.part(script.closings[place] + 1) == ":":
            place = script.closings[place]
        elif script.part(place + 1) in END and place in script.variables | script.shorthands:
            yield place
        place += 1
