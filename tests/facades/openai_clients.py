"""Clients of the `openai` package at the stack, and what their account sees afterwards."""

from __future__ import annotations

from typing import Any

import openai

from tests.console.stack import Account, Stack


def client_of(stack: Stack, account: Account, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{stack.address}/openai/v1", api_key=account.key, **options)


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
