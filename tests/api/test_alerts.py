"""Low-credit alerts: set by operators and the account itself, seen by support, told in the customer's journal."""

from __future__ import annotations

from typing import Any

from tests.api.visitor import Visitor
from tests.cases import cases

ALERTS = "/v1/admin/accounts/acme/alerts"


async def test_an_account_shows_its_thresholds_and_which_are_reached(gateway: Visitor, key: str) -> None:
    path = "/v1/admin/accounts/acme"
    found = (await gateway.call("GET", path, gateway.admin)).body
    assert found["alerts"] == {"thresholds": [0.2, 0], "reached": []}
    await gateway.subscribe()
    set_ = await gateway.call("PUT", ALERTS, gateway.admin, {"thresholds": [0.005, 0.99, 0.99]})
    assert set_.body["alerts"] == {"thresholds": [0.99, 0.005], "reached": []}
    for _ in range(6):
        await gateway.finished(key, outputs=4)
    found = (await gateway.call("GET", path, gateway.admin)).body
    assert found["alerts"]["reached"] == []
    await gateway.made(key, model="gallery", settings={"resolution": "2K"})
    entries = (await gateway.call("GET", "/v1/journal", key)).body["data"]
    assert entries[0]["kind"] == "alert"
    assert entries[0]["reason"] == "99 % of 3000 reached, 2906.5 left"
    assert (entries[0]["credits"], entries[0]["held"], entries[0]["buckets"]) == (0, 0, {})
    assert (await gateway.call("PUT", ALERTS, gateway.admin, {"thresholds": []})).body["alerts"]["thresholds"] == []


@cases(
    ("thresholds", "field"),
    [
        ([1.001], "thresholds.0"),
        ([0.2, -0.1], "thresholds.1"),
        ([0.2001], "thresholds.0"),
        (["20 %"], "thresholds.0"),
        ([True], "thresholds.0"),
        ([0.1] * 11, "thresholds"),
        (0.2, "thresholds"),
        (None, "thresholds"),
    ],
)
async def test_what_is_no_threshold_is_refused_by_its_place(gateway: Visitor, thresholds: Any, field: str) -> None:
    await gateway.account()
    reply = await gateway.call("PUT", ALERTS, gateway.admin, {"thresholds": thresholds})
    assert (reply.status, reply.code, reply.fields) == (422, "invalid_request", [field])


async def test_an_account_reads_and_sets_its_own(gateway: Visitor, key: str) -> None:
    own = (await gateway.call("GET", "/v1/alerts", key)).body
    assert own == {"thresholds": [0.2, 0], "reached": [], "of": None, "available": 100}
    await gateway.subscribe()
    set_ = await gateway.call("PUT", "/v1/alerts", key, {"thresholds": [1, 0.005]})
    assert set_.body == {"thresholds": [1, 0.005], "reached": [], "of": 3000, "available": 3100}
    assert (await gateway.call("GET", "/v1/alerts?account=acme", gateway.admin)).body == set_.body
    assert (await gateway.call("GET", "/v1/admin/accounts/acme", gateway.admin)).body["alerts"]["thresholds"] == [
        1,
        0.005,
    ]
    wrong = await gateway.call("PUT", "/v1/alerts", key, {"thresholds": [20]})
    assert (wrong.code, wrong.fields) == ("invalid_request", ["thresholds.0"])


async def test_a_member_reads_them_and_an_admins_change_is_in_the_audit_log(gateway: Visitor) -> None:
    await gateway.account()
    keys = {role: (await member_key(gateway, role)) for role in ("owner", "admin", "member")}
    assert (await gateway.call("GET", "/v1/alerts", keys["member"])).status == 200
    refused = await gateway.call("PUT", "/v1/alerts", keys["member"], {"thresholds": []})
    assert (refused.status, refused.code) == (403, "forbidden")
    assert (await gateway.call("PUT", "/v1/alerts", keys["admin"], {"thresholds": [0.5]})).status == 200
    entry = (await gateway.call("GET", "/v1/admin/audit-log?action=changeAlerts", gateway.admin)).body["data"][0]
    assert entry["before"] == {"alerts.thresholds": [0.2, 0]}
    assert entry["after"] == {"alerts.thresholds": [0.5]}


async def member_key(gateway: Visitor, role: str) -> str:
    path = "/v1/admin/accounts/acme"
    member = (await gateway.call("POST", f"{path}/members", gateway.admin, {"name": role, "role": role})).body["id"]
    key: str = (await gateway.call("POST", f"{path}/keys", gateway.admin, {"member": member})).body["key"]
    return key
