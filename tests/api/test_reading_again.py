"""A generation that is read again is answered from what was sent last, only as long as that is still true."""

from __future__ import annotations

from gateway.api import services
from gateway.domain import FailureCode
from gateway.ledger import outcomes
from gateway.outputs import OutputLinks
from gateway.views.generations import UNKNOWN
from gateway.views.kept_bodies import Bodies
from tests.api.test_admin_reads import without_work
from tests.api.visitor import Visitor
from tests.until import until


async def read(gateway: Visitor, key: str, generation: str) -> tuple[int, bytes]:
    reply = await gateway.call("GET", f"/v1/generations/{generation}", key)
    return reply.status, reply.raw


async def test_each_step_of_its_life_is_seen_at_once_though_it_was_just_read(gateway: Visitor, key: str) -> None:
    generation = await gateway.made(key, outputs=2)

    async def seen() -> tuple[str, int, float]:
        body = (await gateway.call("GET", f"/v1/generations/{generation}", key)).body
        assert body == (await gateway.call("GET", f"/v1/generations/{generation}", key)).body
        return body["status"], len(body["outputs"]), body["progress"]

    assert await seen() == ("queued", 0, 0)
    await gateway.begin(generation)
    assert await seen() == ("running", 0, 0)
    await gateway.ledger.renew(generation=generation, attempt=1, progress_thousandths=250)
    assert await seen() == ("running", 0, 0.25)
    await gateway.deliver(generation)
    assert await seen() == ("running", 1, 0.25)
    await gateway.settle(generation, FailureCode.PROVIDER_REJECTED)
    assert await seen() == ("succeeded", 1, 1)
    await gateway.ledger.outputs_deleted(generation=generation)
    body = (await gateway.call("GET", f"/v1/generations/{generation}", key)).body
    assert (body["outputs_deleted"], body["outputs"][0]["url"]) == (True, None)


async def test_its_place_in_the_queue_is_todays_though_the_generation_has_not_changed(gateway: Visitor) -> None:
    key, other = await gateway.account(), await gateway.account("other")
    first, second = await gateway.made(other), await gateway.made(key)

    async def place() -> int | None:
        position: int | None = (await gateway.call("GET", f"/v1/generations/{second}", key)).body["queue_position"]
        return position

    async def is_at(position: int) -> bool:
        return await place() == position

    # Dispatching, and taking out of the queue, are in the background.
    await until(lambda: is_at(1))
    await gateway.call("POST", f"/v1/generations/{first}/cancel", other)
    await until(lambda: is_at(0))


async def test_a_cached_body_is_not_shown_to_others_or_to_a_revoked_key(gateway: Visitor) -> None:
    key, stranger = await gateway.account(), await gateway.account("other")
    generation = await gateway.finished(key)
    assert (await read(gateway, key, generation))[0] == 200
    assert (await read(gateway, stranger, generation))[0] == 404
    status, shown_to_admin = await read(gateway, gateway.admin, generation)
    assert (status, without_work(shown_to_admin)) == await read(gateway, key, generation)
    (shown,) = (await gateway.call("GET", "/v1/admin/accounts/acme/keys", gateway.admin)).body["data"]
    await gateway.call("DELETE", f"/v1/admin/accounts/acme/keys/{shown['id']}", gateway.admin)
    assert (await read(gateway, key, generation))[0] == 401


async def test_a_generation_that_is_gone_is_gone(gateway: Visitor, key: str) -> None:
    generation = await gateway.finished(key)
    assert (await read(gateway, key, generation))[0] == 200
    await gateway.ledger.command("DEL", gateway.ledger.generation_key(generation))
    assert (await read(gateway, key, generation))[0] == 404


async def test_the_same_number_of_changes_by_another_way_is_not_the_same(gateway: Visitor, key: str) -> None:
    """A failover may lose a move, and another one take its number: the operation that made it is compared too."""
    generation = await gateway.made(key)
    await gateway.begin(generation)
    name = gateway.ledger.generation_key(generation)
    before = await gateway.ledger.redis.dump(name)
    await gateway.settle(generation, FailureCode.MODERATED)
    _, failed = await read(gateway, key, generation)
    assert b'"status":"failed"' in failed
    await gateway.ledger.redis.restore(name, 0, before, replace=True)
    await gateway.ledger.command("HSET", name, "version", 3, "operation", "another")
    assert b'"status":"running"' in (await read(gateway, key, generation))[1]


async def test_a_body_is_kept_until_its_urls_would_be_others(gateway: Visitor, key: str) -> None:
    generation = await gateway.finished(key)
    found = await gateway.ledger.generation(generation=generation)
    assert isinstance(found, outcomes.Generation)
    now = 1_795_305_600.0 + 60
    links = OutputLinks("signing", "https://example.com", clock=lambda: now)
    bodies = Bodies(links)
    first = bodies.json(found, UNKNOWN)
    assert bodies.known(generation) is found
    assert bodies.json(found, UNKNOWN) is first
    now += 3600
    later = bodies.json(found, UNKNOWN)
    assert later != first
    assert str(links.expire_at()).encode() in later


async def test_a_body_that_is_very_long_is_not_kept(gateway: Visitor, key: str) -> None:
    generation = await gateway.made(key, prompt="x" * 9_000)
    assert (await read(gateway, key, generation))[0] == 200
    assert gateway.app[services.BODIES].known(generation) is None
