"""How much of ours a create runs through: `docs/contributing.md` has the figures, and how they are counted."""

from __future__ import annotations

import re
from pathlib import Path

from tests.api.visitor import Visitor
from tests.api.walk import walking

PAGE = (Path(__file__).parents[2] / "docs" / "contributing.md").read_text()
HANDLER = "api/handlers/generations.py"
VISITS_MAX = 4
FUNCTIONS_MAX = 32  # outside the ledger
KEPT = "schemas/base.py:_second"
"""What writes a second is kept for others of it: it runs if the second create is in another second than the first."""


def functions_on_the_page() -> list[str]:
    """Those of the table's rows, as `Walk.functions` names them."""
    rows = re.findall(r"^\| `([a-z_/]+\.py)` \|[^|]*\| (.*) \|$", PAGE, re.MULTILINE)
    return [f"{file}:{name}" for file, names in rows for name in re.findall(r"`([^`]+)`", names)]


async def test_a_create_visits_its_handler_seldom_and_runs_through_no_more_functions_than_the_page_says(
    gateway: Visitor, key: str
) -> None:
    """The second create of a key: what is made once, such as the cached caller, is there."""
    await gateway.create(key, once="first")
    with walking() as walk:
        assert (await gateway.create(key, once="second")).status == 202
    assert 1 <= walk.files.count(HANDLER) <= VISITS_MAX, walk.functions
    own = [name for name in walk.functions if not name.startswith(("ledger/", "redis_link/")) and name != KEPT]
    assert len(own) <= FUNCTIONS_MAX, "\n".join(own)
    assert f"| {FUNCTIONS_MAX} |" in PAGE
    assert set(own) == set(functions_on_the_page())
    # It is a whole walk: from the connection to its answer, with what is between them.
    ends = ("Connection.data_received", "Ordering.order", "GenerationOperations.reserve", "Connection.finish_response")
    assert [end for end in ends if not any(name.endswith(end) for name in walk.functions)] == []
