"""`farebox audit-log`: who changed what, over the HTTP interface of a running gateway."""

from __future__ import annotations

import re
from typing import Any

import click
from rich.table import Table

from gateway.cli.operator import ask_gateway
from gateway.cli.say import say, say_json
from gateway.cli.terminal import Terminal, as_text
from gateway.client.calls import GatewayClient


@click.command("audit-log")
@click.option("--account", metavar="ID", help="Only calls about this account.")
@click.option("--key", metavar="KEY_ID", help="Only calls with this key (`root`: the one in the settings).")
@click.option("--action", metavar="NAME", help="Only this call, such as grantCredits.")
@click.option("--after", "created_after", metavar="TIME", help="Only at or after this time (2026-11-22T17:00:00Z).")
@click.option("--until", "created_before", metavar="TIME", help="Only before this time.")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="Number of entries.")
@click.option("--before", metavar="ID", help="Continue after this entry.")
@click.option("--json", "as_json", is_flag=True, help="Print the response as JSON.")
def audit_log(*, as_json: bool, **query: str | int | None) -> None:
    """List what operators' keys changed, newest first: when, by which key, from where, and what.

    Talks to the running gateway with the admin key, as `farebox account` does. `farebox audit` is something else: it
    checks the ledger's sums.

    \b
    Examples:
      farebox audit-log
      farebox audit-log --account acme --action grantCredits
      farebox audit-log --key key_5z2k7qv3h6wn --json
    """
    asked = {name: str(value) for name, value in query.items() if value is not None}

    async def read(client: GatewayClient) -> dict[str, Any]:
        return await client.call("GET", "/v1/admin/audit-log", query=asked)

    page = ask_gateway(read)
    if as_json:
        say_json(page)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("when", "key", "role", "from", "what", "status", "before → after", "reason"):
        table.add_column(column, no_wrap=True)
    for entry in page["data"]:
        table.add_row(*map(as_text, _row(entry)))
    Terminal().print_whole(table)
    if page["next"] is not None:
        say(f"more: --before {page['next']}")


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    words = re.sub("(?=[A-Z])", " ", entry["action"]).lower()
    about = dict.fromkeys(one for one in (entry["account"], entry["subject"]) if one)
    status = "unknown" if entry["status"] is None else str(entry["status"])
    return (
        entry["created_at"],
        entry["key"],
        entry["role"] or "",
        entry["address"],
        " ".join((words, *about)),
        f"{status} (replayed)" if entry["replayed"] else status,
        _changes(entry["before"], entry["after"]),
        entry["reason"] or "",
    )


def _changes(before: dict[str, Any] | None, after: dict[str, Any] | None) -> str:
    if after is None:
        return ""
    before = before or {}
    return ", ".join(f"{name} {_said(before.get(name))} → {_said(after.get(name))}" for name in {**before, **after})


def _said(value: Any) -> str:
    return "–" if value is None else str(value)
