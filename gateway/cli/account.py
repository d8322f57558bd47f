"""`farebox account`: manage accounts over the HTTP API of a running gateway."""

from __future__ import annotations

import uuid
from typing import Any

import click
from rich.table import Table

from gateway.cli import account_keys, account_members, account_person
from gateway.cli.account_factors import factors_command
from gateway.cli.account_list import list_accounts
from gateway.cli.listing import Listing
from gateway.cli.operator import ask_gateway
from gateway.cli.options import CREDITS, as_json_option, path_of
from gateway.cli.say import say, say_json
from gateway.cli.terminal import Terminal, as_text
from gateway.client.calls import GatewayClient
from gateway.domain import Bucket

_PAGE = 100
_INTERVAL = click.Choice(["monthly", "quarterly", "yearly"])
_reason = click.option("--reason", required=True, help="The reason; shown to the customer in the journal.")
_bucket = click.option(
    "--bucket",
    type=click.Choice([bucket.value for bucket in Bucket]),
    default="top_up",
    show_default=True,
    help="The bucket of the credits, which decides when they are spent.",
)


@click.group(cls=Listing)
def account() -> None:
    """Create accounts and API keys, grant and adjust credits, and see how they were spent.

    Talks to the running gateway (FAREBOX_PUBLIC_URL, or FAREBOX_HOST and FAREBOX_PORT) with the admin key
    (FAREBOX_ADMIN_KEY, or the one in the data folder).

    \b
    Examples:
      farebox account create acme --email ada@example.com
      farebox account key acme --label "web shop"
      farebox account grant acme 500 --reason "sorry about Monday"
      farebox account show acme
    """


account.add_command(list_accounts)


@account.command()
@click.argument("name", metavar="ACCOUNT")
@click.option("--email", help="The account's email address.")
@click.option("--free-credits/--no-free-credits", default=None, help="Whether it gets the daily free credits.")
@as_json_option
def create(name: str, email: str | None, *, free_credits: bool | None, as_json: bool) -> None:
    """Create ACCOUNT, or change its email or whether it gets free credits.

    \b
    Examples:
      farebox account create acme --email ada@example.com
      farebox account create acme --free-credits
    """
    given = {"email": email, "free_credits": free_credits}
    body = {name: value for name, value in given.items() if value is not None}
    _show_account(ask_gateway(lambda client: client.call("PUT", path_of(name), body)), as_json=as_json)


@account.command()
@click.argument("name", metavar="[ACCOUNT]", required=False)
@click.option("--email", help="Find the account by its email address instead.")
@as_json_option
def show(name: str | None, email: str | None, *, as_json: bool) -> None:
    """Show ACCOUNT: plan, balances, grants, open generations, newest journal entries, key ids."""
    if (name is None) == (email is None):
        raise click.UsageError("Give an ACCOUNT or --email.")

    async def find(client: GatewayClient) -> dict[str, Any]:
        if name is not None:
            return await client.call("GET", path_of(name))
        found = await client.call("GET", "/v1/admin/accounts", query={"email": email or ""})
        return await client.call("GET", path_of(found["id"]))

    _show_account(ask_gateway(find), as_json=as_json)


for _command in (*account_keys.COMMANDS, account_members.members, *account_person.COMMANDS):
    account.add_command(_command)


@account.command()
@click.argument("name", metavar="ACCOUNT")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Number of entries.")
@click.option("--before", help="Continue after a page: the number shown at its end.")
@click.option("--kind", help="Only this kind of entry, such as commit, refund or grant.")
@click.option("--generation", help="Only entries of this generation.")
@click.option("--key", help="Only entries of generations created with this key: its id.")
@click.option("--member", help="Only entries of generations of this member: the member's id.")
@as_json_option
def journal(name: str, limit: int, before: str | None, *, as_json: bool, **wanted: str | None) -> None:
    """Show ACCOUNT's journal, newest first: each entry's change, and the balance after it.

    \b
    Examples:
      farebox account journal acme
      farebox account journal acme --kind refund --limit 100
      farebox account journal acme --json | jq '.data[].credits'
    """
    path_of(name)  # checks the account id
    filters = {"account": name} | {field: value for field, value in wanted.items() if value is not None}

    async def read(client: GatewayClient) -> dict[str, Any]:
        entries: list[dict[str, Any]] = []
        at = before
        while True:
            size = str(min(limit - len(entries), _PAGE))
            query = {**filters, "limit": size} | ({} if at is None else {"before": at})
            page = await client.call("GET", "/v1/journal", None, query=query)
            entries += page["data"]
            at = page["next"]
            if at is None or len(entries) == limit:
                return {"data": entries, "next": at}

    found = ask_gateway(read)
    if as_json:
        say_json(found)
        return
    Terminal().print_whole(journal_table(found["data"], f"Journal of {name}"))
    if found["next"] is not None:
        say(f"more: --before {found['next']}")


@account.command()
@click.argument("name", metavar="ACCOUNT")
@click.argument("credits_", metavar="CREDITS", type=CREDITS)
@click.option("--expires-at", help="When they expire, such as 2027-01-31T00:00:00Z. Default: never.")
@click.option("--paid", type=click.FloatRange(min=0), help="What was paid for them, for the margin. Default: nothing.")
@_bucket
@_reason
@as_json_option
def grant(
    name: str, credits_: float, bucket: str, reason: str, *, expires_at: str | None, paid: float | None, as_json: bool
) -> None:
    """Grant CREDITS to ACCOUNT."""
    body: dict[str, Any] = {"bucket": bucket, "credits": credits_, "reason": reason}
    if paid is not None:
        body["paid"] = paid
    if expires_at is not None:
        body["expires_at"] = expires_at
    answer = ask_gateway(lambda client: client.call("POST", f"{path_of(name)}/grants", body, once=uuid.uuid4().hex))
    _show_account(answer["account"], as_json=as_json)


@account.command()
@click.argument("name", metavar="ACCOUNT")
@click.argument("credits_", metavar="CREDITS", type=CREDITS)
@_bucket
@_reason
@as_json_option
def adjust(name: str, credits_: float, bucket: str, reason: str, *, as_json: bool) -> None:
    """Adjust a bucket of ACCOUNT by CREDITS. To subtract: `farebox account adjust acme --reason … -- -20`."""
    body = {"bucket": bucket, "credits": credits_, "reason": reason}
    answer = ask_gateway(
        lambda client: client.call("POST", f"{path_of(name)}/adjustments", body, once=uuid.uuid4().hex)
    )
    _show_account(answer["account"], as_json=as_json)


@account.command()
@click.argument("name", metavar="ACCOUNT")
@click.argument("plan")
@click.option("--interval", type=_INTERVAL, default="monthly", show_default=True)
@click.option("--started-at", help="When it started, such as 2026-10-31T09:00:00Z. Default: now.")
@click.option("--paid-through", help="When it lapses. If omitted, it renews automatically until cancelled.")
@as_json_option
def subscribe(
    name: str, plan: str, interval: str, started_at: str | None, paid_through: str | None, *, as_json: bool
) -> None:
    """Start or renew ACCOUNT's subscription, or switch it to PLAN."""
    given = {"plan": plan, "interval": interval, "started_at": started_at, "paid_through": paid_through}
    body = {field: value for field, value in given.items() if value is not None}
    _show_account(
        ask_gateway(lambda client: client.call("PUT", f"{path_of(name)}/subscription", body)), as_json=as_json
    )


@account.command()
@click.argument("name", metavar="ACCOUNT")
@click.argument("plan")
@click.option("--interval", type=_INTERVAL, help="Billing interval. Default: unchanged.")
@click.option(
    "--when",
    type=click.Choice(["now", "period_end"]),
    required=True,
    help="At once, with a new cycle, or at the end of the paid period.",
)
@as_json_option
def change(name: str, plan: str, interval: str | None, when: str, *, as_json: bool) -> None:
    """Switch ACCOUNT's subscription to PLAN. To undo a scheduled change: `farebox account resume`."""
    body = {"plan": plan, "when": when} | ({} if interval is None else {"interval": interval})
    once = uuid.uuid4().hex
    answer = ask_gateway(lambda client: client.call("PATCH", f"{path_of(name)}/subscription", body, once=once))
    _show_account(answer, as_json=as_json)


@account.command()
@click.argument("name", metavar="ACCOUNT")
@as_json_option
def cancel(name: str, *, as_json: bool) -> None:
    """Cancel ACCOUNT's subscription at the end of the paid period; until then it can be resumed."""
    _show_account(ask_gateway(lambda client: client.call("DELETE", f"{path_of(name)}/subscription")), as_json=as_json)


@account.command()
@click.argument("name", metavar="ACCOUNT")
@as_json_option
def resume(name: str, *, as_json: bool) -> None:
    """Undo a cancellation of ACCOUNT's subscription, or a change scheduled for the end of its period."""
    path, once = f"{path_of(name)}/subscription/resume", uuid.uuid4().hex
    _show_account(ask_gateway(lambda client: client.call("POST", path, once=once)), as_json=as_json)


@account.command()
@click.argument("name", metavar="ACCOUNT")
@click.argument("seconds", type=click.IntRange(min=1))
@as_json_option
def advance(name: str, seconds: int, *, as_json: bool) -> None:
    """Advance ACCOUNT's clock by SECONDS to watch resets and refreshes happen. Test mode only."""
    body = {"advance_seconds": seconds}
    path = f"{path_of(name)}/clock"
    ask_gateway(lambda client: client.call("POST", path, body, once=uuid.uuid4().hex))
    _show_account(ask_gateway(lambda client: client.call("GET", path_of(name))), as_json=as_json)


def _show_account(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        say_json(found)
        return
    console = Terminal()
    balance = found["balance"]
    plan = balance["plan"]
    heading = f"[bold]{found['id']}[/]" + (f"  {as_text(found['email'])}" if found["email"] else "")
    console.print(heading + ("  [yellow]test account[/]" if found["test"] else ""), soft_wrap=True)
    console.print(f"{_plan_line(plan)}  ·  account time {found['clock']['now']}", soft_wrap=True)
    console.print(
        f"[bold]{balance['available']:,}[/] credits available, {balance['held']:,} held by open generations\n"
    )
    console.print_whole(_grants(balance["grants"]))
    if found.get("journal"):
        console.print_whole(journal_table(found["journal"], "Last entries"))
    work = {f"{tool} in work": count for tool, count in found["in_work"].items()}
    work |= {f"{tool} waiting": count for tool, count in found["waiting"].items()}
    console.print(
        "open: " + (", ".join(f"{count} {as_text(what)}" for what, count in work.items()) or "nothing"), soft_wrap=True
    )
    if factors := ", ".join(f"{name} × {factor:g}" for name, factor in found["factors"].items()):
        console.print(f"pays: {as_text(factors)} of the prices, beside its plan's discounts", soft_wrap=True)
    alerts = ", ".join(f"{part * 100:g} %" for part in found["alerts"]["thresholds"])
    console.print("alerts at: " + (alerts or "none (disabled)"))
    console.print(
        "keys: " + (", ".join(map(_key, found["keys"])) or "none; create one with `farebox account key`"),
        soft_wrap=True,
    )


account.add_command(factors_command(_show_account))


def _key(key: dict[str, Any]) -> str:
    """`key_… (web shop, last used 2026-11-22 17:00 UTC)`."""
    used = key["last_used_at"]
    when = f"last used {account_keys.to_the_minute(used)}" if used else "never used"
    return as_text(f"{key['id']} ({', '.join(part for part in (key['label'], when) if part)})")


def _plan_line(plan: dict[str, Any]) -> str:
    """`plan standard (active, monthly), paid through …, then ultimate`: the parts that apply."""
    status = plan["status"] if plan["interval"] is None else f"{plan['status']}, {plan['interval']}"
    line = f"plan {plan['id']} ({status})"
    if plan["paid_through"] is not None:
        line += f", {'ends' if plan['status'] == 'cancelled' else 'paid through'} {plan['paid_through']}"
    if plan["scheduled"] is not None:
        line += f", {plan['scheduled']['plan']} {plan['scheduled']['interval']} from {plan['scheduled']['at']}"
    return line


def _grants(grants: list[dict[str, Any]]) -> Table:
    table = Table(title="Grants, in the order they are spent", title_justify="left", box=None, pad_edge=False)
    for column in ("bucket", "kind"):
        table.add_column(column)
    for column in ("available", "held", "granted"):
        table.add_column(column, justify="right")
    table.add_column("expires")
    for each in grants:
        amounts = (f"{each[name]:,}" for name in ("available", "held", "granted"))
        table.add_row(each["bucket"], each["kind"], *amounts, each["expires_at"] or "never")
    return table


def journal_table(entries: list[dict[str, Any]], title: str) -> Table:
    """Journal entries as a table: each entry's change to available and held credits, and the balance after it.

    The last column is left out if it would only repeat one generation.
    """
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in ("at", "kind"):
        table.add_column(column, no_wrap=True)
    for column in ("credits", "held", "available", "held after"):
        table.add_column(column, justify="right")
    has_details = any(each.get("reason") for each in entries) or len({each.get("generation") for each in entries}) > 1
    if has_details:
        table.add_column("what for", no_wrap=True)
    for each in entries:
        changes = (f"{each[name]:+,}" if each[name] else "0" for name in ("credits", "held"))
        after = (f"{each[name]:,}" for name in ("available_after", "held_after"))
        why = [as_text(each.get("reason") or each.get("generation") or "")] if has_details else []
        table.add_row(each["at"][:19].replace("T", " "), each["kind"], *changes, *after, *why)
    return table
