"""Keys: shown once, kept as digests, refused at once when revoked, listed with their last use."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

from gateway.api.access.key_use import APART_SECONDS, KeyUse
from gateway.api.services import KEY_USE
from tests.api.visitor import SKETCH, Visitor, open_gateway
from tests.redis_servers import RedisServer

KEYS = "/v1/admin/accounts/acme/keys"


async def test_a_key_is_shown_once(gateway: Visitor) -> None:
    await gateway.account()
    made = (await gateway.call("POST", KEYS, gateway.admin, {"label": "shop"})).body
    assert made["key"].startswith("fbx_")
    assert len(made["key"]) >= 4 + 43, "256 bits"
    listed = (await gateway.call("GET", KEYS, gateway.admin)).body["data"]
    assert {name: value for name, value in made.items() if name != "key"} in listed
    assert made["key"] not in str(listed)


async def test_a_call_that_requires_nothing_needs_no_body(gateway: Visitor) -> None:
    assert (await gateway.call("PUT", "/v1/admin/accounts/acme", gateway.admin)).status == 201
    made = await gateway.call("POST", KEYS, gateway.admin)
    assert (made.status, made.body["label"]) == (201, None)
    assert (await gateway.call("GET", "/v1/balance", made.body["key"])).status == 200


async def test_a_revoked_key_is_refused_at_once_also_where_it_is_cached(
    gateway: Visitor, redis_url: str, tmp_path: Path
) -> None:
    kept = await gateway.account()
    made = (await gateway.call("POST", KEYS, gateway.admin, {})).body
    async with open_gateway(redis_url, tmp_path) as other:
        for one in (gateway, other):
            assert (await one.call("GET", "/v1/balance", made["key"])).status == 200
        revoked = await gateway.call("DELETE", f"{KEYS}/{made['id']}", gateway.admin)
        assert (revoked.status, revoked.body) == (200, {"id": made["id"], "revoked": True})
        for one in (gateway, other):
            for path in ("/v1/balance", "/v1/journal", "/v1/generations"):
                reply = await one.call("GET", path, made["key"])
                assert (reply.status, reply.code) == (401, "invalid_key")
            assert (await one.create(made["key"])).status == 401
            assert (await one.create(kept)).status == 202, "the account's other keys go on"


async def test_a_key_can_be_revoked_only_where_it_belongs(gateway: Visitor) -> None:
    await gateway.account()
    await gateway.account("other")
    made = (await gateway.call("POST", KEYS, gateway.admin, {})).body
    for path in (f"/v1/admin/keys/{made['id']}", f"/v1/admin/accounts/other/keys/{made['id']}", f"{KEYS}/key_none"):
        reply = await gateway.call("DELETE", path, gateway.admin)
        assert (reply.status, reply.code) == (404, "not_found")
    assert (await gateway.call("GET", "/v1/balance", made["key"])).status == 200


async def test_an_account_scope_key_is_not_made_without_an_account(gateway: Visitor) -> None:
    reply = await gateway.call("POST", "/v1/admin/keys", gateway.admin, {"scope": "account"})
    assert (reply.status, reply.fields) == (422, ["scope"])


async def test_a_replay_is_not_sent_to_a_key_revoked_at_another_gateway(
    gateway: Visitor, redis_url: str, tmp_path: Path
) -> None:
    """What was answered before was answered again without asking anybody about the key, while it was cached."""
    await gateway.account()
    made = (await gateway.call("POST", KEYS, gateway.admin, {})).body
    once = {"Idempotency-Key": "k"}
    for replayed in (None, "true"):
        reply = await gateway.call("POST", "/v1/quotes", made["key"], SKETCH, once)
        assert (reply.status, reply.headers.get("Idempotent-Replay")) == (200, replayed)
    async with open_gateway(redis_url, tmp_path) as other:
        await other.call("DELETE", f"{KEYS}/{made['id']}", other.admin)
        assert (await gateway.call("POST", "/v1/quotes", made["key"], SKETCH, once)).status == 401


async def test_operators_keys_are_refused_by_every_gateway_once_they_are_revoked(
    gateway: Visitor, redis_url: str, tmp_path: Path
) -> None:
    async with open_gateway(redis_url, tmp_path) as other:
        for scope in ("ops", "admin"):
            made = (await gateway.call("POST", "/v1/admin/keys", gateway.admin, {"scope": scope})).body
            for one in (gateway, other):
                assert (await one.call("GET", "/v1/ops/queues", made["key"])).status == 200
            await other.call("DELETE", f"/v1/admin/keys/{made['id']}", other.admin)
            for one in (gateway, other):
                assert (await one.call("GET", "/v1/ops/queues", made["key"])).status == 401


async def test_a_keys_last_use_is_shown_a_moment_later(gateway: Visitor) -> None:
    await gateway.account()
    made = (await gateway.call("POST", KEYS, gateway.admin, {})).body
    assert made["last_used_at"] is None
    assert (await gateway.call("GET", "/v1/balance", made["key"])).status == 200
    used_at = None
    while used_at is None:
        listed = (await gateway.call("GET", KEYS, gateway.admin)).body["data"]
        used_at = {key["id"]: key["last_used_at"] for key in listed}[made["id"]]
    assert used_at >= made["created_at"]
    account = (await gateway.call("GET", "/v1/admin/accounts/acme", gateway.admin)).body
    assert used_at in [key["last_used_at"] for key in account["keys"]]


async def test_a_stopping_gateway_writes_what_it_has_noted(redis_url: str, tmp_path: Path) -> None:
    async with open_gateway(redis_url, tmp_path) as stopping:
        key = await stopping.account()
        assert (await stopping.call("GET", "/v1/balance", key)).status == 200
    async with open_gateway(redis_url, tmp_path) as later:
        (listed,) = (await later.call("GET", KEYS, later.admin)).body["data"]
        assert listed["last_used_at"] is not None


async def test_a_busy_key_is_written_once_a_minute(gateway: Visitor) -> None:
    """The clock is the test's own; the writes are counted in the ledger."""
    await gateway.account()
    key_id = (await gateway.call("POST", KEYS, gateway.admin, {})).body["id"]
    now = 1000.0
    use = KeyUse(gateway.ledger, clock=lambda: now)
    seen = set()
    for _ in range(121):
        use.noted[key_id] = "acme", now
        await use.write(apart_seconds=60)
        fields = await gateway.ledger.command("HGETALL", gateway.ledger.account_key("acme"))
        seen.add(fields[f"used:{key_id}".encode()])
        now += 1
    assert len(seen) == 3, "at 0, 60 and 120 seconds"


async def test_an_order_shows_the_use_of_its_key_at_once(gateway: Visitor) -> None:
    await gateway.account()
    made = (await gateway.call("POST", KEYS, gateway.admin, {})).body
    await gateway.made(made["key"])
    listed = (await gateway.call("GET", KEYS, gateway.admin)).body["data"]
    assert {key["id"]: key["last_used_at"] for key in listed}[made["id"]] is not None
    use = gateway.app[KEY_USE]
    await use.write(apart_seconds=APART_SECONDS)
    assert made["id"] not in use.noted, "nothing is left to write"


async def test_a_use_that_reserve_recorded_is_not_written_again(gateway: Visitor) -> None:
    await gateway.account()
    key_id = (await gateway.call("POST", KEYS, gateway.admin, {})).body["id"]
    use, field = KeyUse(gateway.ledger, clock=lambda: 1000.0), f"used:{key_id}"
    use.noted[key_id] = "acme", 999.0
    use.recorded[key_id] = 999.5
    await use.write(apart_seconds=60)
    assert await gateway.ledger.command("HGET", gateway.ledger.account_key("acme"), field) is None
    use.noted[key_id] = "acme", 999.9
    await use.write(apart_seconds=60)
    assert await gateway.ledger.command("HGET", gateway.ledger.account_key("acme"), field) is None, "within a minute"
    await use.write()
    assert await gateway.ledger.command("HGET", gateway.ledger.account_key("acme"), field) is not None


async def test_a_ledger_outage_delays_a_keys_last_use_and_fails_no_request(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    """A use was forgotten before it was written: an outage, or a stop in the middle of a write, lost it."""
    async with open_gateway(own_redis.url, tmp_path) as gateway:
        await gateway.account()
        key_id = (await gateway.call("POST", KEYS, gateway.admin, {})).body["id"]
        use = KeyUse(gateway.ledger)
        use.noted[key_id] = "acme", monotonic()
        own_redis.stop()
        await use.write()
        own_redis.start()
        await use.write()
        (key,) = [one for one in (await gateway.call("GET", KEYS, gateway.admin)).body["data"] if one["id"] == key_id]
        assert key["last_used_at"] is not None


async def test_operators_keys_are_listed_until_they_are_revoked(gateway: Visitor) -> None:
    ops = (await gateway.call("POST", "/v1/admin/keys", gateway.admin, {"scope": "ops", "label": "wall"})).body
    admin = (await gateway.call("POST", "/v1/admin/keys", gateway.admin, {"scope": "admin"})).body
    assert (await gateway.call("GET", "/v1/ops/queues", ops["key"])).status == 200
    listed = (await gateway.call("GET", "/v1/admin/keys", gateway.admin)).body["data"]
    assert {(key["id"], key["scope"], key["label"]) for key in listed} == {
        (ops["id"], "ops", "wall"),
        (admin["id"], "admin", None),
    }
    assert ops["key"] not in str(listed)
    while not (await gateway.call("GET", "/v1/admin/keys", admin["key"])).body["data"][0]["last_used_at"]:
        pass
    await gateway.call("DELETE", f"/v1/admin/keys/{ops['id']}", gateway.admin)
    (left,) = (await gateway.call("GET", "/v1/admin/keys", gateway.admin)).body["data"]
    assert left["id"] == admin["id"]
