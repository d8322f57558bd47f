"""`farebox account members`: the members of an account, their roles and limits."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import quote

import click
from rich.table import Table

from gateway.cli.account_keys import limit_text, period_option
from gateway.cli.listing import Listing
from gateway.cli.operator import ask_gateway
from gateway.cli.options import CREDITS, as_json_option, path_of
from gateway.cli.say import say, say_json
from gateway.cli.terminal import Terminal, as_text
from gateway.domain import Role

_account = click.argument("name", metavar="ACCOUNT")
_member = click.argument("member", metavar="MEMBER")
_email = click.option("--email", help="Their email address.")
_limit = click.option("--limit", type=CREDITS, help="How many credits all of their keys may spend per --period.")


@click.group(cls=Listing)
def members() -> None:
    """Add, change and remove the members of an account. The first one is its owner.

    \b
    Examples:
      farebox account members add acme "Ada Lovelace" --email ada@example.com
      farebox account key acme --member mem_…
      farebox account members invite acme mem_…
    """


@members.command("list")
@_account
@as_json_option
def list_members(name: str, *, as_json: bool) -> None:
    """List ACCOUNT's members: id, role, limit, what they have spent, and name; former ones too."""
    found = ask_gateway(lambda client: client.call("GET", f"{path_of(name)}/members"))
    if as_json:
        say_json(found)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("member", "role", "limit", "used", "name", "email"):
        table.add_column(column, no_wrap=True)
    for each in found["data"]:
        role = each["role"] if each["removed_at"] is None else "removed"
        texts = as_text(each["name"]), as_text(each["email"] or "")
        table.add_row(each["id"], role, limit_text(each["limit"]), f"{each['usage']:,}", *texts)
    Terminal().print_whole(table)


@members.command()
@_account
@click.argument("person", metavar="NAME")
@_email
@click.option("--role", type=click.Choice([role.value for role in Role]), help="Default: member; the first: owner.")
@_limit
@period_option
@as_json_option
def add(name: str, person: str, limit: float | None, period: str, *, as_json: bool, **given: str | None) -> None:
    """Add a member to ACCOUNT."""
    body = {"name": person} | _given(limit=_limit_of(limit, period), **given)
    made = ask_gateway(lambda client: client.call("POST", f"{path_of(name)}/members", body, once=uuid.uuid4().hex))
    _show(made, as_json=as_json)


@members.command()
@_account
@_member
@click.option("--name", "person", help="Their name.")
@_email
@click.option("--role", type=click.Choice(["member", "admin"]), help="What they may do; see `hand-over` for owners.")
@_limit
@period_option
@click.option("--no-limit", is_flag=True, help="Remove the limit.")
@as_json_option
def change(
    name: str, member: str, person: str | None, limit: float | None, period: str, *, no_limit: bool, as_json: bool,
    **given: str | None,
) -> None:  # fmt: skip
    """Change the name, email, role or limit of MEMBER of ACCOUNT."""
    if no_limit and limit is not None:
        raise click.UsageError("Give --limit or --no-limit, not both.")
    body = _given(name=person, limit=_limit_of(limit, period), **given) | ({"limit": None} if no_limit else {})
    _show(ask_gateway(lambda client: client.call("PATCH", _path(name, member), body)), as_json=as_json)


@members.command("hand-over")
@_account
@_member
@as_json_option
def hand_over(name: str, member: str, *, as_json: bool) -> None:
    """Make MEMBER the owner of ACCOUNT; the owner becomes an admin."""
    _show(ask_gateway(lambda client: client.call("POST", f"{_path(name, member)}/owner")), as_json=as_json)


@members.command()
@_account
@_member
@as_json_option
def invite(name: str, member: str, *, as_json: bool) -> None:
    """Create a link that signs MEMBER of ACCOUNT in to the console: once, within a week."""
    made = ask_gateway(lambda client: client.call("POST", f"{_path(name, member)}/invitation"))
    if as_json:
        say_json(made)
    else:
        say(made["url"])


@members.command()
@_account
@_member
@as_json_option
def remove(name: str, member: str, *, as_json: bool) -> None:
    """Remove MEMBER from ACCOUNT. Their keys are revoked at once; what they have open goes on."""
    _show(ask_gateway(lambda client: client.call("DELETE", _path(name, member))), as_json=as_json)


def _path(name: str, member: str) -> str:
    return f"{path_of(name)}/members/{quote(member, safe='')}"


def _given(**options: Any) -> dict[str, Any]:
    return {option: value for option, value in options.items() if value is not None}


def _limit_of(credits_: float | None, period: str) -> dict[str, Any] | None:
    return None if credits_ is None else {"credits": credits_, "period": period}


def _show(member: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        say_json(member)
        return
    role = member["role"] if member["removed_at"] is None else "removed"
    say(f"{member['id']}: {role}, {limit_text(member['limit'])}")
