"""Live events: each change is told once, and whoever reconnects sees everything in a snapshot."""

from __future__ import annotations

import pytest

from gateway.api import services
from gateway.api.handlers import events
from gateway.api.streams import event_stream
from gateway.domain import FailureCode
from tests.api.visitor import Stream, Visitor, open_stream
from tests.until import until


async def test_a_generation_is_followed_from_snapshot_to_done(gateway: Visitor, key: str) -> None:
    generation = await gateway.made(key, outputs=2)
    async with open_stream(gateway, f"/v1/generations/{generation}/events", key) as stream:
        snapshot = await stream.next()
        assert snapshot is not None
        assert (snapshot.name, snapshot.id, snapshot.data["id"]) == ("snapshot", "1", generation)
        await gateway.begin(generation)
        await gateway.ledger.renew(generation=generation, attempt=1, progress_thousandths=250)
        await gateway.notice(generation)
        while True:
            progress = await stream.until("progress")
            if progress.data["progress"] == 0.25:
                break
        assert (progress.data["id"], progress.data["status"]) == (generation, "running")
        await gateway.deliver(generation, 0)
        await gateway.notice(generation)
        output = await stream.until("output")
        assert output.data["generation"] == generation
        assert output.data["output"]["index"] == 0
        await gateway.deliver(generation, 1)
        await gateway.settle(generation)
        await gateway.notice(generation)
        rest = []
        while (event := await stream.next()) is not None:
            rest.append(event)
        assert [event.name for event in rest if event.name != "progress"] == ["output", "done"]
        done = rest[-1]
        assert (done.data["status"], done.data["credits"]["committed"]) == ("succeeded", 10)
        assert int(done.id or 0) > int(snapshot.id or 0), "an event's id is the generation's version"


async def test_a_finished_generation_is_a_snapshot_and_done(gateway: Visitor, key: str) -> None:
    generation = await gateway.finished(key)
    async with open_stream(gateway, f"/v1/generations/{generation}/events", key) as stream:
        names = []
        while (event := await stream.next()) is not None:
            names.append(event.name)
        assert names == ["snapshot", "done"]


async def test_reconnecting_gets_a_snapshot_with_everything_missed(gateway: Visitor, key: str) -> None:
    generation = await gateway.made(key, outputs=2)
    path = f"/v1/generations/{generation}/events"
    async with open_stream(gateway, path, key) as stream:
        await stream.next()
    await gateway.begin(generation)
    await gateway.deliver(generation)
    headers = {"Authorization": f"Bearer {key}", "Last-Event-ID": "1"}
    async with gateway.session.get(gateway.address + path, headers=headers) as response:
        text = (await response.content.readuntil(b"\n\n")).decode()
        assert text == "retry: 2000\n\n"
        text = (await response.content.readuntil(b"\n\n")).decode()
        assert "event: snapshot" in text
        assert '"index":0' in text


async def test_a_lost_notice_is_made_up_for(gateway: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "READ_AGAIN_SECONDS", 0.05)
    key = await gateway.account()
    generation = await gateway.made(key)
    async with open_stream(gateway, f"/v1/generations/{generation}/events", key) as stream:
        await stream.next()
        await gateway.begin(generation)
        await gateway.settle(generation, FailureCode.MODERATED)
        done = await stream.until("done")
        assert done.data["error"]["code"] == "moderated"


async def test_a_silent_stream_is_kept_open_by_comments(gateway: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "READ_AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(event_stream, "KEEP_ALIVE_SECONDS", 0.1)
    key = await gateway.account()
    generation = await gateway.made(key)
    await gateway.begin(generation)
    async with open_stream(gateway, f"/v1/generations/{generation}/events", key) as stream:
        while (line := await stream.response.content.readline()) != b": still here\n":
            assert line, "the stream ended"


async def test_an_account_follows_all_its_generations_and_its_balance(gateway: Visitor, key: str) -> None:
    before = await gateway.made(key)
    async with open_stream(gateway, "/v1/events", key) as stream:
        balance = await stream.next()
        assert balance is not None
        assert (balance.name, balance.data["available"], balance.data["held"]) == ("balance", 95, 5)
        snapshot = await stream.until("snapshot")
        assert (snapshot.data["id"], snapshot.id) == (before, f"{before}:1")
        later = await gateway.made(key, outputs=2)
        await _seen(stream, ("snapshot", later), ("balance", 15))
        await gateway.begin(later)
        await gateway.deliver(later)
        await gateway.settle(later)
        await gateway.notice(later)
        # One of two outputs was delivered: 5 of its 10 credits came back.
        await _seen(stream, ("output", later), ("done", later), ("balance", 5))
        assert (await gateway.call("GET", "/v1/balance", key)).body["available"] == 90


async def _seen(stream: Stream, *wanted: tuple[str, str | int]) -> None:
    """Read until each was seen, in whatever order: a balance may be told before or after what changed it."""
    missing = set(wanted)
    while missing:
        event = await stream.next()
        assert event is not None, f"the stream ended without {missing}"
        what = event.data.get("held") if event.name == "balance" else event.data.get("id", event.data.get("generation"))
        missing.discard((event.name, what))


async def test_an_account_sees_nothing_of_another(gateway: Visitor) -> None:
    key, other = await gateway.account(), await gateway.account("other")
    async with open_stream(gateway, "/v1/events", key) as stream:
        await stream.next()
        theirs, own = await gateway.made(other), await gateway.made(key)
        told = []
        while own not in told:
            event = await stream.next()
            assert event is not None
            told.append(event.data.get("id", event.name))
        assert theirs not in told
        assert set(told) <= {own, "balance"}


async def test_an_operators_balance_change_is_streamed(gateway: Visitor, key: str) -> None:
    async with open_stream(gateway, "/v1/events", key) as stream:
        await stream.next()
        await gateway.grant(50)
        assert (await stream.until("balance")).data["available"] == 150


@pytest.mark.parametrize("scope", ["ops", "admin"])
async def test_operators_follow_the_queues(gateway: Visitor, monkeypatch: pytest.MonkeyPatch, scope: str) -> None:
    monkeypatch.setattr(events, "QUEUES_SECONDS", 0.05)
    key = await gateway.account()
    operator = await gateway.operator_key(scope)
    async with open_stream(gateway, "/v1/events", operator) as stream:
        await stream.until("queues")
        await gateway.made(key)
        while True:
            event = await stream.until("queues")
            depths = {queue["tool"]: queue["depth"] for queue in event.data["queues"]}
            if depths == {"image": 1, "video": 0}:
                break


async def test_a_revoked_key_ends_its_streams(gateway: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "READ_AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(events, "QUEUES_SECONDS", 0.05)
    await gateway.account()
    made = (await gateway.call("POST", "/v1/admin/accounts/acme/keys", gateway.admin, {})).body
    ops = (await gateway.call("POST", "/v1/admin/keys", gateway.admin, {"scope": "ops"})).body
    generation = await gateway.made(made["key"])
    async with (
        open_stream(gateway, f"/v1/generations/{generation}/events", made["key"]) as one,
        open_stream(gateway, "/v1/events", made["key"]) as all_of_it,
        open_stream(gateway, "/v1/events", ops["key"]) as queues,
    ):
        await gateway.ledger.revoke_key(key_id=made["id"], account="acme")  # as another gateway does
        await gateway.call("DELETE", f"/v1/admin/keys/{ops['id']}", gateway.admin)
        for stream in (one, all_of_it, queues):
            while await stream.next() is not None:
                pass


async def test_r27_a_key_that_expires_ends_its_streams(gateway: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "READ_AGAIN_SECONDS", 0.05)
    await gateway.account()
    bounds = {"expires_at": "2100-01-01T00:00:00Z"}
    key = (await gateway.call("POST", "/v1/admin/accounts/acme/keys", gateway.admin, bounds)).body["key"]
    generation = await gateway.made(key)
    async with (
        open_stream(gateway, f"/v1/generations/{generation}/events", key) as one,
        open_stream(gateway, "/v1/events", key) as all_of_it,
    ):
        monkeypatch.setattr("gateway.api.access.auth.now_ms", lambda: 4_102_444_800_000)
        for stream in (one, all_of_it):
            while await stream.next() is not None:
                pass


async def test_a_stopping_gateway_ends_its_streams(gateway: Visitor, key: str) -> None:
    generation = await gateway.made(key)
    async with (
        open_stream(gateway, f"/v1/generations/{generation}/events", key) as one,
        open_stream(gateway, "/v1/events", key) as all_of_it,
    ):
        gateway.app[services.HUB].close()
        for stream in (one, all_of_it):
            while await stream.next() is not None:
                pass


async def test_a_client_that_goes_away_is_forgotten(gateway: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "READ_AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(event_stream, "KEEP_ALIVE_SECONDS", 0.05)
    key = await gateway.account()
    async with open_stream(gateway, "/v1/events", key) as stream:
        await stream.next()
        assert gateway.app[services.HUB].watched == 1
        stream.response.close()
    await until(lambda: not gateway.app[services.HUB].watched)


async def test_a_text_with_carriage_returns_is_streamed_to_replicates_clients_as_one_event(gateway: Visitor) -> None:
    """One ends a line of the stream, too: the rest of the text was lost, and could be an event of its own."""
    key = await gateway.account()
    generation = await gateway.made(key)
    await gateway.begin(generation)
    await gateway.deliver(generation, data=b"one\rtwo\r\rid: x\r\nthree\n", content_type="text/plain")
    await gateway.settle(generation)
    reply = await gateway.call("GET", f"/replicate/v1/predictions/{generation}/stream", key)
    assert b"\r" not in reply.raw
    output, _, done = reply.raw.decode().partition("event: done")
    assert [line for line in output.split("\n") if line and not line.startswith(":")] == [
        "event: output",
        f"id: {generation}:0",
        *(f"data: {line}" for line in ("one", "two", "", "id: x", "three", "")),
    ]
    assert done
