"""`farebox operator`: the keys of the people who run the gateway, each with a role."""

from __future__ import annotations

import uuid
from urllib.parse import quote

import click
from rich.table import Table

from gateway.cli.account_keys import to_the_minute
from gateway.cli.listing import Listing
from gateway.cli.operator import ask_gateway
from gateway.cli.options import as_json_option
from gateway.cli.say import say, say_json
from gateway.cli.terminal import Terminal, as_text
from gateway.domain import Scope

_PATH = "/v1/admin/keys"
_ROLES = click.Choice([scope.value for scope in Scope if scope not in {Scope.ACCOUNT, Scope.TOKEN}])


@click.group(cls=Listing)
def operator() -> None:
    """Create, list and revoke operators' keys. Each has a role, which the audit log names.

    \b
      ops      reads queues, pauses, payment events and lists of generations
      viewer   reads accounts, without prompts, inputs and outputs
      support  reads accounts; changes credits, up to a ceiling per call
      worker   makes generations, as a worker without Redis
      billing  reads what a viewer reads; changes credits and subscriptions
      admin    does everything
    """


@operator.command()
@click.argument("role", metavar="ROLE", type=_ROLES)
@click.option("--label", help="Whose key it is.")
@as_json_option
def key(role: str, label: str | None, *, as_json: bool) -> None:
    """Create a key with ROLE. It is shown only this once; only its hash is stored.

    \b
    Examples:
      farebox operator key support --label "Ada, support"
      farebox operator key viewer
    """
    body = {"scope": role} if label is None else {"scope": role, "label": label}
    made = ask_gateway(lambda client: client.call("POST", _PATH, body, once=uuid.uuid4().hex))
    if as_json:
        say_json(made)
    else:
        say(made["key"])


@operator.command("keys")
@as_json_option
def list_keys(*, as_json: bool) -> None:
    """List operators' keys: id, role, creation and last use, but not the keys themselves."""
    found = ask_gateway(lambda client: client.call("GET", _PATH))
    if as_json:
        say_json(found)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("key", "role", "made", "last used", "label"):
        table.add_column(column, no_wrap=True)
    for each in found["data"]:
        used = to_the_minute(each["last_used_at"]) if each["last_used_at"] else "never"
        table.add_row(each["id"], each["scope"], to_the_minute(each["created_at"]), used, as_text(each["label"] or ""))
    Terminal().print_whole(table)


@operator.command()
@click.argument("key_id", metavar="KEY")
@as_json_option
def revoke(key_id: str, *, as_json: bool) -> None:
    """Revoke KEY, by its id (`farebox operator keys`). Takes effect everywhere at once, for good."""
    done = ask_gateway(lambda client: client.call("DELETE", f"{_PATH}/{quote(key_id, safe='')}"))
    if as_json:
        say_json(done)
    else:
        say(f"{done['id']} has been revoked.")
