"""Each rule of the design has tests named after what they claim about it: `test_r10_a_refund_…`."""

from __future__ import annotations

import ast
import functools
from collections import defaultdict
from pathlib import Path

from tests.cases import cases

TESTS = Path(__file__).parents[1]
RULES = [f"r{number}" for number in range(1, 25)]


@functools.cache
def claims() -> dict[str, list[str]]:
    """Rule → the tests that have it in their name, each as `file::test`."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first, _, claim = node.name.removeprefix("test_").partition("_")
                if node.name.startswith("test_r") and first in RULES and claim:
                    found[first].append(f"{path.relative_to(TESTS)}::{node.name}")
    return found


@cases("rule", RULES)
def test_a_rule_has_a_test_named_after_what_it_claims(rule: str) -> None:
    found = claims().get(rule, [])
    assert found, f"no test is named test_{rule}_…"
    assert max(name.rpartition("::")[2].count("_") for name in found) >= 5, f"{found}: a claim is a sentence"


if __name__ == "__main__":  # python -m tests.docs.test_rules_are_tested: where each rule is tested
    for each in RULES:
        print(each.upper(), *claims()[each], sep="\n  ")  # noqa: T201 - its purpose
