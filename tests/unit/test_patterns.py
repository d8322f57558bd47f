"""Ids and other texts are matched to their last character: in Python `$` also fits before a line's end."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.domain import (
    ACCOUNT_PATTERN,
    EVENT_PATTERN,
    GENERATION_PATTERN,
    WEBHOOK_PATTERN,
    is_account_id,
    is_event_id,
    is_generation_id,
    is_webhook_id,
)
from gateway.pricing import provider_faults
from gateway.pricing.fields import ID_PATTERN, SETTING_PATTERN
from tests.cases import cases
from workers.providers import fal, replicate

ROOT = Path(__file__).parents[2]
SOURCES = [path for folder in ("gateway", "workers", "benchmarks", "chaos") for path in (ROOT / folder).rglob("*.py")]
DESCRIBED = {ACCOUNT_PATTERN, EVENT_PATTERN, GENERATION_PATTERN, WEBHOOK_PATTERN, ID_PATTERN, SETTING_PATTERN}
IDS = {
    is_account_id: "acme.co@x-1_",
    is_generation_id: "gen_0b" + "a" * 24,
    is_webhook_id: "whk_" + "a" * 24,
    is_event_id: "evt_" + "0" * 26,
}


@pytest.mark.parametrize("is_id", IDS)
@cases("ending", ["\n", "\r", "\u2028", "\0", " ", "/", "\x85"])
def test_no_id_ends_in_anything_else(is_id: object, ending: str) -> None:
    """`acme` and a line's end was an account, whose requests and log lines looked like acme's."""
    assert callable(is_id)
    assert is_id(IDS[is_id])
    assert not is_id(IDS[is_id] + ending)
    assert not is_id(ending + IDS[is_id])


def test_an_account_is_called_neither_dot_nor_dot_dot() -> None:
    """A client that tidies a URL's path turns `…/accounts/../keys` into another call."""
    assert not any(map(is_account_id, (".", "..", "", "a" * 65, "." * 65)))
    assert all(map(is_account_id, ("...", ".a", "a.", "..a", "a..", ".-", "a" * 64, "." * 64, "@", "-", "._")))


def test_a_part_of_a_vendors_path_is_neither() -> None:
    faults = provider_faults._MODEL_NAMES  # noqa: SLF001 - its own test
    for name in ("../x", "x/..", "./x", "x/.", "a/b/../c"):
        assert not re.fullmatch(faults["fal"][0], name, re.ASCII)
        assert not re.fullmatch(faults["replicate"][0], name, re.ASCII)
        assert not fal._APP.fullmatch(name)  # noqa: SLF001 - as above
        assert not replicate._MODEL.fullmatch(name)  # noqa: SLF001 - as above
    for name in ("black-forest-labs/flux-1.1", "a/..b", "a../b"):
        assert fal._APP.fullmatch(name)  # noqa: SLF001 - as above
        assert replicate._MODEL.fullmatch(name)  # noqa: SLF001 - as above


def patterns_of(tree: ast.AST) -> Iterator[tuple[int, str, str, bool]]:
    """Every call of `re`: its line, its function, what can be read of its pattern, and whether it is of many lines."""
    for call in ast.walk(tree):
        match call:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr=function), args=[pattern, *rest]):
                text = "".join(
                    part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else ""
                    for part in ast.walk(pattern)
                )
                text = text.replace("^$", "")  # of `PATTERN.strip("^$")`, as a part of a longer one
                whole = pattern.id if isinstance(pattern, ast.Name) else ""
                yield call.lineno, function, text + whole, "MULTILINE" in "".join(map(ast.unparse, rest))


def test_no_pattern_in_the_sources_ends_with_a_dollar() -> None:
    """`fullmatch` says it better; what a description or pydantic is given (their `$` is the end) stands apart."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in SOURCES
        for line, function, text, of_many_lines in patterns_of(ast.parse(path.read_text()))
        if function != "fullmatch" and not of_many_lines and (re.search(r"(?<!\\)\$", text) or "PATTERN" in text)
    ]
    assert wrong == []


def test_the_check_sees_what_it_is_to_see() -> None:
    """Each of these accepted a line's end."""
    seen = [
        next(patterns_of(ast.parse(source)))
        for source in ('re.match(r"^a$", x)', 're.compile(r"^a$")', "re.match(ACCOUNT_PATTERN, x)")
    ]
    assert [text for _, _, text, _ in seen] == ["^a$", "^a$", "ACCOUNT_PATTERN"]


@pytest.mark.parametrize("pattern", sorted(DESCRIBED))
def test_patterns_of_the_description_are_anchored_at_both_ends(pattern: str) -> None:
    assert (pattern[0], pattern[-1]) == ("^", "$")
