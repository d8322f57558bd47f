"""Creating, reading, listing and cancelling generations over HTTP."""

from __future__ import annotations

import asyncio
import base64
import re
from pathlib import Path
from typing import Any

from gateway.api import services
from gateway.domain import FailureCode, State
from gateway.ledger import outcomes
from gateway.ledger.accounts import key_id_of
from tests.api.visitor import SKETCH, Visitor
from tests.cases import cases
from tests.until import until


async def test_a_generation_is_priced_held_and_answered_with_202(gateway: Visitor, key: str) -> None:
    reply = await gateway.create(key, outputs=2, metadata={"order": 7}, tags={"project": "apollo"})
    assert reply.status == 202
    body = reply.body
    assert reply.headers["Location"] == f"/v1/generations/{body['id']}"
    assert re.fullmatch(r"gen_[0-9a-f]{2}[a-z2-7]{24}", body["id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body.pop("created_at"))
    assert body["price"].pop("rate_card").startswith("sha256:")
    assert body == {
        "id": body["id"],
        "object": "generation",
        "account": "acme",
        "key": key_id_of(key),
        "member": None,
        "status": "queued",
        "tool": "image",
        "model": "sketch",
        "prompt": "a red bicycle",
        "settings": {"strength": 0.5},
        "outputs_requested": 2,
        "price": {"credits": 10, "lines": [{"label": "Sketch", "credits": 5, "count": 2, "total": 10}]},
        "credits": {
            "held": 10,
            "committed": 0,
            "refunded": 0,
            "allocation": [{"bucket": "free", "credits": 10}],
        },
        "outputs": [],
        "progress": 0,
        "queue_position": None,
        "attempt": 0,
        "error": None,
        "metadata": {"order": 7},
        "tags": {"project": "apollo"},
        "started_at": None,
        "finished_at": None,
    }


async def test_fractional_credits_are_exact_numbers(gateway: Visitor, key: str) -> None:
    await gateway.subscribe()
    reply = await gateway.create(key, model="gallery", settings={"resolution": "2K"})
    assert b'"held":73.5,' in reply.raw
    assert reply.body["price"]["lines"] == [{"label": "Gallery · 2K", "credits": 73.5, "count": 1, "total": 73.5}]


async def test_a_finished_generation_has_outputs_and_what_it_cost(gateway: Visitor, key: str) -> None:
    generation = await gateway.finished(key, outputs=2)
    body = (await gateway.call("GET", f"/v1/generations/{generation}", key)).body
    assert body["status"] == "succeeded"
    assert body["credits"]["committed"] == 10
    assert body["credits"]["held"] == 0
    assert [output["index"] for output in body["outputs"]] == [0, 1]
    assert body["outputs"][0]["url"].startswith(f"http://127.0.0.1:8080/v1/generations/{generation}/outputs/0?")
    assert body["started_at"] <= body["finished_at"]
    assert "queue_position" not in body


async def test_a_queued_generation_says_its_place(gateway: Visitor, key: str) -> None:
    first, second = await gateway.made(key), await gateway.made(key)
    # Dispatching is in the background: the places are there as soon as both are in arq.
    while True:
        page = (await gateway.call("GET", "/v1/generations", key)).body["data"]
        places = {one["id"]: one["queue_position"] for one in page}
        if None not in places.values():
            break
    assert places == {first: 0, second: 1}


async def test_beyond_the_plans_concurrency_a_generation_waits(gateway: Visitor, key: str) -> None:
    assert [(await gateway.create(key)).body["status"] for _ in range(3)] == ["queued", "queued", "waiting"]


async def test_a_list_is_newest_first_and_pages_by_its_cursor(gateway: Visitor, key: str) -> None:
    made = [await gateway.made(key) for _ in range(3)]
    first = (await gateway.call("GET", "/v1/generations?limit=2", key)).body
    second = (await gateway.call("GET", f"/v1/generations?limit=2&before={first['next']}", key)).body
    assert [one["id"] for one in first["data"] + second["data"]] == made[::-1]
    assert second["next"] is None


async def test_a_list_is_filtered_by_status_tool_and_model(gateway: Visitor, key: str) -> None:
    sketch = await gateway.finished(key)
    clip = await gateway.made(key, tool="video", model="clip")

    async def listed(query: str) -> list[str]:
        return [one["id"] for one in (await gateway.call("GET", f"/v1/generations?{query}", key)).body["data"]]

    assert await listed("status=succeeded") == [sketch]
    assert await listed("tool=video") == [clip]
    assert await listed("model=sketch") == [sketch]
    assert await listed("status=failed") == []


async def test_a_poll_is_a_304_while_nothing_has_changed(gateway: Visitor, key: str) -> None:
    path = f"/v1/generations/{await gateway.made(key)}"
    seen = await gateway.call("GET", path, key)
    assert "Preference-Applied" not in seen.headers
    known = {"If-None-Match": seen.headers["ETag"]}
    same = await gateway.call("GET", path, key, None, known)
    assert (same.status, same.raw, same.headers["ETag"]) == (304, b"", seen.headers["ETag"])
    assert (await gateway.call("GET", path, gateway.admin, None, known)).status == 200, "an operator is shown more"
    await gateway.begin(seen.body["id"])
    for headers in (known, known | {"Prefer": "wait=60"}):
        now = await gateway.call("GET", path, key, None, headers)
        assert (now.status, now.body["status"]) == (200, "running")
        assert now.headers["ETag"] != seen.headers["ETag"]


async def test_a_get_that_prefers_to_wait_is_answered_at_the_end(gateway: Visitor, key: str) -> None:
    made = await gateway.made(key)
    path, wait = f"/v1/generations/{made}", {"Prefer": "respond-async, wait=60"}
    seen = (await gateway.call("GET", path, key)).headers["ETag"]
    end = asyncio.create_task(gateway.call("GET", path, key, None, wait))
    change = asyncio.create_task(gateway.call("GET", path, key, None, wait | {"If-None-Match": seen}))
    await until(lambda: gateway.app[services.HUB].watched == 2)
    await gateway.begin(made)
    await gateway.notice(made)
    assert (await change).body["status"] == "running"
    await gateway.deliver(made)
    await gateway.settle(made)
    await gateway.notice(made)
    ended = await end
    assert (ended.body["status"], ended.headers["Preference-Applied"]) == ("succeeded", "wait=60")
    assert (await gateway.call("GET", path, key, None, wait)).body["status"] == "succeeded"
    same = wait | {"If-None-Match": (await gateway.call("GET", path, key)).headers["ETag"]}
    assert (await gateway.call("GET", path, key, None, same)).status == 304, "nothing more will happen"


async def test_a_wait_ends_in_time_with_the_generation_as_it_is(gateway: Visitor, key: str) -> None:
    reply = await gateway.call("GET", f"/v1/generations/{await gateway.made(key)}", key, None, {"Prefer": "wait=1"})
    assert (reply.status, reply.body["status"], reply.headers["Preference-Applied"]) == (200, "queued", "wait=1")


async def test_cancelling_a_queued_one_refunds_at_once(gateway: Visitor, key: str) -> None:
    generation = await gateway.made(key)
    cancelled = (await gateway.call("POST", f"/v1/generations/{generation}/cancel", key)).body
    assert (cancelled["status"], cancelled["credits"]["refunded"]) == ("cancelled", 5)
    again = await gateway.call("POST", f"/v1/generations/{generation}/cancel", key)
    assert (again.status, again.body) == (200, cancelled)
    assert (await gateway.call("GET", "/v1/balance", key)).body["available"] == 100


async def test_cancelling_a_running_one_asks_its_worker_to_stop(gateway: Visitor, key: str) -> None:
    generation = await gateway.made(key)
    await gateway.begin(generation)
    body = (await gateway.call("POST", f"/v1/generations/{generation}/cancel", key)).body
    assert (body["status"], body["cancel_requested"]) == ("running", True)


async def test_cancelling_promotes_and_dispatches_the_one_that_waits(gateway: Visitor, key: str) -> None:
    first, _, waiting = [await gateway.made(key) for _ in range(3)]
    await gateway.call("POST", f"/v1/generations/{first}/cancel", key)
    body = (await gateway.call("GET", f"/v1/generations/{waiting}", key)).body
    assert body["status"] == "queued"
    while (await gateway.call("GET", f"/v1/generations/{waiting}", key)).body["queue_position"] is None:
        pass


@cases("code", list(FailureCode))
async def test_a_failure_says_what_happened_that_nothing_was_charged_and_what_to_do(
    gateway: Visitor, key: str, code: FailureCode
) -> None:
    generation = await gateway.made(key)
    await gateway.begin(generation)
    failing = await gateway.ledger.generation(generation=generation)
    assert isinstance(failing, outcomes.Generation)
    attempt = 1
    while failing.state is not State.FAILED:
        outcome = await gateway.ledger.settle(
            generation=generation, attempt=attempt, operation=f"op{attempt}", failure=code
        )
        if isinstance(outcome, outcomes.Ended):
            break
        assert isinstance(outcome, outcomes.Requeued)
        await _make_due(gateway, generation)
        attempt += 1
        await gateway.begin(generation, attempt)
    error = (await gateway.call("GET", f"/v1/generations/{generation}", key)).body["error"]
    assert error["code"] == code
    assert "Nothing was charged: all 5 credits were returned." in error["message"]
    assert len(error["message"].split(". ")) >= 3, "what happened, what became of the credits, what to do"


async def _make_due(gateway: Visitor, generation: str) -> None:
    """End a retry's pause."""
    await gateway.ledger.redis.hdel(gateway.ledger.generation_key(generation), "not_before")  # type: ignore[misc]


async def test_a_partial_success_says_what_was_charged_and_what_came_back(gateway: Visitor, key: str) -> None:
    generation = await gateway.made(key, outputs=4)
    await gateway.begin(generation)
    await gateway.deliver(generation, 0)
    await gateway.settle(generation, FailureCode.MODERATED)
    body = (await gateway.call("GET", f"/v1/generations/{generation}", key)).body
    assert (body["status"], body["credits"]["committed"], body["credits"]["refunded"]) == ("succeeded", 5, 15)


async def test_data_inputs_are_stored_and_never_given_back(gateway: Visitor, key: str) -> None:
    picture = b"\x89PNG\r\n\x1a\n" + bytes(100)
    data = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    inputs = [{"kind": "image", "url": data}, {"kind": "image", "url": "https://example.com/cat.png"}]
    body = (await gateway.create(key, inputs=inputs)).body
    assert body["inputs"] == [
        {"kind": "image", "url": None},
        {"kind": "image", "url": "https://example.com/cat.png"},
    ]
    stored = await gateway.ledger.generation(generation=body["id"])
    assert isinstance(stored, outcomes.Generation)
    assert await gateway.app[services.OUTPUTS].get(stored.request.inputs[0].url) == picture


async def test_a_data_input_that_finds_no_room_is_answered_503_and_accepted_later(
    gateway: Visitor, key: str, tmp_path: Path
) -> None:
    """A full disk of the outputs turned orders that brought a picture along into a 500, with a traceback in the log."""
    store = tmp_path / "data" / "outputs"
    store.rmdir()
    store.touch()
    picture = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
    inputs = [{"kind": "image", "url": f"data:image/png;base64,{picture}"}]
    refused = await gateway.create(key, inputs=inputs, once="k")
    assert (refused.status, refused.code) == (503, "store_unavailable")
    assert (await gateway.call("GET", "/v1/generations", key)).body["data"] == []
    store.unlink()
    assert (await gateway.create(key, inputs=inputs, once="k")).status == 202


async def test_sandbox_controls_reach_the_worker(gateway: Visitor, key: str) -> None:
    generation = await gateway.made(key, sandbox={"fail": "moderated", "delay_seconds": 1})
    stored = await gateway.ledger.generation(generation=generation)
    assert isinstance(stored, outcomes.Generation)
    assert stored.request.sandbox == {"fail": "moderated", "delay_seconds": 1}


async def test_a_receipt_explains_lines_payers_and_movements(gateway: Visitor, key: str) -> None:
    generation = await gateway.finished(key, outputs=2)
    body = (await gateway.call("GET", f"/v1/generations/{generation}/receipt", key)).body
    assert body["key"] == key_id_of(key)
    assert body["credits"] == 10
    assert body["lines"] == [{"label": "Sketch", "credits": 5, "count": 2, "total": 10}]
    assert [(share["bucket"], share["credits"]) for share in body["allocation"]] == [("free", 10)]
    movements = [(entry["kind"], entry["credits"], entry["held"]) for entry in body["entries"]]
    assert movements == [("reserve", -10, 10), ("commit", 0, -10)]
    assert (body["held"], body["committed"], body["refunded"]) == (0, 10, 0)
    assert body["rate_card"].startswith("sha256:")


async def test_a_price_change_leaves_a_generation_as_it_was(gateway: Visitor, key: str) -> None:
    generation = await gateway.made(key)
    cards = gateway.app[services.RATE_CARDS]
    path = gateway.app[services.SETTINGS].rate_card
    assert path is not None
    version = cards.card.version
    path.write_text(path.read_text().replace("credits = 5\n", "credits = 7\n"))
    while cards.card.version == version:
        await gateway.call("GET", "/healthz")
    assert (await gateway.create(key)).body["price"]["credits"] == 7
    body = (await gateway.call("GET", f"/v1/generations/{generation}", key)).body
    assert (body["price"]["credits"], body["price"]["rate_card"]) == (5, version)


async def test_the_request_body_has_the_same_effect_without_its_defaults(gateway: Visitor, key: str) -> None:
    explicit: dict[str, Any] = {"settings": {"strength": 0.50}, "outputs": 1.0, "inputs": [], "metadata": {}}
    bare, full = (await gateway.create(key)).body, (await gateway.create(key, **explicit)).body
    assert SKETCH["prompt"] == bare["prompt"]
    assert {name: bare[name] for name in ("settings", "outputs_requested", "price")} == {
        name: full[name] for name in ("settings", "outputs_requested", "price")
    }


async def test_key_and_tags_are_filters_of_the_list_and_shown_on_the_receipt(gateway: Visitor, key: str) -> None:
    tags = {"project": "apollo", "für": "Ünit 7: a|b"}
    made = (await gateway.create(key, tags=tags)).body["id"]
    other = (await gateway.create(key, tags={"project": "apollo 13"})).body["id"]
    for query, found in (
        ("tags[project]=apollo", [made]),
        ("tags[project]=apollo&tags[für]=Ünit 7: a|b", [made]),
        ("tags[project]=apollo&tags[für]=Ünit 7", []),
        ("tags[apollo]=project", []),
        (f"key={key_id_of(key)}", [other, made]),
        ("key=key_0", []),
        ("member=mem_0", []),
    ):
        page = await gateway.call("GET", f"/v1/generations?{query}", key)
        assert [one["id"] for one in page.body["data"]] == found, query
    refused = await gateway.call("GET", "/v1/generations?tags=apollo", key)
    assert (refused.fields, refused.code) == (["tags"], "invalid_request")
    for path in ("", "/receipt"):
        assert (await gateway.call("GET", f"/v1/generations/{made}{path}", key)).body["tags"] == tags


async def test_metadata_and_words_are_filters_of_the_list(gateway: Visitor, key: str) -> None:
    made = await gateway.call("POST", "/v1/generations", key, SKETCH | {"metadata": {"order": "A-17", "paid": True}})
    await gateway.call("POST", "/v1/generations", key, SKETCH)
    for query, found in (
        ("metadata[order]=A-17", [made.body["id"]]),
        ("metadata%5Border%5D=A-17&metadata[paid]=true", [made.body["id"]]),
        ("metadata[order]=A-18", []),
    ):
        page = await gateway.call("GET", f"/v1/generations?{query}", key)
        assert [one["id"] for one in page.body["data"]] == found, query
    for query in ("metadata=A-17", "metadata[a]=1&metadata[b]=1&metadata[c]=1&metadata[d]=1", "metadatas[a]=1"):
        refused = await gateway.call("GET", f"/v1/generations?{query}", key)
        assert (refused.status, refused.code) == (422, "invalid_request"), query
    tagged = await gateway.made(key, prompt="A lighthouse at dusk", tags={"project": "apollo"})
    for words in ("light+DUSK", "project:apollo", "apollo+lighthouse"):
        page = await gateway.call("GET", f"/v1/generations?q={words}", key)
        assert [one["id"] for one in page.body["data"]] == [tagged], words
    refused = await gateway.call("GET", "/v1/generations?q=a+b+c+d+e+f+g+h+i", key)
    assert "`q` must have at most 8 words" in refused.message
    refused = await gateway.call("GET", "/v1/generations?metadata=A-17", key)
    assert "`metadata` must be given key by key, as in metadata[order]=A-17" in refused.message
