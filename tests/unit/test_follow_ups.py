"""Whatever moves something has its follow-ups: the ledger hands over no outcome that nothing follows from."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

GATEWAY = Path(__file__).parents[2] / "gateway"


def test_every_outcome_that_moves_something_has_its_follow_ups() -> None:
    """`FollowUps.after` takes any object: an outcome that it does not know would be passed over without a word."""
    handed_over = {name for path in (GATEWAY / "ledger").glob("*.py") for name in _moved(ast.parse(path.read_text()))}
    assert {"Reserved", "Ended", "Applied", "Paid"} <= handed_over, "it reads what the ledger hands over"
    after = ast.parse((GATEWAY / "queue" / "follow_ups.py").read_text())
    followed = {_name(case.cls) for case in ast.walk(after) if isinstance(case, ast.MatchClass)}
    assert handed_over == followed


def _moved(module: ast.Module) -> Iterator[str]:
    """The classes of what a module passes to `moved`: made there, or by one of its functions."""
    functions = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    returned = {function.name: _name(function.returns) for function in functions}
    for function in functions:
        assigned = [node for node in ast.walk(function) if isinstance(node, ast.Assign)]
        made = {node.targets[0].id: node.value for node in assigned if isinstance(node.targets[0], ast.Name)}
        for call in ast.walk(function):
            if isinstance(call, ast.Call) and _name(call.func) == "moved":
                outcome = made.get(_name(call.args[0]), call.args[0])
                assert isinstance(outcome, ast.Call), ast.unparse(call)
                name = _name(outcome.func)
                yield returned.get(name, name)


def _name(node: ast.expr | None) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""
