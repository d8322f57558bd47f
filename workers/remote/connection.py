"""Calls of the gateway as a worker, and the objects that stand for the ledger, the queue and the slots there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from http import HTTPStatus
from typing import Any

import structlog
from pydantic import ValidationError

from gateway.client.calls import GatewayClient, GatewayRefused, GatewayUnreachable
from gateway.errors import FareboxError, LedgerUnavailable, QueueUnavailable
from gateway.remote.calls import RemoteCall, call_named

_AT_ONCE = 64  # of short calls: a gateway limits the connections of an address
_AGAIN_SECONDS = 1.0
_LONG = frozenset({"queue.claim"})

log = structlog.get_logger(__name__)


class CallRefused(FareboxError):
    """The gateway does not know the call, or refuses it: it is of another version, or the key may not make it."""


class GatewayConnection:
    """The gateway, as called with a worker's key. Errors are those of what it stands for.

    LedgerUnavailable or QueueUnavailable if it does not answer, or cannot now: such calls may have taken effect, and
    are repeated with the same ids. CallRefused otherwise.
    """

    def __init__(self, client: GatewayClient) -> None:
        self.client = client
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def call(self, remote: RemoteCall, arguments: dict[str, Any]) -> Any:
        """The answer to one call."""
        if remote.name in _LONG:
            return await self._ask(remote, arguments)
        async with self._room:
            return await self._ask(remote, arguments)

    async def _ask(self, remote: RemoteCall, arguments: dict[str, Any]) -> Any:
        unavailable = LedgerUnavailable if remote.name.startswith("ledger.") else QueueUnavailable
        body = {"arguments": remote.write_arguments(arguments)}
        try:
            answer = await self.client.call("POST", f"/v1/worker/calls/{remote.name}", body)
        except GatewayUnreachable as error:
            raise unavailable(_first_line(error)) from None
        except GatewayRefused as error:
            if _passes(error.status):
                raise unavailable(f"{remote.name}: {error}") from None
            raise CallRefused(f"{remote.name}: {error}") from None
        try:
            return remote.read_answer(answer)
        except ValidationError as error:  # which repeats what it was given, such as prompts
            wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:5])
            raise CallRefused(f"{remote.name}: the gateway's answer is not of this version: {wrong}") from None
        except LookupError as error:
            raise CallRefused(f"{remote.name}: the gateway's answer is not of this version: {error}") from None

    async def checks(self) -> AsyncGenerator[str | None, None]:
        """The ids of running generations to check, from now on; None: all of them, because some may have been lost."""
        lost = False
        while True:
            try:
                async with aclosing(self.client.events("/v1/worker/checks")) as events:
                    if lost:
                        yield None
                    async for event in events:
                        yield event["generation"]
            except (GatewayUnreachable, GatewayRefused) as error:
                log.debug("checks_interrupted", error=str(error))
            lost = True
            await asyncio.sleep(_AGAIN_SECONDS)


class Remote:
    """Stands for an object of the gateway: its methods are calls (`gateway.remote.calls`)."""

    def __init__(self, connection: GatewayConnection, kind: str) -> None:
        """`kind` is the object's name in calls, such as `ledger`."""
        self._connection = connection
        self._kind = kind

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        """The call of a method; AttributeError if there is none."""
        try:
            remote = call_named(f"{self._kind}.{method}")
        except LookupError:
            raise AttributeError(f"{self._kind}.{method} is no call of a worker without Redis") from None

        async def ask(*arguments: Any, **named: Any) -> Any:
            return await self._connection.call(remote, dict(zip(remote.parameters, arguments, strict=False)) | named)

        return ask


def _first_line(error: Exception) -> str:
    """Without the advice for people at a command line."""
    return str(error).partition("\n")[0]


def _passes(status: int) -> bool:
    """Whether the same call may be answered later. A key that is revoked may be given again under the same name."""
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.REQUEST_TIMEOUT,
    }
