"""docs/design.md has every rule and section that code, tests and pages cite."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "design.md").read_text()
CITED = re.compile(r"\bR([1-9][0-9]?)\b(?!-)")
SECTION = re.compile(r"docs/design\.md, section ([0-9]+)")


def texts() -> Iterator[tuple[Path, str]]:
    for folder in ("gateway", "workers", "docs", "chaos", "tests"):
        for suffix in ("py", "md", "lua"):
            for path in (ROOT / folder).rglob(f"*.{suffix}"):
                yield path, path.read_text()


def test_every_rule_that_is_cited_is_in_the_page() -> None:
    rules = set(re.findall(r"^\*\*R([0-9]+) ", PAGE, re.MULTILINE))
    assert {str(number) for number in range(1, 25)} <= rules
    missing = {
        f"{path.relative_to(ROOT)}: R{rule}" for path, text in texts() for rule in set(CITED.findall(text)) - rules
    }
    assert not missing


def test_every_section_that_is_cited_is_in_the_page() -> None:
    sections = set(re.findall(r"^## ([0-9]+)\. ", PAGE, re.MULTILINE))
    cited = {section for _, text in texts() for section in SECTION.findall(text)}
    assert cited
    assert cited <= sections


def test_nothing_cites_a_page_that_is_not_here() -> None:
    assert not [path for path, text in texts() if "DESIGN section" in text and path != Path(__file__)]
