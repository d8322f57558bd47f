"""`farebox rebuild`: make a ledger on an empty Redis from the archive."""

from __future__ import annotations

import asyncio
import sys

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gateway.archive.rebuilding import Rebuild, Rebuilt
from gateway.cli.embedded_redis import redis_in_reach
from gateway.cli.say import say
from gateway.cli.terminal import Terminal
from gateway.errors import LedgerUnavailable, RebuildRefused, SettingsError
from gateway.ledger.ledger import Ledger
from gateway.ledger.policy_of_card import policy_of
from gateway.pricing.load import default_card_path, load_card
from gateway.redis_link.connections import connect_ledger
from gateway.settings import Settings, load_settings

EXIT_FAILED = 2
EXIT_INTERRUPTED = 130  # a shell's exit code after Ctrl-C


@click.command()
@click.option("--from-archive", is_flag=True, required=True, help="From FAREBOX_ARCHIVE_URL; the only way there is.")
def rebuild(*, from_archive: bool) -> None:
    """Make a ledger on an empty Redis (FAREBOX_LEDGER_URL) from the archive in PostgreSQL.

    Accounts, balances, keys, members, subscriptions, webhooks, recent journals, generations and usage come back as they
    were at their last copy. Open generations are dispatched again. docs/archive.md says what does not come back.

    Stop all processes first. Interrupted, run it again: it goes on. Until it is finished, no process starts on the
    ledger. Then run `farebox audit`.

    \b
    Example:
      farebox rebuild --from-archive
    """
    del from_archive
    try:
        done = asyncio.run(_rebuild(load_settings()))
    except (LedgerUnavailable, RebuildRefused) as error:
        say(f"Error: {error}", error=True)
        sys.exit(EXIT_FAILED)
    except KeyboardInterrupt:
        say("Interrupted: run the same command again to go on.", error=True)
        sys.exit(EXIT_INTERRUPTED)
    _show(done)


async def _rebuild(settings: Settings) -> Rebuilt:
    if settings.archive_url is None:
        raise SettingsError("FAREBOX_ARCHIVE_URL is not set: where is the archive?")
    policy = policy_of(load_card(default_card_path(settings.rate_card)))
    async with redis_in_reach(settings):
        ledger = Ledger(connect_ledger(settings.ledger_address))
        try:
            columns = (
                TextColumn("accounts"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
            )
            with Progress(*columns, console=Terminal(stderr=True), transient=True) as bars:
                task = bars.add_task("accounts", total=None)
                rebuilding = Rebuild(ledger, settings.archive_url, policy, await ledger.time())
                return await rebuilding.run(lambda done, of: bars.update(task, completed=done, total=of))
        finally:
            await ledger.close()


def _show(done: Rebuilt) -> None:
    say(
        f"Rebuilt {done.accounts:,} accounts with {done.entries:,} journal entries and {done.generations:,} "
        f"generations, {done.open:,} of them open."
    )
    if done.incomplete:
        say(f"Missing: {done.incomplete:,} accounts whose first copy was not complete.")
    if done.cut:
        say(f"Cut: the last journal entries of {done.cut:,} accounts, which were copied without their generations.")
    say("Now run `farebox audit`, then start Farebox.")
