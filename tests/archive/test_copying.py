"""What the archivist copies: each entry once, in order, with what the account and its generations are."""

from __future__ import annotations

import json

from tests.archive.archived import Archived
from tests.ledger.world import HOUR, utc


async def test_the_archive_has_what_the_journal_has(archived: Archived) -> None:
    world = archived.world
    for _ in range(3):
        await world.finish(await world.spend())
    await world.fail(await world.spend())
    await archived.copy()
    assert await archived.entries() == await archived.journal()
    row = await archived.row("SELECT * FROM farebox.accounts WHERE account = 'ann'")
    assert json.loads(row["fields"])["entries"] == str(row["last_entry"]) == str(row["at_entry"])


async def test_usage_of_the_day_on_which_clocks_go_forward_is_copied(archived: Archived) -> None:
    """A step of 24 hours went from 23:30 of the day before to 0:30 of the day after."""
    world = archived.world
    await world.publish(timezone="Europe/Berlin", zone_changes=((0, HOUR), (utc("2027-03-28T01:00Z"), 2 * HOUR)))
    await world.advance_to(utc("2027-03-27T22:30Z"))
    await archived.copy()
    for at in ("2027-03-28T10:00Z", "2027-03-29T10:00Z"):
        await world.advance_to(utc(at))
        await world.finish(await world.spend())
    await archived.copy()
    rows = await archived.connection.fetch("SELECT day::text FROM farebox.usage ORDER BY day")
    assert [row["day"] for row in rows] == ["2027-03-28", "2027-03-29"]
