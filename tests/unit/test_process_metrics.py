"""One page for the metrics of all processes of `farebox up`: what each says is on it, and nobody can hold it up."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from gateway import process_metrics
from gateway.process_metrics import ProcessMetrics, serve, together
from gateway.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path)


@pytest.fixture(autouse=True)
def as_the_gateway_has_it() -> None:
    disable_created_metrics()  # type: ignore[no-untyped-call]


def _registry(jobs: int) -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("farebox_jobs", "Jobs that were made.", ["tool"], registry=registry).labels("image").inc(jobs)
    Gauge("farebox_store_up", "1 while the store answers.", registry=registry).set(1)
    return registry


def _said(jobs: int) -> list[Metric]:
    return list(text_string_to_metric_families(generate_latest(_registry(jobs)).decode()))


class _Collected:
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def _page(families: list[Metric]) -> str:
    registry = CollectorRegistry()
    registry.register(_Collected(families))
    return generate_latest(registry).decode()


@asynccontextmanager
async def _process(settings: Settings, name: str, says: bytes, *, end: bytes = b"# EOF\n") -> AsyncIterator[None]:
    """A process of this name, which says this to whoever connects."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(says + end)
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(answer, settings.socket(f"{name}.sock"))
    async with server:
        yield


def test_each_name_is_described_once_and_each_sample_says_its_process() -> None:
    page = _page(
        together(_registry(1).collect(), {"worker-image": _said(2), "caretaker": _said(0), "worker-video": None})
    )
    lines = page.splitlines()
    heads = [line for line in lines if line.startswith("# ")]
    assert sorted(heads) == sorted(set(heads))
    samples = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}
    assert {name: value for name, value in samples.items() if "_total" in name} == {
        'farebox_jobs_total{process="gateway",tool="image"}': 1,
        'farebox_jobs_total{process="worker-image",tool="image"}': 2,
        'farebox_jobs_total{process="caretaker",tool="image"}': 0,
    }
    assert {name: value for name, value in samples.items() if "process_up" in name} == {
        'farebox_process_up{process="gateway"}': 1,
        'farebox_process_up{process="worker-image"}': 1,
        'farebox_process_up{process="caretaker"}': 1,
        'farebox_process_up{process="worker-video"}': 0,
    }


async def test_what_a_process_serves_is_read(settings: Settings) -> None:
    serve(settings, "worker-image")
    read = await ProcessMetrics(settings, lambda: ["image"]).read()
    assert "process_resident_memory_bytes" in {family.name for family in read["worker-image"] or ()}


async def test_a_socket_that_a_dead_process_left_is_taken_over(settings: Settings) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(settings.socket("caretaker.sock")))
    left.close()
    metrics = ProcessMetrics(settings, list)
    assert await metrics.read() == {"caretaker": None}
    serve(settings, "caretaker")
    assert (await metrics.read())["caretaker"]


def test_a_process_that_cannot_serve_its_metrics_works_without_them(settings: Settings) -> None:
    settings.socket("caretaker.sock").mkdir()
    serve(settings, "caretaker")


async def test_a_process_that_does_not_answer_is_left_out(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is stopped accepts connections, and says nothing."""
    monkeypatch.setattr(process_metrics, "_ANSWER_SECONDS", 0.2)
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(settings.socket("worker-image.sock")))
        mute.listen()
        async with _process(settings, "caretaker", generate_latest(_registry(3))):
            read = await ProcessMetrics(settings, lambda: ["image"]).read()
    assert read["worker-image"] is None
    assert read["caretaker"]


@pytest.mark.parametrize("says", [b"farebox_jobs_total{ 1\n", b"\xff\xfe 1\n", b"# nothing\n" * 100])
async def test_an_answer_that_is_none_is_left_out(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, says: bytes
) -> None:
    monkeypatch.setattr(process_metrics, "_ANSWER_BYTES_MAX", 500)
    async with _process(settings, "caretaker", says):
        assert await ProcessMetrics(settings, list).read() == {"caretaker": None}


@pytest.mark.parametrize("came", [b"", b"farebox_jobs_total 12"])
async def test_of_an_answer_that_was_cut_off_nothing_is_shown(settings: Settings, came: bytes) -> None:
    """The process was killed while it wrote, or could not collect: 12 may be the beginning of 120."""
    async with _process(settings, "caretaker", came, end=b""):
        assert await ProcessMetrics(settings, list).read() == {"caretaker": None}


async def test_the_socket_of_another_user_is_not_read(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that would be too long is replaced by one in the temporary folder, where anyone may make one."""
    async with _process(settings, "caretaker", generate_latest(_registry(1))):
        assert (await ProcessMetrics(settings, list).read())["caretaker"]
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        assert (await ProcessMetrics(settings, list).read())["caretaker"] is None


async def test_the_worker_of_a_tool_that_was_withdrawn_is_shown_until_it_ends(settings: Settings) -> None:
    tools = ["image"]
    metrics = ProcessMetrics(settings, lambda: tools)
    async with _process(settings, "worker-image", generate_latest(_registry(1))):
        assert (await metrics.read())["worker-image"]
        tools.clear()
        assert (await metrics.read())["worker-image"]
    assert await metrics.read() == {"caretaker": None}


def test_the_page_on_running_says_where_the_metrics_are() -> None:
    page = (Path(__file__).parents[2] / "docs" / "running.md").read_text()
    names = {family.name for family in together([], {})}
    assert names == {"farebox_process_up"}
    for said in (*names, "PROCESS_METRICS_MISSING", "label `process`"):
        assert said in page
