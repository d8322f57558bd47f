"""`farebox pricing rehearse`: what the last month's generations would have cost by another rate card."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
from pydantic import TypeAdapter, ValidationError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from gateway.cli.embedded_redis import check_is_there
from gateway.cli.say import say, say_json
from gateway.cli.terminal import Terminal, as_text
from gateway.clock import now_ms
from gateway.domain import FINAL_STATES, format_credits
from gateway.errors import LedgerBroken, LedgerUnavailable
from gateway.ledger import outcomes
from gateway.ledger.audit.keyspace import read_key
from gateway.ledger.audit.reader import Reader
from gateway.ledger.audit.scanning import count_keys, scan
from gateway.ledger.ledger import Ledger
from gateway.ledger.price_basis import PRICED_FOR, decode_priced_for
from gateway.pricing.card import RateCard
from gateway.pricing.discounts import PricedFor
from gateway.pricing.fields import PositiveDurationMs
from gateway.pricing.load import load_card
from gateway.pricing.rehearsal import PastGeneration, Rehearsal, Rehearsed
from gateway.redis_link.connections import connect_ledger
from gateway.settings import Settings, load_settings

EXIT_NOT_READ = 1
EXIT_INTERRUPTED = 130  # a shell's exit code after Ctrl-C
_REST = 1.0
_REASONS_SHOWN = 5
_COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())


class _Duration(click.ParamType[int]):
    """A duration as in the rate card, in milliseconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Convert the text."""
        try:
            duration_ms: int = TypeAdapter(PositiveDurationMs).validate_python(value)
        except ValidationError:
            self.fail(f'{value!r} is not a duration such as "12h" or "30d"', param, ctx)
        return duration_ms


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--last", type=_Duration(), default="30d", show_default=True, help="Generations made in this time.")
@click.option(
    "--at",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    help="By the prices that are in force at this time, in the card's time zone. Default: now.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the sums as JSON, in millicredits.")
def rehearse(path: Path, last: int, at: datetime | None, *, as_json: bool) -> None:
    """Price past generations by the rate card PATH, which need not be in force: what it would have earned and refused.

    For each model: what was charged, what would have been, and how many would have cost more or less. Generations that
    the card refuses are counted with the reason, and with what they were charged. Those still open are left out.

    Settings are taken as they were used, defaults included, plans and discounts as the accounts have them now. All is
    priced by one price list of each model, that of `--at`, whenever it was made. Graduated prices go by what was
    delivered in each calendar month. The size and length of inputs are not kept: where they make the price, it is the
    maximum that the model accepts.

    It reads the ledger directly, like `farebox audit` (FAREBOX_LEDGER_URL, or the embedded one in FAREBOX_DATA), in
    small steps, and changes nothing.

    \b
    Exit codes:
      0  rehearsed
      1  the ledger could not be read
      2  the card is invalid

    \b
    Examples:
      farebox pricing rehearse next-month.toml
      farebox pricing rehearse next-month.toml --at 2026-12-01
      farebox pricing rehearse next-month.toml --last 7d --json | jq '.total'
    """
    card = _dated(load_card(path), at)
    try:
        rehearsal = asyncio.run(_rehearse(load_settings(), card, now_ms() - last, show_progress=not as_json))
    except (LedgerUnavailable, LedgerBroken) as error:
        say(f"Error: the ledger could not be read: {error}", error=True)
        sys.exit(EXIT_NOT_READ)
    except KeyboardInterrupt:
        say("Interrupted: nothing was changed.", error=True)
        sys.exit(EXIT_INTERRUPTED)
    if as_json:
        say_json(as_data(rehearsal))
    else:
        _show(rehearsal, Terminal())


def _dated(card: RateCard, at: datetime | None) -> RateCard:
    """The card with the prices of a time."""
    if at is None:
        return card.at(now_ms())
    return card.at(int(at.replace(tzinfo=ZoneInfo(card.free.timezone)).timestamp() * 1000))


async def _rehearse(settings: Settings, card: RateCard, since: int, *, show_progress: bool) -> Rehearsal:
    check_is_there(settings)
    ledger = Ledger(connect_ledger(settings.ledger_address))
    rehearsal, accounts = Rehearsal(card, since), dict[str, PricedFor]()
    seen = set[str]()  # a scan may meet a key twice
    try:
        reader = Reader(ledger, _REST)
        with Progress(*_COLUMNS, console=Terminal(stderr=True), disable=not show_progress, transient=True) as bars:
            bar = bars.add_task("keys", total=await count_keys(reader))
            async for names in scan(reader):
                async for one in _ended(ledger, names, rehearsal.reads_since):
                    if one.id in seen:
                        continue
                    seen.add(one.id)
                    if one.account not in accounts:
                        accounts[one.account] = await _priced_for(ledger, one.account)
                    rehearsal.note(
                        PastGeneration(
                            request=one.request,
                            account=one.account,
                            priced_for=accounts[one.account],
                            created_at=one.created_at,
                            charged=one.committed_millicredits,
                            delivered=len(one.outputs),
                        )
                    )
                bars.advance(bar, len(names))
        rehearsal.finish()
        return rehearsal
    finally:
        await ledger.close()


async def _ended(ledger: Ledger, names: list[str], since: int) -> AsyncIterator[outcomes.Generation]:
    """The generations among these keys that were made since then and have ended."""
    keys = (read_key(name, ledger.partitions) for name in names)
    ids = [key.generation for key in keys if key is not None and key.kind and key.kind.name == "generation"]
    for one in await asyncio.gather(*(ledger.generation(generation=found) for found in ids if found)):
        if isinstance(one, outcomes.Generation) and one.created_at >= since and one.state in FINAL_STATES:
            yield one


async def _priced_for(ledger: Ledger, account: str) -> PricedFor:
    return decode_priced_for(await ledger.command("HMGET", ledger.account_key(account), *PRICED_FOR))


def as_data(rehearsal: Rehearsal) -> dict[str, Any]:
    """The sums for JSON; amounts in millicredits."""
    models = [
        {"tool": tool, "model": model, **asdict(sums)} for (tool, model), sums in sorted(rehearsal.models.items())
    ]
    return {"models": models, "total": asdict(rehearsal.total)}


def _show(rehearsal: Rehearsal, console: Terminal) -> None:
    if not rehearsal.models:
        say("No generation has ended in this time.")
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("model", overflow="fold")
    for column in ("generations", "charged", "would charge", "change", "dearer", "cheaper", "refused", "of it charged"):
        table.add_column(column, justify="right")
    for (_, model), sums in sorted(rehearsal.models.items()):
        table.add_row(as_text(model), *_cells(sums))
    total = rehearsal.total
    if len(rehearsal.models) > 1:
        table.add_row("[bold]all[/]", *_cells(total))
    console.print_whole(table)
    for reason, times in sorted(total.refused.items(), key=lambda found: -found[1])[:_REASONS_SHOWN]:
        console.print(f"[yellow]refused[/] {times:,}: {as_text(reason)}", soft_wrap=True)
    if len(total.refused) > _REASONS_SHOWN:
        say(f"and {len(total.refused) - _REASONS_SHOWN} more reasons (--json has all)")
    if total.at_most:
        say(f"{total.at_most:,} are priced at a maximum: the sizes of inputs, and reports, are not known.")


def _cells(sums: Rehearsed) -> list[str]:
    refused = sum(sums.refused.values())
    return [
        f"{sums.generations:,}",
        format_credits(sums.charged),
        format_credits(sums.would_charge),
        f"{(sums.would_charge - sums.charged) / sums.charged:+.1%}" if sums.charged else "–",
        f"{sums.dearer:,}",
        f"{sums.cheaper:,}",
        f"{refused:,}",
        format_credits(sums.lost),
    ]
