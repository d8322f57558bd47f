"""Where events go: an HTTP endpoint, in batches, or a Kafka topic, keyed by account."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

import aiohttp
from yarl import URL

from gateway.errors import FareboxError, SettingsError
from gateway.outside.addresses import AddressGuard
from gateway.outside.outgoing import Outgoing
from gateway.server_lists import split_url
from workers.exporting.cloud_events import CloudEvent

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

_SECONDS = 30.0
_ACCEPTED = range(200, 300)


class NotExported(FareboxError):
    """The receiver did not accept a batch; all of it is sent again."""


class Sink(Protocol):
    """Sends batches in order."""

    async def send(self, events: Sequence[CloudEvent]) -> None:
        """Return once all are accepted; NotExported."""

    async def close(self) -> None:
        """Close its connections."""


class HttpSink:
    """Posts `application/cloudevents-batch+json`; any 2xx accepts the whole batch."""

    def __init__(self, url: str, token: str | None) -> None:
        """`token` is sent as a bearer token."""
        self._url = URL(url)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._calls = Outgoing(AddressGuard(), own=self._url, headers=headers)

    async def send(self, events: Sequence[CloudEvent]) -> None:
        """Post them as one batch."""
        body = b"[" + b",".join(event.text for event in events) + b"]"
        headers = {"Content-Type": "application/cloudevents-batch+json"}
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        try:
            async with self._calls.request("POST", self._url, data=body, headers=headers, timeout=timeout) as response:
                if response.status not in _ACCEPTED:
                    raise NotExported(f"the receiver answered {response.status}")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise NotExported(f"{type(error).__name__}: {error}") from None

    async def close(self) -> None:
        """Close its connections."""
        await self._calls.close()


class KafkaSink:
    """Produces to a topic with the account as the key, so that an account's events are in one partition, in order.

    The producer is idempotent and waits for all replicas. Value and headers are those of the Kafka protocol binding in
    structured mode.
    """

    def __init__(self, url: str) -> None:
        """`kafka://host:port,host:port/topic`; `kafka+ssl://…` with TLS; `user:password@` before the hosts for SASL."""
        if find_spec("aiokafka") is None:
            raise SettingsError(
                "FAREBOX_EVENTS_URL is a Kafka URL, but aiokafka is not installed: pip install 'farebox[kafka]'"
            )
        self._options, self.topic = kafka_options(url)
        self._producer: AIOKafkaProducer | None = None

    async def send(self, events: Sequence[CloudEvent]) -> None:
        """Produce them, and wait until all are acknowledged."""
        from aiokafka.errors import KafkaError  # noqa: PLC0415 - an extra

        headers = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
        try:
            async with asyncio.timeout(_SECONDS):
                producer = await self._started()
                sent = [
                    await producer.send(self.topic, key=event.account.encode(), value=event.text, headers=headers)
                    for event in events
                ]
                await asyncio.gather(*sent)
        except (KafkaError, OSError, TimeoutError) as error:
            await self.close()
            raise NotExported(f"{type(error).__name__}: {error}") from None

    async def close(self) -> None:
        """Close its connections; what was not acknowledged is sent again by the next batch."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def _started(self) -> AIOKafkaProducer:
        from aiokafka import AIOKafkaProducer  # noqa: PLC0415 - an extra

        if self._producer is None:
            producer = AIOKafkaProducer(enable_idempotence=True, acks="all", **self._options)
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer


def kafka_options(url: str) -> tuple[dict[str, Any], str]:
    """What `AIOKafkaProducer` needs of a URL, and the topic."""
    parts = split_url(url)
    topic = parts.path.strip("/")
    login, _, servers = parts.netloc.rpartition("@")
    if not topic or "/" in topic or not servers:
        raise SettingsError("FAREBOX_EVENTS_URL: must be kafka://host:port,host:port/topic")
    options: dict[str, Any] = {"bootstrap_servers": servers.split(",")}
    if parts.scheme == "kafka+ssl":
        options |= {"security_protocol": "SSL", "ssl_context": ssl.create_default_context()}
    if login:
        user, _, password = login.partition(":")
        options |= {
            "security_protocol": "SASL_SSL" if parts.scheme == "kafka+ssl" else "SASL_PLAINTEXT",
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": unquote(user),
            "sasl_plain_password": unquote(password),
        }
    return options, topic


def open_sink(url: str, token: str | None) -> Sink:
    """The sink of FAREBOX_EVENTS_URL."""
    return KafkaSink(url) if split_url(url).scheme.startswith("kafka") else HttpSink(url, token)
