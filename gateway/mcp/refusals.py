"""Errors for assistants: what happened, whether anything was charged, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from gateway.client.calls import GatewayRefused, GatewayUnreachable
from gateway.errors import FareboxError
from gateway.schemas.base import as_number, exact_decimal


class ToolRefused(FareboxError):
    """A tool call failed; `details` are for programs, the message for the assistant."""

    def __init__(self, code: str, message: str, **details: Any) -> None:
        """Keep both."""
        super().__init__(message)
        self.details = {"code": code, "message": message, **details}


_NEXT_STEPS = {
    "invalid_key": "Set FAREBOX_KEY to a valid key of an account, then restart this MCP server.",
    "forbidden": "These tools need an account's key in FAREBOX_KEY, not an operator's.",
    "key_restricted": "Tell the user which of `allowed` this key may be used for.",
    "limit_reached": "Tell the user. Nobody can raise the limit of a key with that key.",
    "unknown_model": "Call list_models for the models and tools on sale.",
    "invalid_settings": "Call list_models with this model for the settings it accepts.",
}
_RETRY = "Calling it again with the same arguments is safe: a generation is never made twice."


def refusal(expected: FareboxError | ValidationError, address: str) -> ToolRefused:
    """The message for an expected error."""
    match expected:
        case ToolRefused():
            return expected
        case ValidationError():
            return _of_arguments(expected)
        case GatewayRefused():
            return _of_gateway(expected)
        case GatewayUnreachable():
            return _of_silence(address)
        case _:
            return of_fault()


def _of_gateway(refused: GatewayRefused) -> ToolRefused:
    """The gateway's own error, and what an assistant can do about it."""
    details = {name: value for name, value in refused.body.items() if name not in {"code", "message"}}
    said = [str(refused)]
    if refused.code == "insufficient_credits":
        missing = exact_decimal(refused.body["needed"]) - exact_decimal(refused.body["available"])
        details["missing"] = as_number(missing)
        said.append(f"Missing: {details['missing']:,} credits. The account's owner can choose one of `ways_out`.")
    if refused.code in _NEXT_STEPS:
        said.append(_NEXT_STEPS[refused.code])
    if refused.retry_after is not None:
        details["retry_after_seconds"] = refused.retry_after
        said.append(f"Retry after {refused.retry_after} seconds. {_RETRY}")
    return ToolRefused(refused.code or "gateway_error", "\n".join(said), status=refused.status, **details)


def _of_silence(address: str) -> ToolRefused:
    """No response: it is unknown whether the call arrived."""
    return ToolRefused(
        "gateway_unreachable",
        f"No Farebox gateway is responding at {address} (FAREBOX_URL). The call may or may not have arrived. {_RETRY}",
    )


def _of_arguments(invalid: ValidationError) -> ToolRefused:
    """Invalid arguments: which, and why, never their values."""
    fields = list(_fields(invalid))
    problems = "; ".join(f"{field['path']}: {field['message']}" for field in fields)
    return ToolRefused("invalid_arguments", f"Invalid arguments: {problems}", fields=fields)


def of_fault() -> ToolRefused:
    """An internal error, without internal details."""
    return ToolRefused("internal", f"The MCP server failed; its standard error says where. {_RETRY}")


def price_changed(confirmed: Decimal, price: Decimal) -> ToolRefused:
    """The confirmed price is not the current price."""
    return ToolRefused(
        "price_changed",
        f"The price is {as_number(price):,} credits, not {as_number(confirmed):,} as confirmed. Nothing was made or "
        f"charged. Show the user the new price; if they accept it, call again with confirm_credits="
        f"{as_number(price)}.",
        confirmed=as_number(confirmed),
        price=as_number(price),
    )


def _fields(invalid: ValidationError) -> Iterable[dict[str, str]]:
    for problem in invalid.errors(include_url=False, include_input=False, include_context=False):
        path = ".".join(str(part) for part in problem["loc"])
        yield {"path": path, "message": problem["msg"].removeprefix("Value error, ")}
