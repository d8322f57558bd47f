"""The READMEs of the code name modules that exist, all of them, and states as the code moves between them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import gateway.transitions
from gateway.domain import FINAL_STATES, State
from gateway.transitions import MOVES

ROOT = Path(__file__).parents[2]
GATEWAY = ROOT / "gateway"
LEDGER = GATEWAY / "ledger"


def section(readme: Path, heading: str) -> str:
    return readme.read_text().split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


@pytest.mark.parametrize("room", [LEDGER, GATEWAY / "queue"], ids=["ledger", "queue"])
def test_a_packages_readme_has_a_row_for_every_module(room: Path) -> None:
    rows = re.findall(r"^\| (`.*?) \|", (room / "README.md").read_text().split("\n## Keys\n", 1)[0], re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-z_]+(?:\.py|/))`", row)}
    modules = {path.name for path in room.glob("*.py")} - {"__init__.py"}
    rooms = {f"{path.parent.name}/" for path in room.glob("*/__init__.py")}
    assert named - {"lua/"} == modules | rooms


def test_the_places_to_look_exist() -> None:
    rows = [line.split("|")[2] for line in section(GATEWAY / "README.md", "Where to look").splitlines()[3:] if line]
    assert len(rows) > 5
    paths = [path for row in rows for path in re.findall(r"`([a-z_/]+(?:\.py|\.lua|/))`", row)]
    bases = (ROOT, GATEWAY, LEDGER, LEDGER / "lua")
    assert not [path for path in paths if not any((base / path).exists() for base in bases)]


def test_each_states_ways_in_and_out_are_those_of_the_moves() -> None:
    told = re.split(r"^- \*\*", gateway.transitions.__doc__ or "", flags=re.MULTILINE)[1:]
    for states, ways in (
        (re.findall("[a-z]+", names), text) for names, _, text in (one.partition("**") for one in told)
    ):
        these = {State(name) for name in states}
        ins = {word for word, moves in MOVES.items() for was, now in moves if now in these and was not in these}
        outs = {word for word, moves in MOVES.items() for was, now in moves if was in these and now not in these}
        assert words_after("In:", ways) == ins, states
        assert words_after("Out:", ways) == outs, states
    assert {State(name) for one in told for name in re.findall("[a-z]+", one.partition("**")[0])} == set(State)
    assert not {word for word, moves in MOVES.items() for was, _ in moves if was in FINAL_STATES}


def words_after(mark: str, text: str) -> set[str]:
    """The words in backticks of the one sentence that begins with the mark."""
    found = re.search(rf"{mark}(.*?)\.", text, re.DOTALL)
    return set(re.findall(r"`([a-z_]+)`", found[1])) if found else set()
