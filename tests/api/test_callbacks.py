"""What providers call: who is believed, what is done, and that it is never more than a hint."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks import Webhook

from gateway.api import limits, services
from gateway.api.access.callback_signatures import KEYS_APART_SECONDS
from gateway.domain import operation_id
from gateway.ledger import outcomes
from gateway.queue.jobs import job_id
from gateway.queue.keys import CHECKS_CHANNEL, queue_key
from tests.api.visitor import CARD, Reply, Visitor, open_gateway
from tests.cases import cases
from tests.until import until

SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
PROVIDERS = """
[providers.box]
kind = "http"
base_url = "http://127.0.0.1:9"
[providers.signing-box]
kind = "http"
base_url = "http://127.0.0.1:9"
callback_secret_env = "TEST_CALLBACK_SECRET"
[providers.cloud]
kind = "replicate"
callback_secret_env = "TEST_CALLBACK_SECRET"
[providers.bare-cloud]
kind = "replicate"
[providers.images]
kind = "openai"
[providers.fal]
kind = "fal"
jwks_url = "{jwks}"
"""
JOBS = {"box": "id", "signing-box": "id", "cloud": "id", "bare-cloud": "id", "fal": "request_id"}


class Publisher:
    """A server that publishes keys as fal does, and counts how often it is asked."""

    def __init__(self) -> None:
        self.keys: list[Ed25519PrivateKey] = [Ed25519PrivateKey.generate()]
        self.asked = 0
        self.status = 200
        self.url = ""

    async def _publish(self, _: web.Request) -> web.Response:
        self.asked += 1
        points = [key.public_key().public_bytes_raw() for key in self.keys]
        keys = [
            {"kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(point).decode().rstrip("=")}
            for point in points
        ]
        return web.json_response({"keys": [{"kty": "RSA"}, *keys]}, status=self.status)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Publisher]:
        app = web.Application()
        app.router.add_get("/jwks.json", self._publish)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/jwks.json"
        try:
            yield self
        finally:
            await runner.cleanup()

    def sign(self, body: bytes, *, at: float | None = None, key: Ed25519PrivateKey | None = None) -> dict[str, str]:
        """The headers of a callback with this body."""
        said = [secrets.token_hex(8), "user-1", str(round(time.time() if at is None else at))]
        message = "\n".join([*said, hashlib.sha256(body).hexdigest()]).encode()
        signature = (key or self.keys[-1]).sign(message).hex()
        names = ("Request-Id", "User-Id", "Timestamp", "Signature")
        return {f"X-Fal-Webhook-{name}": value for name, value in zip(names, [*said, signature], strict=True)}


class Caller:
    """A gateway with one generation that runs or is parked, and providers that call about it."""

    def __init__(self, gateway: Visitor, generation: str, publisher: Publisher) -> None:
        self.gateway = gateway
        self.generation = generation
        self.publisher = publisher

    async def call(
        self,
        provider: str = "box",
        job: str = "job-7",
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> Reply:
        """One callback, unsigned unless it has `headers`."""
        address = self.gateway.app[services.CALLBACK_LINKS].url(provider, self.generation)
        path = address.removeprefix(self.gateway.app[services.SETTINGS].public_address)
        if token is not None:
            path = f"{path.rpartition('/')[0]}/{token}"
        raw = json.dumps({JOBS.get(provider, "id"): job}).encode() if body is None else body
        return await self.gateway.call("POST", path, headers=headers, raw=raw)

    async def fields(self) -> outcomes.Generation:
        found = await self.gateway.ledger.generation(generation=self.generation)
        assert isinstance(found, outcomes.Generation)
        return found

    async def park(self) -> None:
        parked = await self.gateway.ledger.park(generation=self.generation, attempt=1, operation=operation_id())
        assert isinstance(parked, outcomes.Parked)

    async def jobs(self) -> list[str]:
        """What is in the queue, once the gateway has written it."""
        await self.gateway.app[services.BACKGROUND].finish()
        found: list[bytes] = await self.gateway.app[services.QUEUE].redis.zrange(queue_key("image"), 0, -1)
        return [job.decode() for job in found]


@pytest.fixture
async def caller(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Caller]:
    monkeypatch.setenv("TEST_CALLBACK_SECRET", SECRET)
    async with Publisher().serve() as publisher:
        (tmp_path / "pricing.toml").write_text(CARD.read_text() + PROVIDERS.format(jwks=publisher.url))
        async with open_gateway(redis_url, tmp_path) as gateway:
            generation = await gateway.made(await gateway.account())
            await gateway.begin(generation)
            await gateway.ledger.note(generation=generation, attempt=1, ref="job-7")
            caller = Caller(gateway, generation, publisher)
            await until(caller.jobs)
            await gateway.app[services.QUEUE].take_out("image", job_id(generation, 1))
            yield caller


def standard(body: bytes, *, off_seconds: int = 0, secret: str = SECRET) -> dict[str, str]:
    """The headers of Standard Webhooks."""
    at = datetime.now(UTC) + timedelta(seconds=off_seconds)
    signature = Webhook(secret).sign("msg_1", at, body.decode())
    return {"webhook-id": "msg_1", "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}


def is_taken(reply: Reply) -> bool:
    return (reply.status, reply.body) == (200, {})


def is_refused(reply: Reply) -> bool:
    return (reply.status, reply.code) == (401, "invalid_key") and "fields" not in reply.error


async def test_a_parked_generation_is_put_into_the_queue(caller: Caller) -> None:
    await caller.park()
    assert is_taken(await caller.call())
    await until(caller.jobs)
    assert await caller.jobs() == [job_id(caller.generation, 2)]


async def test_it_decides_nothing_whatever_its_body_says(caller: Caller) -> None:
    await caller.park()
    body = json.dumps({"id": "job-7", "status": "succeeded", "output": ["https://example.com/x.png"], "error": "no"})
    assert is_taken(await caller.call(body=body.encode()))
    found = await caller.fields()
    assert (found.state, found.outputs, found.error) == ("running", (), None)


async def test_the_worker_of_a_running_generation_is_asked_to_poll(caller: Caller) -> None:
    queue = caller.gateway.app[services.QUEUE]
    async with aclosing(queue.check_requests()) as looks:
        told = asyncio.ensure_future(anext(looks))

        async def is_heard() -> bool:
            return bool((await queue.redis.pubsub_numsub(CHECKS_CHANNEL))[0][1])

        await until(is_heard)
        assert is_taken(await caller.call())
        assert await told == caller.generation


async def test_a_token_opens_only_what_it_was_made_for(caller: Caller) -> None:
    links = caller.gateway.app[services.CALLBACK_LINKS]
    other = links.url("cloud", caller.generation).rpartition("/")[2]
    own = links.url("box", caller.generation).rpartition("/")[2]
    for token in (other, own[:-1], own + "A", "x", own.upper()):
        assert is_refused(await caller.call(token=token))
    for provider in ("images", "sandbox", "nobody"):
        assert is_refused(await caller.call(provider))


async def test_replicate_is_known_by_its_secret(caller: Caller) -> None:
    body = b'{"id":"job-7"}'
    assert is_taken(await caller.call("cloud", body=body, headers=standard(body)))
    other = "whsec_" + base64.b64encode(b"x" * 24).decode()
    bad = [
        {},
        standard(body, secret=other),
        standard(b'{"id":"job-8"}'),
        standard(body, off_seconds=-330),
        standard(body, off_seconds=330),
        standard(body) | {"webhook-signature": "v1"},
        standard(body) | {"webhook-signature": "v1,*"},
        standard(body) | {"webhook-timestamp": "nan"},
    ]
    for headers in bad:
        assert is_refused(await caller.call("cloud", body=body, headers=headers)), headers
    assert is_refused(await caller.call("cloud", body=b"\xff\xfe", headers=standard(body)))


@cases("provider", ["bare-cloud", "box"])
async def test_who_signs_nothing_is_known_by_the_token_alone_and_may_stop_nothing(
    caller: Caller, provider: str
) -> None:
    """With the token of one generation, from a log of one's own server, any job of that server could be stopped."""
    assert is_taken(await caller.call(provider))
    assert is_taken(await caller.call(provider, "a-job-of-another-account"))
    assert await caller.jobs() == []


async def test_a_server_of_ones_own_signs_if_its_table_says_so(caller: Caller) -> None:
    body = b'{"id":"job-7"}'
    assert is_refused(await caller.call("signing-box", body=body))
    assert is_taken(await caller.call("signing-box", body=body, headers=standard(body)))


async def test_without_the_secret_every_callback_is_rejected(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_CALLBACK_SECRET")
    body = b'{"id":"job-7"}'
    assert is_refused(await caller.call("cloud", body=body, headers=standard(body)))


@pytest.mark.parametrize("secret", [b"guess me", b"x" * 24])
async def test_with_a_weak_secret_every_callback_is_rejected(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, secret: bytes
) -> None:
    weak = "whsec_" + base64.b64encode(secret).decode()
    monkeypatch.setenv("TEST_CALLBACK_SECRET", weak)
    body = b'{"id":"job-7"}'
    assert is_refused(await caller.call("cloud", body=body, headers=standard(body, secret=weak)))


async def test_fal_is_known_by_any_of_its_published_keys(caller: Caller) -> None:
    publisher, body = caller.publisher, b'{"request_id":"job-7"}'
    publisher.keys += [Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()]
    for key in publisher.keys:
        assert is_taken(await caller.call("fal", body=body, headers=publisher.sign(body, key=key)))
    assert publisher.asked == 1
    now = time.time()
    bad = [
        {},
        publisher.sign(b"{}"),
        publisher.sign(body, at=now - 330),
        publisher.sign(body, at=now + 330),
        publisher.sign(body, key=Ed25519PrivateKey.generate()),
        publisher.sign(body) | {"X-Fal-Webhook-Timestamp": "soon"},
        publisher.sign(body) | {"X-Fal-Webhook-Timestamp": "9" * 400},
        publisher.sign(body) | {"X-Fal-Webhook-Signature": "not hex"},
        publisher.sign(body) | {"X-Fal-Webhook-User-Id": "user-2"},
    ]
    for headers in bad:
        assert is_refused(await caller.call("fal", body=body, headers=headers)), headers
    assert publisher.asked == 1, "a forger has nothing fetched within a minute"


async def test_a_key_that_fal_has_published_since_is_found(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    publisher, body = caller.publisher, b'{"request_id":"job-7"}'
    assert is_taken(await caller.call("fal", body=body, headers=publisher.sign(body)))
    publisher.keys = [Ed25519PrivateKey.generate()]
    later = time.monotonic() + KEYS_APART_SECONDS + 1
    monkeypatch.setattr("gateway.api.access.callback_signatures.time", _Later(later))
    assert is_taken(await caller.call("fal", body=body, headers=publisher.sign(body)))


class _Later:
    """Time, with another monotonic clock."""

    def __init__(self, monotonic: float) -> None:
        self._monotonic = monotonic

    def monotonic(self) -> float:
        return self._monotonic

    def time(self) -> float:
        return time.time()


async def test_without_fals_keys_the_callback_gets_503_to_be_retried(caller: Caller) -> None:
    caller.publisher.status, body = 500, b'{"request_id":"job-7"}'
    reply = await caller.call("fal", body=body, headers=caller.publisher.sign(body))
    assert (reply.status, reply.code) == (503, "provider_unavailable")
    caller.publisher.status = 200
    assert is_taken(await caller.call("fal", body=body, headers=caller.publisher.sign(body)))


async def test_a_stray_job_is_stopped_once(caller: Caller) -> None:
    for job in ("job-6", "job-6", "job-6", "job-5"):
        if job == "job-5":
            assert len(await caller.jobs()) == 1
        body = json.dumps({"id": job}).encode()
        assert is_taken(await caller.call("signing-box", body=body, headers=standard(body)))
    jobs = await caller.jobs()
    assert len(jobs) == 2
    assert all(job.startswith(f"stop:{caller.generation}:") for job in jobs)
    assert (await caller.fields()).provider_ref == "job-7"


async def test_after_the_end_a_callback_of_its_own_job_changes_nothing(caller: Caller) -> None:
    await caller.gateway.deliver(caller.generation)
    await caller.gateway.settle(caller.generation)
    before = await caller.fields()
    assert is_taken(await caller.call())
    assert await caller.fields() == before
    assert await caller.jobs() == []


async def test_numbers_that_are_not_read_are_not_checked(caller: Caller) -> None:
    """Python's own JSON writes `NaN`, and so does many a GPU server that tells how it went."""
    await caller.park()
    assert is_taken(await caller.call(body=b'{"id":"job-7","loss":NaN,"seconds":1e999}'))


async def test_a_body_without_the_jobs_id_is_refused_and_one_too_large_too(caller: Caller) -> None:
    for body, code in (
        (b"no json", "invalid_json"), (b"[]", "invalid_request"), (b"{}", "invalid_request"),
        (b'{"id":"job-7","id":"job-8"}', "invalid_json"), (b'{"id":"job-7","a":{"b":1,"b":2}}', "invalid_json"),
        (b'{"id":7}', "invalid_request"), (b'{"id":""}', "invalid_request"),
        (json.dumps({"id": "x" * 501}).encode(), "invalid_request"),
        (b" " * (limits.BODY_MAX_BYTES + 1), "body_too_large"),
    ):  # fmt: skip
        assert (await caller.call(body=body)).code == code
