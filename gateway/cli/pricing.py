"""`farebox pricing`: check a rate card before a gateway uses it, and publish one."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from gateway.cli.embedded_redis import check_is_there
from gateway.cli.import_prices import import_prices
from gateway.cli.listing import Listing
from gateway.cli.rehearse import rehearse
from gateway.cli.say import say
from gateway.cli.terminal import Terminal
from gateway.clock import now_ms
from gateway.errors import LedgerBroken, LedgerUnavailable, RateCardOutdated, SettingsError
from gateway.ledger.card_in_force import outdated
from gateway.ledger.ledger import Ledger
from gateway.ledger.policy_of_card import policy_of
from gateway.pricing.card import RateCard
from gateway.pricing.load import default_card_path, is_the_example, load_card, load_proved_card
from gateway.pricing.render import render
from gateway.redis_link.connections import connect_ledger
from gateway.settings import Settings, load_settings

EXIT_NOT_PUBLISHED = 1


@click.group(cls=Listing)
def pricing() -> None:
    """Check a rate card, rehearse it on what was made lately, and publish it."""


@pricing.command()
@click.argument("path", type=click.Path(path_type=Path), required=False)
def check(path: Path | None) -> None:
    """Check that the rate card has exactly one price for every allowed combination, and print its prices.

    All price lists are checked, also those that begin later (`valid_from`); what changes when is printed.

    PATH defaults to FAREBOX_RATE_CARD, then pricing.toml here, then the packaged example. Each error names its table
    and what to change; the exit code is 2 if there are any, so the command can guard a deploy.

    \b
    Examples:
      farebox pricing check
      farebox pricing check next-month.toml
    """
    card, proof = load_proved_card(path or default_card_path(load_settings().rate_card))
    Terminal().print(render(card, proof, now_ms()))


@pricing.command()
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--force", is_flag=True, help="Publish even if a newer card is in force, to go back to an older one.")
def publish(path: Path | None, *, force: bool) -> None:
    """Publish a rate card (its plans, free credits and limits) to the ledger (FAREBOX_LEDGER_URL).

    PATH defaults to FAREBOX_RATE_CARD, then pricing.toml here. Gateways publish their own file automatically when its
    modification time is newer than that of the card in force. You need this command to go back to an older file: put
    it in place for every gateway and worker, then publish it with --force. A process with another file reports
    `degraded` until it has this one.

    \b
    Exit codes:
      0  the card is in force
      1  a newer card is in force (use --force), or the ledger is not responding
      2  the card is invalid

    \b
    Examples:
      farebox pricing publish
      farebox pricing publish --force last-month.toml
    """
    settings = load_settings()
    path = path or default_card_path(settings.rate_card)
    if is_the_example(path):
        raise SettingsError(
            f"There is no pricing.toml in {Path.cwd()}, and the packaged example is never published by default. Name "
            "a card: farebox pricing publish PATH"
        )
    card = load_card(path)
    try:
        asyncio.run(_publish(settings, card, force=force))
    except (LedgerUnavailable, LedgerBroken, RateCardOutdated) as error:
        reason = f"the ledger is not responding ({error})" if isinstance(error, LedgerUnavailable) else error
        say(f"Error: {reason}", error=True)
        sys.exit(EXIT_NOT_PUBLISHED)
    say(f"{card.version} is in force ({card.path}).")


pricing.add_command(import_prices)
pricing.add_command(rehearse)


async def _publish(settings: Settings, card: RateCard, *, force: bool) -> None:
    check_is_there(settings)
    ledger = Ledger(connect_ledger(settings.ledger_address))
    try:
        await ledger.start()
        # Retention is set by the gateways; this machine's settings may differ.
        ledger.retention = settings.retention.as_published(await ledger.published())
        if not await ledger.publish(policy_of(card), force=force):
            raise RateCardOutdated(outdated(card, await ledger.policies_in_force()))
    finally:
        await ledger.close()
