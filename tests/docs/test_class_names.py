"""One class name, one meaning: a name is used for two classes only where both are faces of one thing."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]

# A refusal of the ledger and the API's error of the same name; pricing's and the API's.
SAME_REFUSAL = {
    "InsufficientCredits", "LimitReached", "NotFound", "Paused", "SubscriptionRequired", "UnknownModel",
    "WaitingRoomFull",
}  # fmt: skip


def test_no_class_name_has_two_meanings() -> None:
    homes = defaultdict(list)
    for folder in ("gateway", "workers"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef):
                    homes[node.name].append(str(path.relative_to(ROOT)))
    doubled = {name: where for name, where in homes.items() if len(where) > 1}
    assert doubled.keys() == SAME_REFUSAL, doubled
