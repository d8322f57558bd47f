"""What the archivist copies: each entry once, in order, with what the account and its generations are."""

from __future__ import annotations

import json

from tests.archive.archived import Archived


async def test_the_archive_has_what_the_journal_has(archived: Archived) -> None:
    world = archived.world
    for _ in range(3):
        await world.finish(await world.spend())
    await world.fail(await world.spend())
    await archived.copy()
    assert await archived.entries() == await archived.journal()
    row = await archived.row("SELECT * FROM farebox.accounts WHERE account = 'ann'")
    assert json.loads(row["fields"])["entries"] == str(row["last_entry"]) == str(row["at_entry"])
