"""Clients of the `openai` package at the stack, and what their account sees afterwards."""

from __future__ import annotations

from typing import Any

import openai

from tests.console.stack import Account, Stack
from tests.whole.everything import until

_OPEN: list[openai.OpenAI] = []


def client_of(stack: Stack, account: Account, **options: Any) -> openai.OpenAI:
    """A client, which is closed when the test has ended."""
    _OPEN.append(openai.OpenAI(base_url=f"{stack.address}/openai/v1", api_key=account.key, **options))
    return _OPEN[-1]


def close_clients() -> None:
    while _OPEN:
        _OPEN.pop().close()


def generations(stack: Stack, account: Account) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = stack.call("GET", "/v1/generations", account.key)["data"]
    return found


def charged(stack: Stack, account: Account) -> float:
    """What all receipts of an account together say was charged: the price of each that was delivered whole."""
    total = 0.0
    for generation in generations(stack, account):
        receipt = stack.call("GET", f"/v1/generations/{generation['id']}/receipt", account.key)
        assert receipt["committed"] + receipt["refunded"] + receipt["held"] == receipt["credits"]
        if receipt["outputs_delivered"] == receipt["outputs_requested"]:
            assert receipt["committed"] == receipt["credits"]
        total += receipt["committed"]
    return total


def refusals(stack: Stack, account: Account, status: int = 402) -> int:
    """How many requests of an account the gateway answered so, by its log."""

    def answered(status: int, route: str = "") -> int:
        parts = [f" account={account.name} ", f" {route}", f" status={status} "]
        return sum(all(part in f"{line} " for part in parts) for line in stack.log.splitlines() if " request " in line)

    before = answered(200, "route=/v1/balance")
    stack.call("GET", "/v1/balance", account.key)
    until(lambda: answered(200, "route=/v1/balance") > before)  # and so all that came before is in the log, too
    return answered(status)
