"""No process ever logs a key, a prompt or a secret: everything goes wrong once, then the whole log is read."""

from __future__ import annotations

import base64
import http.client
import json
import os
import secrets
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import redis

from gateway.domain import partition_of_generation
from gateway.ledger import keys
from tests.payments import stripe_shapes
from tests.redis_servers import RedisServer
from tests.whole.everything import Up, started, until

PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n" + secrets.token_bytes(60)).decode()
TRANSITIONS = {"reserve", "begin", "deliver", "settle", "cancel", "rescue", "put_account", "add_key"}


def _word(what: str) -> str:
    """Text that is in the log only if somebody logged it."""
    return f"{what}-{secrets.token_hex(12)}"


@dataclass(frozen=True)
class Secrets:
    """What must never be logged, by what it is; `now` adds what is known only later."""

    of: dict[str, str] = field(
        default_factory=lambda: {
            "admin key": f"fbx_{secrets.token_urlsafe(32)}",
            "guessed key": f"fbx_{secrets.token_urlsafe(32)}",
            "odd key": _word("notourkey"),
            "Redis password": _word("redispass"),
            "Stripe key": f"sk_live_{secrets.token_hex(16)}",
            "webhook secret": f"whsec_{secrets.token_hex(16)}",
            "prompt": _word("prompt"),
            "metadata": _word("metadata"),
            "metadata name": _word("name"),
            "input": PICTURE,
            "input link": _word("inputtoken"),
            "idempotency key": _word("once"),
            "receiver": _word("receivertoken"),
            "receiver of one": _word("receivertoken"),
            "email": f"{_word('ada')}@example.com",
            "payer": "ann@example.com",
        }
    )

    def __getitem__(self, name: str) -> str:
        return self.of[name]

    def now(self, name: str, value: str) -> str:
        """One more."""
        assert len(value) > 8
        self.of[name] = value
        return value


@pytest.fixture
def hidden() -> Secrets:
    return Secrets()


@pytest.fixture(params=["console", pytest.param("json", marks=pytest.mark.long)])
def up(request: pytest.FixtureRequest, tmp_path: Path, own_redis: RedisServer, hidden: Secrets) -> Iterator[Up]:
    """Every process at its most talkative, on a Redis that asks for a password, selling by Stripe."""
    with own_redis.client() as client:
        client.config_set("requirepass", hidden["Redis password"])
    settings = {
        "FAREBOX_LEDGER_URL": f"redis://:{hidden['Redis password']}@127.0.0.1:{own_redis.port}/0",
        "FAREBOX_ADMIN_KEY": hidden["admin key"],
        "FAREBOX_TEST_MODE": "1",
        "FAREBOX_PAYMENTS": "stripe",
        "FAREBOX_STRIPE_KEY": hidden["Stripe key"],
        "FAREBOX_STRIPE_WEBHOOK_SECRET": hidden["webhook secret"],
        "FAREBOX_LOG_FORMAT": request.param,
        "FAREBOX_LOG_LEVEL": "debug",
        "FAREBOX_LEASE_SECONDS": "2",  # of the worker that is killed, which nobody waits half a minute for
    }
    with started(tmp_path, says="Farebox is up at", **settings) as running:
        yield running


def test_no_log_of_any_process_shows_a_key_a_prompt_or_a_secret(
    up: Up, own_redis: RedisServer, hidden: Secrets
) -> None:
    admin = hidden["admin key"]
    up.call("PUT", "/v1/admin/accounts/ada", admin, {"email": hidden["email"]})
    key = hidden.now("account key", up.call("POST", "/v1/admin/accounts/ada/keys", admin, {})["key"])
    hidden.now("ops key", up.call("POST", "/v1/admin/keys", admin, {"scope": "ops"})["key"])
    hidden.now("signing key", (up.data / "signing-key").read_text().strip())
    _listen(up, key, hidden)
    _generate(up, key, hidden)
    _knock(up, key, hidden)
    _sell(up, hidden)
    _break_one(up, own_redis, key, hidden)
    own_redis.kill()
    for method, path, body in (
        ("GET", "/v1/balance", None),
        ("POST", "/v1/generations", _asked(hidden)),
        ("GET", "/readyz", None),
    ):
        assert _status(up, method, path, key, body) == 503
    until(lambda: up.log.count("ledger_unavailable") > 1 and "queue_unavailable" in up.log)
    up.stop()
    log = up.log
    assert {name for name in TRANSITIONS if not _told(log, name)} == set()
    assert "sign-in#" not in log, "a log is no terminal: the operator's link is not for it"
    assert "Traceback" in log, "an error with its traceback is one of the things that are looked at"
    assert {what for what, secret in hidden.of.items() if secret in log} == set()


def _asked(hidden: Secrets, **more: Any) -> dict[str, Any]:
    """A request that is full of secrets."""
    return {
        "tool": "image",
        "model": "flux-dev",
        "prompt": f"a fox who says {hidden['prompt']}",
        "metadata": {hidden["metadata name"]: {"password": hidden["metadata"]}},
        **more,
    }


def _listen(up: Up, key: str, hidden: Secrets) -> None:
    """Webhooks whose addresses have a token in them, and that nobody can reach."""
    for who, events in ((key, ["generation.succeeded"]), (hidden["admin key"], ["generation.failed"])):
        url = f"https://receiver.invalid/{hidden['receiver']}?token={hidden['receiver']}"
        made = up.call("POST", "/v1/webhooks", who, {"url": url, "events": events})
        hidden.now(f"{made['id']}'s secret", made["secret"])
        hidden.now(
            f"{made['id']}'s secret after it", up.call("POST", f"/v1/webhooks/{made['id']}/rotate", who)["secret"]
        )
    one = f"https://receiver.invalid/?token={hidden['receiver of one']}"
    up.call("POST", "/v1/generations", key, _asked(hidden, webhook_url=one))
    until(lambda: '"webhook_tried"' in up.log or "webhook_tried " in up.log)


def _generate(up: Up, key: str, hidden: Secrets) -> None:
    """A success that is downloaded, a failure, a retry, a worker's bug, a worker's death, a cancel."""
    inputs = [
        {"kind": "image", "url": f"data:image/png;base64,{PICTURE}"},
        {"kind": "image", "url": f"https://example.com/cat.png?token={hidden['input link']}"},
    ]
    editing = _asked(hidden, model="nano-banana", inputs=inputs)
    quote = hidden.now("quote", up.call("POST", "/v1/quotes", key, editing)["quote"])
    made = [up.call("POST", "/v1/generations", key, editing | {"quote": quote})["id"]]
    made += [
        up.call("POST", "/v1/generations", key, _asked(hidden, sandbox=sandbox))["id"]
        for sandbox in ({"fail": "moderated"}, {"fail": "provider_failed", "fail_attempts": 1}, {"fail": "internal"})
    ]
    slow = up.call("POST", "/v1/generations", key, _asked(hidden, sandbox={"delay_seconds": 300}))["id"]
    until(lambda: up.call("GET", f"/v1/generations/{slow}", key)["status"] == "running")
    os.kill(up.child("gateway worker image"), signal.SIGKILL)
    until(lambda: up.call("GET", f"/v1/generations/{slow}", key)["attempt"] > 1)
    up.call("POST", f"/v1/generations/{slow}/cancel", key)
    for one in (*made, slow):
        ended = until(lambda: (found := up.call("GET", f"/v1/generations/{one}", key))["finished_at"] and found)  # noqa: B023
        for output in ended["outputs"]:
            hidden.now("signature", parse_qs(urlsplit(output["url"]).query)["signature"][0])
            assert urllib.request.urlopen(output["url"], timeout=60).status == 200


def _knock(up: Up, key: str, hidden: Secrets) -> None:
    """Keys and prompts where they do not belong, and heads that cannot be read."""
    tries: list[tuple[str, str, str, Any, int]] = [
        ("GET", "/v1/balance", hidden["guessed key"], None, 401),
        ("GET", "/v1/balance", hidden["odd key"], None, 401),
        (
            "GET",
            f"/v1/balance?{urlencode({'api_key': key, 'key': key, 'token': key, 'x': hidden['odd key']})}",
            "",
            None,
            401,
        ),
        ("GET", f"/v1/journal?before={key}", key, None, 422),
        ("GET", f"/v1/generations/{key}", key, None, 404),
        ("GET", f"/{key}/{hidden['odd key']}", "", None, 404),
        ("DELETE", f"/v1/admin/keys/{key}", hidden["admin key"], None, 404),
        ("POST", "/v1/generations", key, _asked(hidden, model=hidden["odd key"]), 422),
        ("POST", "/v1/generations", key, _asked(hidden, api_key=key), 422),
        ("POST", "/v1/generations", key, _asked(hidden, quote=hidden["quote"]), 422),
        ("POST", "/v1/generations", key, _asked(hidden, max_credits=1), 409),
        ("GET", f"/v1/admin/accounts?email={hidden['email']}", hidden["admin key"], None, 200),
    ]
    for method, path, with_key, body, status in tries:
        assert _status(up, method, path, with_key, body) == status, (method, status)
    once = {"Idempotency-Key": hidden["idempotency key"]}
    for body in (_asked(hidden), _asked(hidden, outputs=2)):
        _status(up, "POST", "/v1/generations", key, body, headers=once)
    host, port = urlsplit(up.address).hostname, urlsplit(up.address).port
    for head in (
        f"GET /{key} HTTP/9.9",
        f"{key} / HTTP/1.1",
        f"GET / HTTP/1.1\r\nAuthorization {key}",
        f"GET / HTTP/1.1\r\nHost: {key}\r\nX: \0",
    ):
        with socket.create_connection((host, port), timeout=60) as connection:
            connection.sendall(f"{head}\r\n\r\n".encode())
            connection.recv(4096)
    link = up.call("POST", "/v1/sign-in-links", key)["url"]
    hidden.now("sign-in link", link.rpartition("=")[2].rpartition("#")[2].rpartition("/")[2])
    _status(up, "POST", "/v1/generations", key, None, raw=f'{{"prompt": "{hidden["prompt"]}",'.encode())


def _sell(up: Up, hidden: Secrets) -> None:
    """What Stripe sends, and what somebody else does. Nothing is asked of Stripe, who is not to be had here."""
    event = stripe_shapes.event_of(
        "charge.refunded", {"metadata": {"farebox_account": "ada"}, "email": hidden["payer"]}, 1
    )
    for event_ in (event, event | {"data": None}):
        body, headers = stripe_shapes.signed(event_, hidden["webhook secret"])
        _status(up, "POST", "/v1/payments/stripe/webhook", "", headers=headers, raw=body)
    hidden.now("webhook signature", headers["Stripe-Signature"].rpartition("v1=")[2])
    _status(up, "POST", "/v1/payments/stripe/webhook", "", headers={"Stripe-Signature": "t=1,v1=no"}, raw=body)


def _break_one(up: Up, server: RedisServer, key: str, hidden: Secrets) -> None:
    """A generation whose record is torn: whoever reads it fails, with a traceback in the log."""
    one = up.call("POST", "/v1/generations", key, _asked(hidden, sandbox={"delay_seconds": 300}))["id"]
    with redis.Redis(port=server.port, password=hidden["Redis password"]) as client:
        torn = f'{{"prompt": "{hidden["prompt"]}", "metadata": '
        client.hset(keys.generation(partition_of_generation(one), one), "request", torn)
    assert _status(up, "GET", f"/v1/generations/{one}", key) == 500


def _status(
    up: Up,
    method: str,
    path: str,
    key: str,
    body: Any = None,
    *,
    headers: dict[str, str] | None = None,
    raw: bytes | None = None,
) -> int:
    """The status of any request, with `Authorization` if there is a key."""
    sent = dict(headers or {}) | ({"Authorization": f"Bearer {key}"} if key else {})
    connection = http.client.HTTPConnection(urlsplit(up.address).netloc, timeout=30)
    try:
        connection.request(method, path, raw if body is None else json.dumps(body), sent)
        return connection.getresponse().status
    finally:
        connection.close()


def _told(log: str, transition: str) -> bool:
    """Whether some line tells of the transition, in either format, with how long it took."""
    return any(
        ("duration_ms=" in line and f"transition={transition} " in f"{line} ")
        or ('"duration_ms"' in line and f'"transition":"{transition}"' in line)
        for line in log.splitlines()
    )
