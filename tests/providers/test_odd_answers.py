"""Whatever a provider answers, the worst that comes of it is an error that says so: never `internal`.

Each value of what each vendor answers in a good case is replaced by each odd one, one at a time. What may come of it is
outputs, a pause, or one of the ProviderErrors; any other exception would end the generation as a bug of ours.
"""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.errors import ProviderError
from tests.cases import cases
from tests.made_media import picture
from tests.providers.requests import asked
from tests.providers.wild import serving
from workers.providers import Connection, Pending, ProgressReport, Provider, ProviderRequest, make_provider
from workers.providers.comfyui.messages import JobProgress, read
from workers.providers.values import document_in

PICTURE = picture()
IN_BASE64 = base64.b64encode(PICTURE).decode()
DEEP = "[" * 200 + "]" * 200
COMFY_JOB = "b1e5e7b6-6a0b-5a52-8a8b-0d8e6f1f2a3c"

# As JSON: Python's writer and reader know most of them, and a provider's need not.
ODD = [
    *("NaN", "Infinity", "-Infinity", "-1", "0", "-0.0", "1e999", "1.5", "50", str(10**30), "9" * 5_000, "true"),
    *("null", '""', '"0.5"', '"\\ud800"', '"a\\u0000b\\r\\nc"', "[]", "[null]", "{}", '{"url": {}}', DEEP),
    *('"//x"', '"blob:x"', '"http://[x"', '"data:"', '"data:image/png;base64,"', '"/\\ud800.png"', '"\\u0661"'),
    f'"{"x" * 5_000}"',
]


@dataclass(frozen=True)
class Vendor:
    """What a kind of provider answers by the first of these that its path has in it; `ref` None: there are no jobs."""

    kind: str
    answers: dict[str, Any]
    provider_model: str = "acme/model"
    ref: str | None = "job-1"
    arguments: dict[str, Any] = field(default_factory=dict)


STATUS = {"status": "IN_PROGRESS", "request_id": "job-1", "logs": [{"message": " 50%|##| 1/2 [00:01]"}], "error": None}
VENDORS = [
    Vendor(
        "http",
        {
            "/jobs/": {
                "status": "running",
                "progress": 0.5,
                "outputs": [{"url": "/made.png", "content_type": "image/png"}],
            },
            "/jobs": {"id": "job-1"},
        },
    ),
    Vendor(
        "http", {"/jobs/": {"status": "failed", "error": {"code": "moderated", "message": "no"}}, "/jobs": {"id": 7}}
    ),
    Vendor("fal", {"/status": STATUS, "/requests/job-1": {}, "/acme/model": {"request_id": "job-1"}}),
    Vendor(
        "fal",
        {
            "/status": {"status": "COMPLETED", "logs": None},
            "/requests/job-1": {
                "images": [{"url": "made.png", "content_type": "image/png"}],
                "video": {"url": "made.png"},
                "has_nsfw_concepts": [False],
                "seed": 1,
            },
        },
    ),
    Vendor("fal", {"/status": {"status": "FAILED", "detail": [{"type": "x", "msg": "y"}]}, "/requests/job-1": {}}),
    Vendor(
        "replicate",
        {
            "/cancel": {},
            "/predictions/": {"id": "job-1", "status": "succeeded", "output": ["/made.png"], "logs": "", "error": None},
            "/predictions": {"id": "job-1", "status": "starting", "urls": {"get": "x"}},
        },
    ),
    Vendor("replicate", {"/predictions/": {"status": "failed", "error": {"detail": "boom", "code": "E1"}}}),
    Vendor("openai", {"/images": {"created": 1, "data": [{"b64_json": IN_BASE64, "url": None}]}}, ref=None),
    Vendor("openai", {"/images": {"data": [{"url": "/made.png"}]}}, ref=None),
    Vendor("openai", {"/images": {"error": {"code": "x", "type": "y", "message": "z", "param": None}}}, ref=None),
    Vendor(
        "comfyui",
        {
            "/history": {
                COMFY_JOB: {
                    "status": {"status_str": "success", "messages": [["execution_success", {"prompt_id": "x"}]]},
                    "outputs": {"9": {"images": [{"filename": "made.png", "subfolder": "", "type": "output"}]}},
                }
            },
            "/queue": {"queue_running": [[1, COMFY_JOB, {}]], "queue_pending": []},
            "/prompt": {"prompt_id": COMFY_JOB, "number": 1, "node_errors": {}},
        },
        provider_model="flow.json",
        ref=COMFY_JOB,
    ),
    Vendor(
        "comfyui",
        {
            "/history": {
                COMFY_JOB: {
                    "status": {
                        "status_str": "error",
                        "messages": [
                            ["execution_error", {"node_type": "K", "exception_message": "m", "exception_type": "a.B"}]
                        ],
                    }
                }
            },
            "/queue": {"queue_running": [], "queue_pending": []},
        },
        provider_model="flow.json",
        ref=COMFY_JOB,
    ),
]


def places(value: Any, *way: str | int) -> Iterator[tuple[str | int, ...]]:
    """The way to each value in a document, itself included."""
    yield way
    for key, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(each, *way, key)


def replaced(document: Any, way: tuple[str | int, ...], odd: str) -> str:
    """The document as JSON, with what is at the end of the way replaced."""
    if not way:
        return odd
    changed = copy.deepcopy(document)
    inner = changed
    for key in way[:-1]:
        inner = inner[key]
    inner[way[-1]] = "@odd@"
    return json.dumps(changed).replace('"@odd@"', odd, 1)


async def use(provider: Provider, vendor: Vendor) -> None:
    """Submit, look until something comes or it pauses, and stop; ProviderErrors are what may be said."""
    request = asked(provider_model=vendor.provider_model)
    acts: list[Callable[[], Awaitable[object]]] = [
        lambda: provider.submit(request),
        lambda: looked(provider, vendor, request),
        lambda: provider.cancel(vendor.ref or "", vendor.provider_model),
    ]
    for act in acts:
        try:
            await act()
        except ProviderError as error:
            error.detail.encode()  # it is logged


async def looked(provider: Provider, vendor: Vendor, request: ProviderRequest) -> None:
    async with aclosing(provider.results(vendor.ref, request)) as results:
        async for result in results:
            if isinstance(result, Pending):
                assert result.fraction is None or 0 <= result.fraction <= 1
                return


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: f"{vendor.kind}-{VENDORS.index(vendor)}")
async def test_no_odd_value_anywhere_is_more_than_the_providers_error(
    vendor: Vendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.providers.openai_images._FETCH_PAUSES_SECONDS", ())
    (tmp_path / "flow.json").write_text('{"1": {"class_type": "Text", "inputs": {"text": "{{prompt}}"}}}')
    texts: dict[str, str] = {}

    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith(".png") or request.path == "/view":
            return web.Response(body=PICTURE)
        if request.path == "/ws":
            return web.Response(status=404)
        text = next((text for part, text in texts.items() if part in request.path), "{}")
        return web.Response(text=text, content_type="application/json")

    good = {part: json.dumps(document) for part, document in vendor.answers.items()}
    async with serving(answer) as wild:
        provider = make_provider(vendor.kind, Connection(name="box", base_url=wild.url, folder=tmp_path))
        for part, document in vendor.answers.items():
            for way in places(document):
                for odd in ODD:
                    texts = good | {part: replaced(document, way, odd)}
                    try:
                        await use(provider, vendor)
                    except (
                        ArithmeticError,
                        AttributeError,
                        LookupError,
                        TypeError,
                        ValueError,
                        RecursionError,
                    ) as broke:
                        pytest.fail(f"{odd[:40]} at {part} {way}: {broke!r}")
        await provider.close()


@cases("odd", [float("nan"), float("inf"), -0.5, 50, 10**400, True, "0.5", None, [0.5], {}])
def test_an_odd_progress_moves_nothing(odd: Any) -> None:
    assert Pending(odd).fraction is None
    assert ProgressReport(odd).fraction == 0


@pytest.mark.parametrize(("said", "known"), [(0, 0.0), (0.25, 0.25), (1, 1.0), (1.0000001, 1.0)])
def test_a_progress_is_kept(said: float, known: float) -> None:
    assert Pending(said).fraction == known


@cases("odd", [*ODD, '{"value": NaN, "max": NaN}'])
def test_comfyuis_socket_says_nothing_by_an_odd_message(odd: str) -> None:
    for text in (
        odd,
        f'{{"type": "progress", "data": {odd}}}',
        f'{{"type": "progress", "data": {{"prompt_id": "x", "value": {odd}, "max": 4}}}}',
        f'{{"type": "progress", "data": {{"prompt_id": "x", "value": 2, "max": {odd}}}}}',
        f'{{"type": "progress_state", "data": {{"prompt_id": "x", "nodes": {odd}}}}}',
        f'{{"type": "progress_state", "data": {{"prompt_id": "x", "nodes": {{"1": {odd}}}}}}}',
        f'{{"type": "status", "data": {{"status": {{"exec_info": {{"queue_remaining": {odd}}}}}}}}}',
        f'{{"type": {odd}, "data": {{"node": {odd}, "prompt_id": {odd}}}}}',
    ):
        match read(text):
            case JobProgress(_, fraction):
                assert 0 <= fraction <= 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NaN", None),
        ("-Infinity", None),
        ("1e400", None),
        ("1" * 19, None),
        ("1" * 18, int("1" * 18)),
        ("0.1", 0.1),
        ("[" * 100_000, None),
        (b"\xff", None),
    ],
)
def test_a_number_that_json_has_not_is_none(text: str | bytes, value: object) -> None:
    assert document_in(text) == value
