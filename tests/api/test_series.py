"""`GET /v1/ops/series`: what caretakers noted, as lists with a value for each step, and null where nobody looked."""

from __future__ import annotations

from typing import Any

from gateway.api.services import QUEUE
from gateway.ledger.sums import Totals
from gateway.queue.heartbeats import worker_seen
from gateway.queue.queue import Depth
from gateway.queue.series import Series
from gateway.queue.wait_times import class_of, end_of
from gateway.schemas.base import utc
from tests.api.visitor import Visitor
from tests.cases import cases

SLOT = 10_000
HOUR = 3_600_000


async def noted(gateway: Visitor, at: int, **changes: Any) -> None:
    """A sample of that time, as a caretaker would have taken it."""
    seen: dict[str, Any] = {
        "accounts": 1, "open": 3, "held_millicredits": 73_500, "waiting": {"image": 1}, "queued": {"image": 2},
        "running": {}, "overdue": 0, "outcomes": {}, "rescues": {},
    }  # fmt: skip
    depth = Depth("image", 2, 4_500, 1, {"w:1": 300})
    series = Series(gateway.app[QUEUE])
    assert await series.add(at, Totals(**seen | changes), [depth]) is not None
    await series.condense(at)


async def read(gateway: Visitor, **query: str) -> Any:
    path = "&".join(f"{name}={value}" for name, value in query.items())
    reply = await gateway.call("GET", f"/v1/ops/series?{path}", gateway.admin)
    assert reply.status == 200, reply.raw
    return reply.body


async def now_of(gateway: Visitor) -> int:
    """The start of the present slot."""
    now = await gateway.app[QUEUE].now()
    return now - now % SLOT


async def test_the_last_hour_has_a_value_for_each_ten_seconds_and_null_for_gaps(gateway: Visitor) -> None:
    now = await now_of(gateway)
    failed = ("image", "sketch", "failed", "provider_rejected")
    await noted(gateway, now - 4 * SLOT)
    await noted(gateway, now - 3 * SLOT, outcomes={failed: 2}, held_millicredits=1)
    await noted(gateway, now - 1 * SLOT, outcomes={failed: 2, ("image", "sketch", "succeeded", ""): 1})
    body = await read(gateway, **{"from": utc(now - 4 * SLOT), "to": utc(now - SLOT)})
    assert (body["first_at"], body["step_seconds"]) == (utc(now - 4 * SLOT), 10)
    assert body["open"] == [3, 3, None, 3]
    assert body["held_credits"] == [73.5, 0.001, None, 73.5]
    image = next(one for one in body["tools"] if one["tool"] == "image")
    assert image["depth"] == [2, 2, None, 2]
    assert image["waiting"] == [1, 1, None, 1]
    assert image["oldest_age_seconds"] == [4.5, 4.5, None, 4.5]
    assert image["workers"] == [1, 1, None, 1]
    assert image["failed"] == [None, 2, None, 0]
    assert image["succeeded"] == [None, 0, None, 1]
    assert body["outcomes"] == [
        {"tool": "image", "model": "sketch", "status": "failed", "code": "provider_rejected", "generations": 2},
        {"tool": "image", "model": "sketch", "status": "succeeded", "code": None, "generations": 1},
    ]
    video = next(one for one in body["tools"] if one["tool"] == "video")
    assert video["depth"] == [None] * 4, "nobody has looked at a tool that nobody has used"
    assert len((await read(gateway))["open"]) == 361


async def test_waits_are_reported_by_step_and_for_the_whole_range(gateway: Visitor) -> None:
    now = await now_of(gateway)
    queue = gateway.app[QUEUE]
    await noted(gateway, now - 2 * SLOT)
    for wait in (20, 20, 5_000):
        await queue.take_out("image", "job", waited_ms=wait)
    await noted(gateway, now - SLOT)
    body = await read(gateway, **{"from": utc(now - 2 * SLOT), "to": utc(now - SLOT)})
    image = next(one for one in body["tools"] if one["tool"] == "image")
    median, p95 = end_of(class_of(20)) / 1000, end_of(class_of(5_000)) / 1000
    assert image["wait_median_seconds"] == [None, median]
    assert image["wait_p95_seconds"] == [None, p95]
    assert image["waits"] == {"begun": 3, "median_seconds": median, "p95_seconds": p95}


@cases(("back", "step", "count"), [(1, 10, 361), (24, 60, 1441), (168, 600, 1009)])
async def test_a_longer_time_has_longer_steps(gateway: Visitor, back: int, step: int, count: int) -> None:
    """`from` is what a client's clock says, which may be behind the queue's: a week and a moment is a week."""
    now = await gateway.app[QUEUE].now()
    body = await read(gateway, **{"from": utc(now - back * HOUR)})
    assert body["step_seconds"] == step
    assert count <= len(body["open"]) <= count + 1


@cases(
    ("back", "until", "field"),
    [(200 * HOUR, 0, "from"), (HOUR, 2 * HOUR, "from"), (-HOUR, 0, "from")],
)
async def test_a_time_that_cannot_be_shown_names_the_parameter(
    gateway: Visitor, back: int, until: int, field: str
) -> None:
    now = await gateway.app[QUEUE].now()
    query = f"from={utc(now - back)}&to={utc(now - until)}"
    refused = await gateway.call("GET", f"/v1/ops/series?{query}", gateway.admin)
    assert (refused.status, refused.fields) == (422, [field])


async def test_queues_say_when_each_worker_was_last_seen(gateway: Visitor) -> None:
    await worker_seen(gateway.app[QUEUE].redis, "image", "host:1")
    body = (await gateway.call("GET", "/v1/ops/queues", gateway.admin)).body
    image = next(one for one in body["queues"] if one["tool"] == "image")
    (worker,) = image["heartbeats"]
    assert worker["name"] == "host:1"
    assert 0 <= worker["silent_seconds"] < 300
    assert image["workers"] == 1
