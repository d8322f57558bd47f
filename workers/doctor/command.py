"""`farebox doctor`: the command line, and the order of the checks."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict

import click

from gateway.cli.options import as_json_option
from gateway.cli.say import say, say_json
from gateway.cli.terminal import Terminal, as_text
from gateway.settings import Settings
from workers.doctor.archive import check_archive
from workers.doctor.environment import read_settings
from workers.doctor.findings import Finding, State, worst
from workers.doctor.ledger_server import check_ledger, open_ledger
from workers.doctor.machine import check_gateway, check_machine, check_queues, check_store
from workers.doctor.rate_card import check_providers, read_card

EXIT_PROBLEMS = 1
_COLOURS: dict[State, str] = {"ok": "green", "skipped": "dim", "warning": "yellow", "error": "bold red"}


@click.command()
@as_json_option
def doctor(*, as_json: bool) -> None:
    """Check everything this machine needs to run Farebox, and say what to do about each problem.

    Settings, keys, rate card, disk, open files, the ledger's Redis (version, durability, memory, replicas), clock,
    archive (how far it is behind, gaps, export), queue, object store, providers, and the gateway, if one runs here.
    Run it with the environment that the processes get. It changes nothing, and shows no secret.

    \b
    Exit codes:
      0  nothing stops Farebox; there may be warnings
      1  something does not work, and each such line begins with `error`

    \b
    Examples:
      farebox doctor
      farebox doctor --json | jq '.findings[] | select(.state != "ok")'
    """
    findings = asyncio.run(_all_findings(show=not as_json))
    verdict = worst(findings)
    if as_json:
        say_json({"state": verdict, "findings": [asdict(one) for one in findings]})
    else:
        errors, warnings = (sum(one.state == state for one in findings) for state in ("error", "warning"))
        say(f"\nerrors: {errors}, warnings: {warnings}")
    if verdict == "error":
        sys.exit(EXIT_PROBLEMS)


async def _all_findings(*, show: bool) -> list[Finding]:
    found = []
    console = Terminal()
    async for finding in examine():
        found.append(finding)
        if show:
            _print(console, finding)
    return found


async def examine() -> AsyncIterator[Finding]:
    """Every check, in the order in which problems explain each other."""
    settings, found = read_settings()
    for finding in found:
        yield finding
    if settings is None:
        return
    for finding in check_machine(settings):
        yield finding
    card, found = read_card(settings)
    for finding in found:
        yield finding
    ledger = open_ledger(settings)
    try:
        async for finding in check_ledger(settings, ledger, card):
            yield finding
        if settings.archive_url is not None:
            exports = settings.events_url is not None
            async for finding in check_archive(settings.archive_url, ledger, exports=exports):
                yield finding
    finally:
        await ledger.close()
    async for finding in _beside_the_ledger(settings):
        yield finding
    if card is not None:
        async for finding in check_providers(card, settings):
            yield finding


async def _beside_the_ledger(settings: Settings) -> AsyncIterator[Finding]:
    async for finding in check_queues(settings):
        yield finding
    yield await check_store(settings)
    async for finding in check_gateway(settings):
        yield finding


def _print(console: Terminal, finding: Finding) -> None:
    colour = _COLOURS[finding.state]
    console.print(f"[{colour}]{finding.state:8}[/] {finding.check:11} {as_text(finding.message)}", soft_wrap=True)
    if finding.fix is not None:
        console.print(f"{'':20} → {as_text(finding.fix)}", soft_wrap=True)
