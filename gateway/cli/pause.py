"""`farebox pause` and `farebox resume`, over the HTTP API of a running gateway."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from gateway.cli.operator import ask_gateway
from gateway.cli.options import as_json_option, path_of
from gateway.cli.say import say, say_json
from gateway.client.calls import GatewayClient

_KIND = click.Choice(["tool", "model", "provider", "account"])


@click.command()
@click.argument("kind", type=_KIND)
@click.argument("name")
@click.option("--reason", required=True, help="Why: shown to customers, and in the audit log.")
@click.option("--wait", is_flag=True, help="Accept what is new, and let it wait; without this it is refused.")
@click.option("--until", metavar="TIME", help="Resume by itself at this time (2026-11-22T17:00:00Z).")
@as_json_option
def pause(kind: str, name: str, *, reason: str, wait: bool, until: str | None, as_json: bool) -> None:
    """Pause a tool, model, provider or account: nothing of it starts until it is resumed.

    What runs goes on. What waits keeps its place and its credits, and its time stands still.

    \b
    Examples:
      farebox pause provider replicate --reason "the provider is down until noon"
      farebox pause model flux-dev --wait --reason "we are changing the model"
      farebox pause account acme --reason "we are looking into a chargeback"
    """
    body: dict[str, Any] = {"reason": reason, "new": "wait" if wait else "refuse"}
    if until is not None:
        body["until"] = until
    paused = ask_gateway(lambda client: client.call("PUT", _path(kind, name), body))
    if as_json:
        say_json(paused)
        return
    what = "What is new is accepted and waits" if wait else "What is new is refused, with your reason"
    end = f"by itself at {until}" if until else f"by `farebox resume {kind} {name}`"
    say(f"Paused the {kind} {name}. {what}; what runs goes on. It is resumed {end}.")


@click.command()
@click.argument("kind", type=_KIND)
@click.argument("name")
@click.option("--reason", help="Why: for the audit log.")
@as_json_option
def resume(kind: str, name: str, *, reason: str | None, as_json: bool) -> None:
    """Resume a paused tool, model, provider or account: what was held starts.

    \b
    Example:
      farebox resume provider replicate --reason "it is back"
    """

    async def end(client: GatewayClient) -> dict[str, Any]:
        return await client.call("DELETE", _path(kind, name))

    resumed = ask_gateway(end, reason)
    if as_json:
        say_json(resumed)
    else:
        say(f"Resumed the {kind} {name}. What was held starts now.")


def _path(kind: str, name: str) -> str:
    return f"{path_of(name)}/pause" if kind == "account" else f"/v1/ops/pauses/{kind}/{quote(name, safe='')}"
