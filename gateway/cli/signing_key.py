"""`farebox signing-key`: show which signing key the ledger uses, or switch to another one."""

from __future__ import annotations

import asyncio
import sys

import click

from gateway.cli.embedded_redis import redis_in_reach
from gateway.cli.listing import Listing
from gateway.cli.say import say, say_json
from gateway.errors import SettingsError
from gateway.ledger.ledger import Ledger
from gateway.redis_link.connections import connect_ledger
from gateway.settings import Settings, load_settings
from gateway.startup.signing_key import difference, mark_of

EXIT_DIFFERS = 1


@click.group("signing-key", cls=Listing)
def signing_key() -> None:
    """See which signing key the ledger uses, or switch to another one.

    The signing key (FAREBOX_SIGNING_KEY, or `signing-key` in the data folder) signs webhooks, links, quotes and
    sign-ins. The ledger stores its fingerprint, and a gateway or caretaker with another key does not start.
    """


@signing_key.command()
@click.option("--json", "as_json", is_flag=True, help="Print the fingerprints as JSON.")
def show(*, as_json: bool) -> None:
    """Show the fingerprints of this machine's signing key and of the key the ledger uses.

    The exit code is 1 if they differ.

    \b
    Example:
      farebox signing-key show
    """
    settings = load_settings()
    mine = _own_mark(settings)
    known = asyncio.run(_known(settings))
    if as_json:
        say_json(
            {"source": settings.secret_source("signing-key"), "mark": mine, "ledger": known, "same": mine == known}
        )
    else:
        say(f"{mine}  {settings.secret_source('signing-key')}\n{known or 'none yet':16}  the ledger")
    if known is not None and known != mine:
        if not as_json:
            say(difference(settings, mine, known), error=True)
        sys.exit(EXIT_DIFFERS)


@signing_key.command()
def adopt() -> None:
    """Make the ledger use this machine's signing key from now on.

    For when the one before is lost, or was changed on purpose. What was made with that one is lost: quotes, links to
    outputs and sign-ins are refused, and no webhook made before is signed until its secret is rotated. Give every
    gateway and caretaker the same key, and start them again.

    \b
    Example:
      farebox signing-key adopt
    """
    settings = load_settings()
    mine = _own_mark(settings)
    before = asyncio.run(_adopt(settings, mine))
    if before == mine:
        say(f"The ledger already uses the key from {settings.secret_source('signing-key')} ({mine}).")
        return
    say(f"The ledger now uses the key from {settings.secret_source('signing-key')} ({mine}).")
    if before is not None:
        say(
            f"Before, it used {before}. Start every gateway and caretaker with the new key, then rotate the secret of "
            "every webhook, in the console or with POST /v1/webhooks/{webhook}/rotate; until then, its events wait."
        )


def _own_mark(settings: Settings) -> str:
    key = settings.existing_secret("signing-key")
    if key is None:
        raise SettingsError(
            f"No signing key: FAREBOX_SIGNING_KEY is not set, and {settings.secret_source('signing-key')} does not "
            "exist.\nRun this in the folder where the gateway runs, or set FAREBOX_DATA to its data folder."
        )
    return mark_of(key)


async def _known(settings: Settings) -> str | None:
    async with redis_in_reach(settings):
        ledger = Ledger(connect_ledger(settings.ledger_address))
        try:
            return await ledger.signing_key_mark()
        finally:
            await ledger.close()


async def _adopt(settings: Settings, mark: str) -> str | None:
    async with redis_in_reach(settings):
        ledger = Ledger(connect_ledger(settings.ledger_address))
        try:
            before = await ledger.signing_key_mark()
            await ledger.adopt_signing_key(mark)
            return before
        finally:
            await ledger.close()
