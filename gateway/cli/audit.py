"""`farebox audit`: verify that a live ledger is consistent, or list what is not."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from gateway.cli.embedded_redis import check_is_there
from gateway.cli.say import say, say_json
from gateway.cli.terminal import Terminal, as_text
from gateway.errors import LedgerBroken, LedgerUnavailable
from gateway.ledger.audit import AuditDifference, Report, audit, remember
from gateway.ledger.ledger import Ledger
from gateway.redis_link.connections import connect_ledger
from gateway.settings import Settings, load_settings

EXIT_DIFFERENCES = 1
EXIT_NOT_PROVED = 2
EXIT_INTERRUPTED = 130  # a shell's exit code after Ctrl-C

_TITLES = {"partitions": "partitions", "keys": "accounts, journals, generations"}


@click.command("audit")
@click.option("--account", metavar="ID", help="Only this account: its balance, journal and generations.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def audit_command(account: str | None, *, as_json: bool) -> None:
    """Verify on the live ledger that no credit is lost, counted twice, or held for nothing.

    \b
    For every account and generation:
      the journal adds up, entry by entry, to the balance
      held credits match its open generations, per bucket and per grant
      each open generation has exactly one deadline, so it will be ended
      each ended one has committed the delivered share and refunded the rest
      counters, waiting rooms and totals are correct, and no key is orphaned

    It reads the ledger directly (FAREBOX_LEDGER_URL, or the embedded one in FAREBOX_DATA) in small steps with pauses
    between them, while everything runs, and never changes a credit. The caretaker does the same once a day. The result
    of a full audit is shown in /readyz, /metrics and /v1/ops/queues.

    \b
    Exit codes:
      0  everything is consistent
      1  differences were found
      2  the ledger could not be read, or part of it kept changing

    \b
    Examples:
      farebox audit
      farebox audit --account acme
      farebox audit --json | jq '.differences[].subject'
    """
    try:
        report = asyncio.run(_audit(load_settings(), account, show_progress=not as_json))
    except (LedgerUnavailable, LedgerBroken) as error:
        say(f"Error: the ledger could not be read: {error}", error=True)
        sys.exit(EXIT_NOT_PROVED)
    except KeyboardInterrupt:
        say("Interrupted: the audit is incomplete, and nothing was changed.", error=True)
        sys.exit(EXIT_INTERRUPTED)
    if account is not None and report.accounts == 0:
        say(f"Error: there is no account {account}.", error=True)
        sys.exit(EXIT_NOT_PROVED)
    if as_json:
        say_json(as_data(report))
    else:
        _show(report, Terminal())
    if not report.clean:
        sys.exit(EXIT_DIFFERENCES)
    if report.unproved:
        sys.exit(EXIT_NOT_PROVED)


async def _audit(settings: Settings, account: str | None, *, show_progress: bool) -> Report:
    check_is_there(settings)
    ledger = Ledger(connect_ledger(settings.ledger_address))
    try:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Terminal(stderr=True), disable=not show_progress, transient=True) as bars:
            report = await audit(ledger, account=account, progress=_AuditBars(bars))
        if account is None:
            await _remember(ledger, report)
        return report
    finally:
        await ledger.close()


async def _remember(ledger: Ledger, report: Report) -> None:
    """Store the result, if possible: a Redis with full memory accepts no writes, but the report is still valid."""
    try:
        await remember(ledger, report)
    except LedgerUnavailable as error:
        say(f"The result could not be saved for /readyz: {error}", error=True)


class _AuditBars:
    """One progress bar for each part of the audit, once it begins."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(_TITLES[what], total=total)
        self._bars.update(self._tasks[what], completed=done, total=total)


def as_data(report: Report) -> dict[str, Any]:
    """The report for JSON. `difference_count` includes those not listed."""
    names = ("at", "finished", "keys", "accounts", "generations", "entries", "clean", "difference_count", "unproved")
    return {
        **{name: getattr(report, name) for name in names},
        "counted": dict(report.counted),
        "differences": [asdict(one) | {"mend": one.fix, "text": str(one)} for one in report.differences],
    }


def _show(report: Report, console: Terminal) -> None:
    for difference in report.differences:
        _show_difference(difference, console)
    if report.difference_count > len(report.differences):
        console.print(f"… and {report.difference_count - len(report.differences):,} more\n")
    table = Table(title="Audit", title_justify="left", box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for what in ("accounts", "generations", "entries", "keys"):
        table.add_row(what, f"{getattr(report, what):,}")
    colour = "green" if report.clean else "red"
    table.add_row("differences", f"[bold {colour}]{report.difference_count:,}[/]")
    if report.unproved:
        table.add_row("not verified", f"[yellow]{len(report.unproved):,}[/]")
    table.add_row("seconds", f"{(report.finished - report.at) / 1000:,.1f}")
    console.print(table)
    for subject in report.unproved[:10]:
        console.print(f"not verified: {as_text(subject)} kept changing; run the audit again", soft_wrap=True)
    if report.clean and not report.unproved:
        console.print("\n[green]Everything is consistent.[/]")


def _show_difference(difference: AuditDifference, console: Terminal) -> None:
    console.print(f"[bold red]{difference.kind}[/]  {as_text(difference.subject)}", soft_wrap=True)
    console.print(f"  expected  {as_text(difference.expected)}", soft_wrap=True)
    console.print(f"  found     {as_text(difference.found)}", soft_wrap=True)
    console.print(f"  [dim]{as_text(difference.fix)}.[/]\n", soft_wrap=True)
