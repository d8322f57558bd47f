"""From a client's call to its provider: one trace, seen by a collector and a provider of the test's own."""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from aiohttp import ClientError, ClientSession, web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway import tracing
from gateway.domain import GenerationRequest
from gateway.ledger.generation_records import encode_request
from tests.free_ports import free_port
from tests.made_media import picture
from tests.preforked import Forked
from tests.until import until

CARD = Path(__file__).parents[1] / "api" / "card.toml"
PROMPT = "a lighthouse that no span may name"
CLIENT_SPAN = "00f067aa0ba902b7"
SPANS = {"POST /v1/generations", "reserve", "wait", "begin", "attempt", "submit", "look", "store", "settle"}
METRICS = {"farebox-gateway": "farebox_http_request_seconds", "farebox-worker-image": "farebox_attempt_seconds"}


@dataclass
class Outside:
    """A collector and a provider. `spans` by name; `metrics` by service; `asked` has the provider's `traceparent`s."""

    spans: dict[str, list[Span]] = field(default_factory=lambda: defaultdict(list))
    metrics: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    asked: list[tuple[str, str]] = field(default_factory=list)
    received: bytes = b""
    looks: int = 0

    async def traces(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.received += body
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scoped in of_resource.scope_spans:
                for span in scoped.spans:
                    self.spans[span.name].append(span)
        return web.Response()

    async def figures(self, request: web.Request) -> web.Response:
        for of_resource in ExportMetricsServiceRequest.FromString(await request.read()).resource_metrics:
            told = {one.key: one.value.string_value for one in of_resource.resource.attributes}
            service = told["service.name"]
            self.metrics[service] |= {metric.name for scoped in of_resource.scope_metrics for metric in scoped.metrics}
        return web.Response()

    def has_figures(self) -> bool:
        return all(METRICS[service] in self.metrics[service] for service in METRICS)

    async def submit(self, request: web.Request) -> web.Response:
        self.asked.append(("submit", request.headers.get("traceparent", "")))
        return web.json_response({"id": "job-1"})

    async def look(self, request: web.Request) -> web.Response:
        self.asked.append(("look", request.headers.get("traceparent", "")))
        self.looks += 1
        if self.looks == 1:
            return web.json_response({"status": "running"})
        made = base64.b64encode(picture("PNG")).decode()
        return web.json_response({"status": "succeeded", "outputs": [{"b64": made}]})


@asynccontextmanager
async def served(outside: Outside) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/v1/traces", outside.traces)
    app.router.add_post("/v1/metrics", outside.figures)
    app.router.add_post("/gpu/jobs", outside.submit)
    app.router.add_get("/gpu/jobs/job-1", outside.look)
    runner, port = web.AppRunner(app), free_port()
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def make_one(address: str, admin: str, traceparent: str) -> None:
    """Order a picture and wait until it has succeeded."""
    async with ClientSession(address) as client:

        async def call(method: str, path: str, key: str, body: object = None, **headers: str) -> dict[str, str]:
            headers |= {"Authorization": f"Bearer {key}"}
            async with client.request(method, path, json=body, headers=headers) as response:
                assert response.status < 300, await response.text()
                answer: dict[str, str] = await response.json()
                return answer

        async def is_up() -> bool:
            try:
                async with client.get("/readyz") as response:
                    return response.status == 200
            except ClientError:
                return False

        await until(is_up)
        async with client.get("/v1/balance", headers={"traceparent": traceparent}) as refused:
            assert refused.status == 401
        await call("PUT", "/v1/admin/accounts/acme", admin, {})
        key = (await call("POST", "/v1/admin/accounts/acme/keys", admin, {}))["key"]
        asked = {"tool": "image", "model": "traced", "prompt": PROMPT}
        made = await call("POST", "/v1/generations", key, asked, traceparent=traceparent)

        async def has_succeeded() -> bool:
            return (await call("GET", f"/v1/generations/{made['id']}", key))["status"] == "succeeded"

        await until(has_succeeded)


async def test_one_trace_from_the_clients_call_to_the_provider(redis_url: str, tmp_path: Path) -> None:
    outside, trace, admin = Outside(), secrets.token_hex(16), secrets.token_urlsafe(32)
    async with served(outside) as address:
        card, port = tmp_path / "pricing.toml", free_port()
        card.write_text(
            f'{CARD.read_text()}\n[providers.gpu]\nkind = "http"\nbase_url = "{address}/gpu"\n[models.traced]\n'
            'name = "Traced"\ntool = "image"\nprovider = "gpu"\n[[models.traced.rates]]\ncredits = 1\n'
        )
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("FAREBOX_", "OTEL_"))}
        environment |= {
            "FAREBOX_DATA": str(tmp_path / "data"),
            "FAREBOX_PORT": str(port),
            "FAREBOX_LEDGER_URL": redis_url,
            "FAREBOX_RATE_CARD": str(card),
            "FAREBOX_ADMIN_KEY": admin,
            "OTEL_EXPORTER_OTLP_ENDPOINT": address,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_METRIC_EXPORT_INTERVAL": "200",
        }
        worker = Forked.start("worker", ["image"], environment, tmp_path / "worker.log")
        with (tmp_path / "gateway.log").open("wb") as log:
            gateway = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway", "gateway", env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            await make_one(f"http://127.0.0.1:{port}", admin, f"00-{trace}-{CLIENT_SPAN}-01")
            await until(lambda: set(outside.spans) >= SPANS and outside.has_figures())
        finally:
            worker.kill()
            gateway.kill()
            await gateway.wait()
    assert PROMPT.encode() not in outside.received

    mine = {
        span.span_id.hex(): span for spans in outside.spans.values() for span in spans if span.trace_id.hex() == trace
    }
    assert {span.name for span in mine.values()} >= SPANS
    assert {span.parent_span_id.hex() for span in mine.values()} <= {*mine, CLIENT_SPAN}
    assert [name for name, _ in outside.asked] == ["submit", "look", "look"]
    (refused,) = [span for span in mine.values() if span.name == "GET /v1/balance"]
    assert refused.status.code == 0  # the client's mistake is no error of the gateway
    for name, header in outside.asked:
        _, found, parent, _ = header.split("-")
        assert (found, mine[parent].name) == (trace, name)


def test_without_a_collector_nothing_of_opentelemetry_is_loaded() -> None:
    assert not tracing.is_on()
    with tracing.span("submit") as nothing:
        assert nothing is None
    assert tracing.headers() == {}
    loads = "import sys, gateway.serving, workers.commands; print([x for x in sys.modules if 'opentelemetry' in x])"
    answer = subprocess.run([sys.executable, "-c", loads], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_a_request_that_was_stored_before_there_were_traces_has_none() -> None:
    request = GenerationRequest(
        tool="image", model="sketch", provider="sandbox", prompt="a", outputs=1, price_millicredits=1, rate_card="x"
    )
    assert "trace" not in encode_request(request)
    assert '"trace":"00-1"' in encode_request(replace(request, trace="00-1"))
