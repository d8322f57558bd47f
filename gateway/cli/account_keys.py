"""`farebox account key`, `keys`, `limit`, `rotate`, `revoke`: the API keys of an account."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import quote

import click
from rich.table import Table

from gateway.cli.operator import ask_gateway
from gateway.cli.options import CREDITS, as_json_option, path_of
from gateway.cli.say import say, say_json
from gateway.cli.terminal import Terminal, as_text
from gateway.domain import LimitPeriod

period_option = click.option(
    "--period",
    type=click.Choice([period.value for period in LimitPeriod]),
    default="monthly",
    show_default=True,
    help="How often the limit resets, in the rate card's time zone; weeks on Mondays.",
)


@click.command()
@click.argument("name", metavar="ACCOUNT")
@click.option("--label", help="What the key is for.")
@click.option("--member", help="The id of the member it belongs to. Default: the account itself.")
@click.option("--limit", type=CREDITS, help="How many credits the key may spend per --period. Default: no limit.")
@period_option
@click.option("--tool", "tools", multiple=True, help="A tool it may be used for; repeat for more. Default: all.")
@click.option("--model", "models", multiple=True, help="A model it may be used for; repeat for more. Default: all.")
@click.option("--network", "networks", multiple=True, help="A network it may be used from; repeat for more.")
@click.option("--expires-at", help="When it stops working, such as 2027-01-31T00:00:00Z. Default: never.")
@as_json_option
def key(name: str, limit: float | None, period: str, *, as_json: bool, **given: Any) -> None:
    """Create an API key for ACCOUNT. It is shown only this once; only its hash is stored.

    \b
    Examples:
      farebox account key acme --label "web shop" --limit 500 --period weekly
      farebox account key acme --tool image --network 203.0.113.0/24
    """
    body = {option: value for option, value in given.items() if value}
    if limit is not None:
        body["limit"] = {"credits": limit, "period": period}
    made = ask_gateway(lambda client: client.call("POST", f"{path_of(name)}/keys", body, once=uuid.uuid4().hex))
    if as_json:
        say_json(made)
    else:
        say(made["key"])


@click.command("keys")
@click.argument("name", metavar="ACCOUNT")
@as_json_option
def list_keys(name: str, *, as_json: bool) -> None:
    """List ACCOUNT's keys: id, label, creation and last use, but not the keys themselves."""
    found = ask_gateway(lambda client: client.call("GET", f"{path_of(name)}/keys"))
    if as_json:
        say_json(found)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("key", "made", "last used", "limit", "member", "label"):
        table.add_column(column, no_wrap=True)
    for each in found["data"]:
        used = to_the_minute(each["last_used_at"]) if each["last_used_at"] else "never"
        limit = limit_text(each["limit"])
        made, member = to_the_minute(each["created_at"]), each["member"] or ""
        table.add_row(each["id"], made, used, limit, member, as_text(each["label"] or ""))
    Terminal().print_whole(table)


@click.command("limit")
@click.argument("name", metavar="ACCOUNT")
@click.argument("key_id", metavar="KEY")
@click.argument("credits_", metavar="[CREDITS]", type=CREDITS, required=False)
@period_option
@click.option("--none", "remove", is_flag=True, help="Remove the limit.")
@as_json_option
def set_limit(name: str, key_id: str, credits_: float | None, period: str, *, remove: bool, as_json: bool) -> None:
    """Set what KEY of ACCOUNT may spend, in CREDITS per --period. What it has spent in the period so far counts.

    \b
    Examples:
      farebox account limit acme key_… 500 --period weekly
      farebox account limit acme key_… --none
    """
    if (credits_ is None) != remove:
        raise click.UsageError("Give CREDITS or --none.")
    body = {"limit": None if credits_ is None else {"credits": credits_, "period": period}}
    path = f"{path_of(name)}/keys/{quote(key_id, safe='')}"
    changed = ask_gateway(lambda client: client.call("PATCH", path, body))
    if as_json:
        say_json(changed)
    else:
        say(f"{changed['id']}: {limit_text(changed['limit'])}")


@click.command()
@click.argument("name", metavar="ACCOUNT")
@click.argument("key_id", metavar="KEY")
@click.option(
    "--overlap-seconds",
    type=click.IntRange(0, 30 * 24 * 3600),
    default=24 * 3600,
    show_default=True,
    help="For how long KEY stays valid.",
)
@as_json_option
def rotate(name: str, key_id: str, overlap_seconds: int, *, as_json: bool) -> None:
    """Create a successor of KEY of ACCOUNT, with the same limit and bounds. It is shown only this once."""
    path, body = f"{path_of(name)}/keys/{quote(key_id, safe='')}/rotate", {"overlap_seconds": overlap_seconds}
    made = ask_gateway(lambda client: client.call("POST", path, body, once=uuid.uuid4().hex))
    if as_json:
        say_json(made)
    else:
        say(made["key"])


@click.command()
@click.argument("name", metavar="ACCOUNT")
@click.argument("key_id", metavar="KEY")
@as_json_option
def revoke(name: str, key_id: str, *, as_json: bool) -> None:
    """Revoke KEY of ACCOUNT, by its id (`farebox account keys`). Takes effect everywhere at once, for good."""
    path = f"{path_of(name)}/keys/{quote(key_id, safe='')}"
    done = ask_gateway(lambda client: client.call("DELETE", path))
    if as_json:
        say_json(done)
    else:
        say(f"{done['id']} has been revoked.")


COMMANDS = (key, list_keys, set_limit, rotate, revoke)


def to_the_minute(at: str) -> str:
    """`2026-11-22 17:00 UTC`."""
    return f"{at[:16].replace('T', ' ')} UTC"


def limit_text(limit: dict[str, Any] | None) -> str:
    """`500 weekly`, `no limit`."""
    if limit is None:
        return "no limit"
    return f"{limit['credits']:,} in all" if limit["period"] == "never" else f"{limit['credits']:,} {limit['period']}"
