"""What a worker without Redis has in its hands instead of the ledger, the queue, the dispatcher and the store.

What follows an outcome is the gateway's: it runs the methods. So there are no follow-ups here.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import suppress

import structlog
from obstore.store import MemoryStore

from gateway.client.calls import GatewayClient, GatewayRefused, GatewayUnreachable
from gateway.errors import FareboxError, ObjectNotStored, OutputMissing, StoreUnavailable
from gateway.ledger.outcomes import Dispatch
from gateway.outputs import OutputStore
from gateway.queue.messages import ChangeNotice
from gateway.remote.callback_addresses import CallbackAddresses
from gateway.remote.objects import path_of
from workers.remote.connection import GatewayConnection, Remote

_BATCH_MAX = 64
_CLOSE_SECONDS = 2.0
_NOT_FOUND = 404

log = structlog.get_logger(__name__)


class RemoteLedger(Remote):
    """The ledger. Its partitions publish one card, so one of them tells which is in force."""

    partitions = 1

    def __init__(self, connection: GatewayConnection) -> None:
        super().__init__(connection, "ledger")

    def follow_up_by(self, follow_up: Callable[[object], None]) -> None:
        """Nothing follows here."""


class RemoteQueue(Remote):
    """The queue."""

    def __init__(self, connection: GatewayConnection) -> None:
        super().__init__(connection, "queue")
        self.unreadable: Counter[str] = Counter()

    def check_requests(self) -> AsyncGenerator[str | None, None]:
        """The ids of running generations to check, from now on; None means all of them."""
        return self._connection.checks()


class RemoteJobTimes(Remote):
    """How long jobs took. Nothing waits for it: without the gateway there are none."""

    def __init__(self, connection: GatewayConnection) -> None:
        super().__init__(connection, "job_times")

    async def note(self, provider: str, model: str, seconds: float) -> None:
        """Record the duration of a job that succeeded."""
        with suppress(FareboxError):
            await self.__getattr__("note")(provider, model, seconds)

    async def lately(self, provider: str, model: str) -> list[float]:
        """Recent durations in seconds; empty if they are not known."""
        with suppress(FareboxError):
            return list(await self.__getattr__("lately")(provider, model))
        return []


class RemoteCallbacks(CallbackAddresses):
    """The gateway's addresses for callbacks. Without an answer there is none: the job is polled, as it is anyway."""

    def __init__(self, connection: GatewayConnection) -> None:
        super().__init__(None)
        self._calls = Remote(connection, "callbacks")

    async def url(self, provider: str, generation: str) -> str | None:
        """The callback URL for `provider` and `generation`; None if there is none."""
        try:
            found: str | None = await self._calls.url(provider, generation)
        except FareboxError as error:
            log.debug("no_callback_url", provider=provider, generation=generation, error=str(error))
            return None
        return found


class RemoteDispatcher:
    """Hands on dispatches and notices in batches. What is lost is a caretaker's, and streams read again anyway."""

    def __init__(self, connection: GatewayConnection) -> None:
        self._dispatcher = Remote(connection, "dispatcher")
        self._dispatches: list[Dispatch] = []
        self._notices: list[ChangeNotice] = []
        self._something, self._all_sent = asyncio.Event(), asyncio.Event()
        self._all_sent.set()

    def dispatch(self, dispatches: Iterable[Dispatch | None], notices: Iterable[ChangeNotice] = ()) -> None:
        """Hand on with the next batch. Never raises."""
        self._dispatches += [one for one in dispatches if one is not None]
        self._notices += notices
        if self._dispatches or self._notices:
            self._something.set()
            self._all_sent.clear()

    async def close(self) -> None:
        """Send what is left, for a moment."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._all_sent.wait(), _CLOSE_SECONDS)

    async def keep_handing_on(self) -> None:
        """Send one batch after the other, forever."""
        while True:
            await self._something.wait()
            dispatches, self._dispatches = self._dispatches[:_BATCH_MAX], self._dispatches[_BATCH_MAX:]
            notices, self._notices = self._notices[:_BATCH_MAX], self._notices[_BATCH_MAX:]
            if not self._dispatches and not self._notices:
                self._something.clear()
            try:
                await self._dispatcher.dispatch(dispatches, notices)
            except FareboxError as error:
                log.debug("not_handed_on", generations=len(dispatches), notices=len(notices), error=str(error))
            if not self._something.is_set():
                self._all_sent.set()


class RemoteStore(OutputStore):
    """The gateway's object store: outputs are put there, inputs read."""

    def __init__(self, client: GatewayClient) -> None:
        super().__init__(MemoryStore(), where=f"the store of {client.address}")
        self._client = client

    async def probe(self, *, write: bool) -> None:  # noqa: ARG002 - a store's signature
        """Check that the gateway answers; StoreUnavailable if not. Whether its store does, `put` tells."""
        try:
            await self._client.call("GET", "/healthz")
        except (GatewayUnreachable, GatewayRefused) as error:
            raise StoreUnavailable(str(error).partition("\n")[0]) from None

    async def put(self, object_key: str, data: bytes) -> None:
        """Write an object. When this returns it is on disk; ObjectNotStored."""
        try:
            await self._client.put(path_of(object_key), data)
        except (GatewayUnreachable, GatewayRefused) as error:
            raise ObjectNotStored(f"cannot store {object_key}: {error}") from None

    async def get(self, object_key: str) -> bytes:
        """A whole object; OutputMissing if there is none; StoreUnavailable."""
        try:
            return await self._client.download(self._client.address + path_of(object_key))
        except GatewayRefused as error:
            if error.status == _NOT_FOUND:
                raise OutputMissing(object_key) from None
            raise StoreUnavailable(str(error)) from None
        except GatewayUnreachable as error:
            raise StoreUnavailable(str(error)) from None
