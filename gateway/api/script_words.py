"""What the words of a script stand for: a variable, a member, a shorthand property.

Where that cannot be told, the name is fixed: it is kept in the whole script.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.api.script_tokens import Token

DECLARES = frozenset({"const", "let", "function", "class"})
END = frozenset({",", "}", "]", ")", "="})  # of a name in a list or a pattern
_MEMBER = frozenset({"async", "get", "set", "static", "export"})
_BLOCK_AFTER = frozenset({"", ")", ">", ";", "{", "}", "else", "try", "finally", "do", "catch"})
_FIRST = frozenset({"{", ",", "*"})  # before a member of an object


@dataclass
class ScriptWords:
    """What its words stand for, by their places in it; `fixed`: names of which that is not sure."""

    said: Sequence[Token]  # no blanks
    closings: Mapping[int, int]
    blocks: set[int] = field(default_factory=set)  # where they open
    variables: set[int] = field(default_factory=set)
    shorthands: set[int] = field(default_factory=set)
    fixed: set[str] = field(default_factory=set)

    def part(self, place: int) -> str:
        """The token there; empty outside of the script."""
        return self.said[place][1] if 0 <= place < len(self.said) else ""


def words_of(tokens: Sequence[Token]) -> ScriptWords:
    """What the words of a script stand for."""
    said = [token for token in tokens if token[0] != "blank"]
    script = ScriptWords(said, _closings(said))
    opened = ["block"]
    class_begins = False
    for place, (kind, part) in enumerate(said):
        before = script.part(place - 1)
        if kind == "sign" and part in "({[":
            opened.append(_kind_of(part, before, class_begins=class_begins))
            class_begins = class_begins and part != "{"
            if opened[-1] == "block":
                script.blocks.add(place)
        elif kind == "sign" and part in ")}]" and len(opened) > 1:
            opened.pop()
        elif kind == "word":
            class_begins = class_begins or (part == "class" and before != "." and script.part(place + 1) != ":")
            _note(script, place, opened[-1])
    return script


def _closings(said: Sequence[Token]) -> dict[int, int]:
    """Where each bracket that is opened is closed, and each expression in a template string."""
    found: dict[int, int] = {}
    opened: list[int] = []
    for place, (kind, part) in enumerate(said):
        template = kind == "text" and part[0] in "`}"
        if ((kind == "sign" and part in ")}]") or (template and part[0] == "}")) and opened:
            found[opened.pop()] = place
        if (kind == "sign" and part in "({[") or (template and part.endswith("${")):
            opened.append(place)
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


def _note(script: ScriptWords, place: int, within: str) -> None:
    """Note what the word there stands for."""
    earliest, earlier, before, after = (script.part(place + by) for by in (-3, -2, -1, 1))
    first = within == "object" and before in _FIRST
    if (before == "." and earlier != ".") or before == "#":
        return
    if first and (after == ":" or (after == "(" and _has_block(script, place + 1))):
        return
    if first and after in END:
        script.shorthands.add(place)
        return
    script.variables.add(place)
    exported = before in DECLARES and (earlier == "export" or (earlier == "async" and earliest == "export"))
    label = within == "block" and after == ":" and before in {"{", "}", ";"}
    if exported or label or before in _MEMBER or within in {"class", "names"}:  # a class has members, and their values
        script.fixed.add(script.part(place))


def _has_block(script: ScriptWords, opening: int) -> bool:
    """Whether a block follows the parentheses that open there: what stands before is a method then, not a call."""
    return opening in script.closings and script.part(script.closings[opening] + 1) == "{"
