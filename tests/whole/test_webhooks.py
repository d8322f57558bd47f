"""`farebox up` tells a backend what becomes of its generations, also with another caretaker than before."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.whole.everything import Up, until


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[tuple[str, dict[str, str]]]]]:
    """A server, and what it was told: bodies with their headers."""
    told: list[tuple[str, dict[str, str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            told.append((body, dict(self.headers)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_backend_gets_its_events_even_after_the_caretaker_was_killed(
    shared_up: Up, receiver: tuple[str, list[tuple[str, dict[str, str]]]]
) -> None:
    url, told = receiver
    up, key = shared_up, shared_up.account("whose-caretaker-is-killed")
    webhook = up.call("POST", "/v1/webhooks", key, {"url": url, "events": ["generation.succeeded"]})
    body = {"tool": "image", "model": "flux-dev", "prompt": "a lighthouse"}
    made = [up.call("POST", "/v1/generations", key, body)["id"]]
    until(lambda: len(told) == 1)
    os.kill(up.child("gateway caretaker"), signal.SIGKILL)
    made.append(up.call("POST", "/v1/generations", key, body)["id"])
    until(lambda: len(told) >= 2)
    events = [Webhook(webhook["secret"]).verify(*one) for one in told]
    assert {event["data"]["id"] for event in events} == set(made)
    assert {event["data"]["outputs"][0]["url"].startswith(up.address) for event in events} == {True}
    path = f"/v1/webhooks/{webhook['id']}/deliveries"
    until(lambda: {one["status"] for one in up.call("GET", path, key)["data"]} == {"delivered"})
