"""Calls to a running gateway as its operator, with the admin key, which is read here and never generated.

The gateway generates the key at its first start. In another folder than the gateway's there is no key, or an old one;
the message then names the file that was tried.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

import click

from gateway.client.calls import GatewayClient, GatewayRefused
from gateway.errors import SettingsError
from gateway.settings import Settings, load_settings

Call = Callable[[GatewayClient], Coroutine[Any, Any, dict[str, Any]]]


def ask_gateway(call: Call, reason: str | None = None) -> dict[str, Any]:
    """Call the gateway as its operator; an error response ends the command with its message.

    `reason` is for the audit log, where the call's body has none.
    """
    settings = load_settings()
    key = admin_key(settings)

    async def exchange() -> dict[str, Any]:
        async with GatewayClient(settings.operators_address, key, reason) as client:
            return await call(client)

    try:
        return asyncio.run(exchange())
    except GatewayRefused as refused:
        raise click.ClickException(in_words(refused, settings)) from None


def admin_key(settings: Settings) -> str:
    """The admin key as set, else from the data folder; SettingsError names the file that was tried."""
    key = settings.existing_secret("admin-key")
    if key is None:
        raise SettingsError(
            f"No admin key: FAREBOX_ADMIN_KEY is not set, and {settings.secret_source('admin-key')} does not "
            "exist.\nRun this in the folder where `farebox up` runs, or set FAREBOX_DATA to the folder shown there "
            "as `data`, or FAREBOX_ADMIN_KEY to the gateway's key."
        )
    return key


def in_words(refused: GatewayRefused, settings: Settings) -> str:
    """The gateway's message; if it does not know the key, also where the key was read from."""
    if refused.status != HTTPStatus.UNAUTHORIZED:
        return str(refused)
    return (
        f"{refused}\nThe gateway at {settings.operators_address} does not accept the admin key from "
        f"{settings.secret_source('admin-key')}.\nIf that is not the gateway's data folder, set FAREBOX_DATA or "
        "FAREBOX_ADMIN_KEY."
    )
