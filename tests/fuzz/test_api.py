"""Every call of the API against everything that its description allows, and much that it does not.

`pytest -s tests/fuzz/test_api.py` prints the table; LONG=1 before it makes 42 examples of each call, FUZZ_EXAMPLES=1000
so many.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import string
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.api.routes import ROUTES
from gateway.domain import FailureCode
from tests.api.visitor import Visitor, open_gateway
from tests.fuzz.report import Report, read_report
from tests.lengths import LONG

HERE = Path(__file__).parent
EXAMPLES, CASES_MIN = (42, 3000) if LONG else (3, 2500)
SPARES = 4
KEYS = ("account_keys", "rotated_keys", "keys_of_owner", "rotated_by_owner")  # a call that ends them has its own
CHECKS = {
    "allow_header_conformance",
    "content_type_conformance",
    "ensure_resource_availability",
    "ignored_auth",
    "missing_required_header",
    "negative_data_rejection",
    "not_a_server_error",
    "object_level_authorization",
    "positive_data_acceptance",
    "response_headers_conformance",
    "response_schema_conformance",
    "status_code_conformance",
    "unsupported_method",
    "use_after_free",
}
NEVER_WELL = {
    # Its keys are no workers', whose calls tests/workers/test_remote.py makes.
    "POST /v1/worker/calls/{call}",
    "GET /v1/worker/checks",
    "PUT /v1/worker/objects/{object}",
    "GET /v1/worker/objects/{object}",
    "POST /v1/payments/stripe/webhook",  # this gateway takes no Stripe; tests/fuzz/test_webhook.py does
    "POST /v1/callbacks/{provider}/{token}",  # it has no provider that calls; tests/api/test_callbacks.py does
    # It has no payment event that waits; tests/payments/test_unapplied.py has.
    "POST /v1/ops/payment-events/{event}/retry",
    "DELETE /v1/ops/payment-events/{event}",
}


@pytest.fixture
async def stocked(redis_url: str, tmp_path: Path) -> AsyncIterator[tuple[Visitor, dict[str, str]]]:
    """A gateway with the default card, and an account that has a bit of everything: what the configuration names."""
    shutil.copy(HERE.parents[1] / "pricing.toml", tmp_path)
    # No worker runs: what nobody makes is accepted for ten minutes, and a busy machine may take longer.
    async with open_gateway(redis_url, tmp_path, accept_without_worker_seconds=86_400) as gateway:
        key = await gateway.owner()
        await gateway.account("spare")
        await gateway.account("erased")
        await gateway.grant(1_000_000)
        await gateway.subscribe("ultimate")
        webhooks = [await _webhook(gateway, key) for _ in range(SPARES)]
        one_of_its_own = "https://example.com/one"
        finished = await gateway.finished(key, model="flux-dev", outputs=2, webhook_url=one_of_its_own)
        told = (await gateway.call("GET", "/v1/webhooks/default/deliveries", key)).body["data"]
        begun = await gateway.made(key, model="flux-dev")
        await gateway.begin(begun)
        queued = await gateway.made(key, model="flux-dev")
        failed = [await _failed(gateway, key) for _ in range(SPARES)]
        bought = (await gateway.call("POST", "/v1/top-ups", key, {"bundle": "small"})).body
        names = {
            "address": gateway.address,
            "hooks": str(HERE / "hooks.py"),
            "account_key": key,
            "handing_key": await gateway.owner("handing"),
            "admin_key": gateway.admin,
            "generations": _listed(finished, begun, queued),
            "failed": _listed(*failed),
            "leaving": _listed(*[await _leaving(gateway, f"leaving-{number}") for number in range(SPARES)]),
            "webhooks": _listed("default", *webhooks),
            "deliveries": _listed(*[delivery["id"] for delivery in told]),
            "checkout": bought["id"],
            "token": parse_qs(urlsplit(bought["checkout_url"]).query)["token"][0],
            **{kind: await _keys(gateway, "accounts/acme/keys", {}) for kind in KEYS},
            "operator_keys": await _keys(gateway, "keys", {"scope": "ops"}),
            "members": _listed(*[await _member(gateway, "acme") for _ in range(SPARES)]),
            "removed_members": _listed(*[await _member(gateway, "acme") for _ in range(2 * SPARES)]),
            "heirs": _listed(*[await _member(gateway, "handing") for _ in range(SPARES)]),
            "heirs_by_admin": _listed(*[await _member(gateway, "spare") for _ in range(SPARES)]),
        }
        yield gateway, names


@pytest.mark.timeout(3600)
async def test_the_api_is_what_it_says_it_is(stocked: tuple[Visitor, dict[str, str]], tmp_path: Path) -> None:
    gateway, names = stocked
    # As a file: schemathesis gives up on an address after ten seconds, and the run's first minute is its busiest.
    (tmp_path / "openapi.json").write_bytes((await gateway.call("GET", "/openapi.json")).raw)
    said, code = await _run(names | {"examples": os.environ.get("FUZZ_EXAMPLES", str(EXAMPLES))}, tmp_path)
    in_force = (await gateway.call("GET", "/v1/balance", names["account_key"])).status == 200
    assert in_force, f"a call ended the key of all others, whose answers then say little:\n{said}"
    assert code == 0, said
    report = read_report(tmp_path / "report.ndjson")
    sys.stdout.write(f"\n{report.table()}\n\n{report.cases:,} cases, {report.checks.total():,} checks\n{said}")
    assert report.cases >= CASES_MIN
    assert set(report.checks) == CHECKS
    assert report.answers.keys() == {f"{route.method} {route.path}" for route in ROUTES}
    assert _never_well(report) == NEVER_WELL


def _never_well(report: Report) -> set[str]:
    """The calls that were never answered with what was asked for: most of what they do was not tried."""
    return {call for call, answers in report.answers.items() if not any(200 <= status < 400 for status in answers)}


async def _run(names: dict[str, str], directory: Path) -> tuple[str, int]:
    """Let schemathesis loose on the gateway; what it said and its exit code."""
    config = directory / "schemathesis.toml"
    config.write_text(string.Template((HERE / "schemathesis.toml").read_text()).substitute(names))
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config), "run"),
        *("--report", "ndjson", "--report-ndjson-path", str(directory / "report.ndjson"), "--no-color"),
        "openapi.json",
        cwd=directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return said.decode(), process.returncode


async def _failed(gateway: Visitor, key: str) -> str:
    """A generation that has failed, which can be retried."""
    generation = await gateway.made(key, model="flux-dev")
    await gateway.begin(generation)
    await gateway.settle(generation, FailureCode.PROVIDER_REJECTED)
    return generation


async def _leaving(gateway: Visitor, name: str) -> str:
    """An account that has cancelled its subscription, which can be taken back."""
    await gateway.account(name)
    await gateway.subscribe("standard", name)
    cancelled = await gateway.call("DELETE", f"/v1/admin/accounts/{name}/subscription", gateway.admin)
    assert cancelled.status == 200, cancelled.raw
    return name


async def _webhook(gateway: Visitor, key: str) -> str:
    body = {"url": "https://receiver.invalid/all", "events": ["credits.low"]}
    return str((await gateway.call("POST", "/v1/webhooks", key, body)).body["id"])


async def _keys(gateway: Visitor, path: str, body: dict[str, str]) -> str:
    made = [await gateway.call("POST", f"/v1/admin/{path}", gateway.admin, body) for _ in range(SPARES)]
    return _listed(*[key.body["id"] for key in made])


async def _member(gateway: Visitor, account: str) -> str:
    made = await gateway.call("POST", f"/v1/admin/accounts/{account}/members", gateway.admin, {"name": "Ada"})
    assert made.status == 201, made.raw
    return str(made.body["id"])


def _listed(*values: str) -> str:
    return ", ".join(map(json.dumps, values))
