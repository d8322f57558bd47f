"""Clients of the `replicate` package at the stack. The package never closes its connections: whoever makes one does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import httpx
from replicate.client import Client

from tests.console.stack import Account, Stack

ClientOf = Callable[[Account], Client]


@contextmanager
def clients(stack: Stack) -> Iterator[ClientOf]:
    """Makes clients of accounts."""
    opened: list[httpx.HTTPTransport] = []

    def client_of(account: Account) -> Client:
        opened.append(httpx.HTTPTransport())
        return Client(api_token=account.key, base_url=f"{stack.address}/replicate", transport=opened[-1])

    try:
        yield client_of
    finally:
        for transport in opened:
            transport.close()


@asynccontextmanager
async def async_client_of(stack: Stack, account: Account) -> AsyncIterator[Client]:
    """A client for calls of the package's `async_` kind."""
    async with AsyncExitStack() as open_until_used:
        transport = await open_until_used.enter_async_context(httpx.AsyncHTTPTransport())
        yield Client(api_token=account.key, base_url=f"{stack.address}/replicate", transport=transport)
