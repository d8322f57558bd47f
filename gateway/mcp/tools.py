"""The tools: each makes a few calls to the public API, with an account's key.

A generation is created only at the confirmed price: `generate` requests a quote and, if the price matches, creates the
generation with that price as `max_credits`. If the price rises in between, the gateway refuses it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote as quoted

from gateway.client.calls import GatewayClient, GatewayRefused
from gateway.domain import FINAL_STATES
from gateway.mcp import arguments
from gateway.mcp.price_list import price_list
from gateway.mcp.refusals import price_changed
from gateway.schemas.base import as_number, exact_decimal

POLL_SECONDS = 1
ONCE = "idempotency_key"
"""The metadata field of a generation with the key that it was created with."""
_REMEMBERED = timedelta(hours=24)  # as long as the gateway stores an `Idempotency-Key` (R11)
_PRICE_MAY_HAVE_CHANGED = frozenset({"price_above_ceiling", "idempotency_key_reused"})
_FINAL = frozenset(map(str, FINAL_STATES))

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """An offered tool; `run` gets validated arguments."""

    name: str
    title: str
    takes: type[arguments.Arguments]
    run: Callable[[GatewayClient, Any], Awaitable[Result]]
    reads: bool = True

    @property
    def description(self) -> str:
        """The description that assistants read."""
        return " ".join((self.run.__doc__ or "").split())


async def list_models(client: GatewayClient, given: arguments.ListModelsArguments) -> Result:
    """List the models on sale: their settings, and for each combination of them the price in credits of one output.

    The prices are those that the account pays now; `list_credits` is the price without its discounts. Settings that are
    not in a price do not change it. A price with `at_most` is the most that may be charged, depending on what is used.
    `price_also_depends_on` names what else does, such as the number of input images: ask `quote` for those. With
    `graduated`, it depends on how many the account has ordered this month, too.
    """
    return await price_list(client, given.tool, given.model)


async def quote(client: GatewayClient, given: arguments.QuoteArguments) -> Result:
    """Get the exact price in credits of a generation, and whether the account's plan and credits allow it.

    Nothing is charged or reserved. Show the price to the user, then pass `credits` to `generate` as `confirm_credits`.
    With `at_most`, say "up to": the credits are held, and only what is used is charged.
    """
    found = await client.call("POST", "/v1/quotes", given.body())
    return {name: value for name, value in found.items() if name not in {"quote", "expires_at"}}


async def generate(client: GatewayClient, given: arguments.GenerateArguments) -> Result:
    """Make images, videos, audio or text, for the price that `quote` gave and the user accepted: it spends credits.

    Returns at once; read the outputs with `get_generation`. What is not delivered is not charged. If the price has
    changed, nothing is made, and the error states the new price. `already_made` marks the generation of an earlier,
    identical call.
    """
    once = given.idempotency_key or _derived(given)
    order = {**given.body(), "metadata": {ONCE: once}}
    price = exact_decimal((await client.call("POST", "/v1/quotes", order))["credits"])
    if price != given.confirm_credits:
        if (earlier := await _made_before(client, given, once)) is not None:
            return _replayed(earlier)
        raise price_changed(given.confirm_credits, price)
    try:
        reply = await client.exchange(
            "POST", "/v1/generations", order | {"max_credits": as_number(given.confirm_credits)}, once=once
        )
    except GatewayRefused as refused:
        if refused.code not in _PRICE_MAY_HAVE_CHANGED:
            raise
        if (earlier := await _made_before(client, given, once)) is not None:
            return _replayed(earlier)
        if refused.code == "price_above_ceiling":
            raise price_changed(given.confirm_credits, exact_decimal(refused.body["price"])) from None
        raise
    return _replayed(reply.body) if reply.replayed else reply.body


async def get_generation(client: GatewayClient, given: arguments.GetGenerationArguments) -> Result:
    """Get a generation: its status, progress, price, what was charged and refunded, and signed URLs of its outputs.

    Statuses: waiting, queued, running, then succeeded, failed or cancelled.
    """
    path = f"/v1/generations/{quoted(given.generation, safe='')}"
    ends = asyncio.get_running_loop().time() + given.wait_seconds
    while True:
        found = await client.call("GET", path)
        left = ends - asyncio.get_running_loop().time()
        if found["status"] in _FINAL or left <= 0:
            return found
        await asyncio.sleep(min(POLL_SECONDS, left))


async def cancel_generation(client: GatewayClient, given: arguments.CancelGenerationArguments) -> Result:
    """Cancel a generation. Outputs already delivered are charged; the rest of the price is refunded.

    A running one ends shortly after: until then, `cancel_requested` is true. One that has ended is returned as it is.
    """
    return await client.call("POST", f"/v1/generations/{quoted(given.generation, safe='')}/cancel")


async def get_balance(client: GatewayClient, given: arguments.GetBalanceArguments) -> Result:
    """Get the account's credits: available, held for open generations, when they refill, and its plan."""
    del given
    return await client.call("GET", "/v1/balance")


TOOLS = (
    OfferedTool("list_models", "List models and prices", arguments.ListModelsArguments, list_models),
    OfferedTool("quote", "Get a price", arguments.QuoteArguments, quote),
    OfferedTool("generate", "Generate media or text", arguments.GenerateArguments, generate, reads=False),
    OfferedTool("get_generation", "Get a generation", arguments.GetGenerationArguments, get_generation),
    OfferedTool(
        "cancel_generation", "Cancel a generation", arguments.CancelGenerationArguments, cancel_generation, reads=False
    ),
    OfferedTool("get_balance", "Get the balance", arguments.GetBalanceArguments, get_balance),
)


def _derived(given: arguments.GenerateArguments) -> str:
    """The default idempotency key: identical calls share one. The confirmed price is not part of it."""
    canonical = json.dumps(given.body(), sort_keys=True, separators=(",", ":"))
    return f"mcp-{hashlib.sha256(canonical.encode()).hexdigest()[:40]}"


async def _made_before(client: GatewayClient, given: arguments.GenerateArguments, once: str) -> Result | None:
    """The generation of an earlier call with the same key: a retry must not fail because the price has changed."""
    since = (datetime.now(UTC) - _REMEMBERED).isoformat(timespec="seconds").replace("+00:00", "Z")
    found = await client.call("GET", "/v1/generations", query={"created_after": since, f"metadata[{ONCE}]": once})
    data: list[Result] = found["data"]
    return next((made for made in data if _is_of(made, given)), None)


def _is_of(made: Result, given: arguments.GenerateArguments) -> bool:
    """Whether a generation matches these arguments, as far as it shows them: the key may have been reused."""
    kinds = [one["kind"] for one in made.get("inputs", [])]
    return (made["tool"], made["model"], made["prompt"], made["outputs_requested"], kinds) == (
        given.tool,
        given.model,
        given.prompt,
        given.outputs,
        [one.kind for one in given.inputs],
    ) and given.settings.items() <= made["settings"].items()


def _replayed(generation: Result) -> Result:
    return generation | {
        "already_made": True,
        "message": (
            "An earlier call with the same arguments or idempotency_key made this generation; nothing new was made or "
            "charged. To make another one, pass a new idempotency_key."
        ),
    }
