"""What servers send beside what they document: base64 as it comes, relative addresses, covers, filters' words."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from gateway.errors import Moderated, ProviderError, ProviderFailed, ProviderUnreachable
from tests.cases import cases
from tests.made_media import film, picture
from tests.providers.requests import asked, made, seen
from tests.providers.wild import Wild, always, serving
from workers.providers import Connection, Pending, Provider, make_provider
from workers.providers.calls import decoded
from workers.providers.moderation import MODERATED, is_moderated
from workers.providers.stages import Stage, stage_of
from workers.providers.values import address

BYTES = bytes(range(256)) * 3 + b"\xfb\xff"
PLAIN = base64.b64encode(BYTES).decode()
COVER, FIRST, SECOND = picture("JPEG"), film(frames=2), film(frames=3)
PICTURE = picture()
FILES = {"cover.jpg": COVER, "0.mp4": FIRST, "1.mp4": SECOND, "cover": COVER, "first": FIRST, "p.png": PICTURE}
VIDEO = {"tool": "video", "provider_model": "acme/model"}


@asynccontextmanager
async def provided(kind: str, answers: Mapping[str, Any], path: str = "") -> AsyncIterator[tuple[Provider, Wild]]:
    """A provider at a server that gives these answers, by the first part that a path has in it, and the files."""

    async def answer(request: web.Request) -> web.Response:
        found = FILES.get(request.path.rpartition("/")[2])
        if found is not None:
            return web.Response(body=found, content_type="application/octet-stream")
        return web.json_response(next(each for part, each in answers.items() if part in request.path))

    async with serving(answer) as wild:
        provider = make_provider(kind, Connection(name="box", base_url=wild.url + path))
        try:
            yield provider, wild
        finally:
            await provider.close()


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.rstrip("="),
        base64.urlsafe_b64encode(BYTES).decode(),
        base64.urlsafe_b64encode(BYTES).decode().rstrip("="),
        base64.encodebytes(BYTES).decode(),
        PLAIN.replace("A", "A\r\n", 5) + "\n",
        f"data:image/png;base64,{PLAIN}",
        f"DATA:image/png;charset=utf-8;base64,{PLAIN.rstrip('=')}",
        f"data:application/octet-stream;base64,\n{base64.encodebytes(BYTES).decode()}",
    ],
)
def test_base64_is_read_in_lines_for_urls_unpadded_and_with_a_head(text: str) -> None:
    assert decoded(text) == BYTES


@cases("text", ["?", "A", "a=b", "ä", "\ud800", "<html>", None, 7, ["A"], {"b64": PLAIN}])
def test_what_is_no_base64_is_the_providers_fault(text: object) -> None:
    with pytest.raises(ProviderFailed):
        decoded(text)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("files/a.png", "https://api.example/v1/jobs/files/a.png"),
        ("./a.png", "https://api.example/v1/jobs/a.png"),
        ("../out/a.png?x=%2F", "https://api.example/v1/out/a.png?x=%2F"),
        ("/a.png", "https://api.example/a.png"),
        ("//cdn.example/a.png", "https://cdn.example/a.png"),
        ("HTTPS://cdn.example/a", "HTTPS://cdn.example/a"),
        (" https://cdn.example/a\n", "https://cdn.example/a"),
        ("@evil.example/a.png", "https://api.example/v1/jobs/@evil.example/a.png"),
    ],
)
def test_a_relative_address_is_one_beside_the_answer(text: str, whole: str) -> None:
    assert address(text, URL("https://api.example/v1/jobs/7"), named=True) == whole


@pytest.mark.parametrize("text", ["a red fox", "succeeded", "1.5", "", "seed.txt", "flux/dev", "see: a.png"])
def test_a_text_among_others_is_no_address(text: str) -> None:
    assert address(text, URL("https://api.example/v1/jobs/7"), named=False) is None


@pytest.mark.parametrize("output", ["/p.png", "p.png", ["p.png"], {"url": "p.png"}, {"image": "p.png", "seed": "7"}])
async def test_replicates_outputs_may_be_relative(output: object) -> None:
    async with provided("replicate", {"/predictions/": {"status": "succeeded", "output": output}}) as (provider, _):
        (rendered,) = await made(provider, "job", asked(provider_model="acme/model"))
        assert rendered.data == PICTURE


@pytest.mark.parametrize("url", ["/p.png", "p.png", "./p.png"])
async def test_openais_outputs_may_be_relative_or_one_alone(url: str) -> None:
    for data in ([{"url": url}], {"url": url}):
        async with provided("openai", {"/images": {"data": data}}, "/v1") as (provider, _):
            (rendered,) = await made(provider, None, asked())
            assert rendered.data == PICTURE


async def test_a_path_of_an_http_server_is_below_its_base_url_and_another_beside_the_job() -> None:
    """The contract says so of a path; what begins without a slash is relative to the answer, as everywhere."""
    outputs = [{"url": "/files/p.png"}, {"url": "p.png"}]
    async with provided("http", {"/jobs/": {"status": "succeeded", "outputs": outputs}}, "/gpu") as (provider, wild):
        assert [one.data for one in await made(provider, "7", asked(0, 1))] == [PICTURE, PICTURE]
        assert [each.path for each in wild.asked[1:]] == ["/gpu/files/p.png", "/gpu/jobs/p.png"]


OUTPUTS_OF_TWO = [
    ["cover.jpg", "0.mp4", "1.mp4"],
    ["0.mp4", "cover.jpg", "1.mp4"],
    ["0.mp4", "1.mp4", "cover.jpg"],
    ["cover.jpg", "cover.jpg", "0.mp4", "1.mp4"],
]


@pytest.mark.parametrize("names", OUTPUTS_OF_TWO)
@cases("kind", ["http", "fal", "replicate"])
async def test_a_cover_is_not_an_output_wherever_it_is_listed(kind: str, names: list[str]) -> None:
    answers: dict[str, Any] = {
        "/jobs/": {"status": "succeeded", "outputs": [{"url": f"/{name}"} for name in names]},
        "/status": {"status": "COMPLETED"},
        "/requests/": {"files": [{"url": f"/{name}", "content_type": ""} for name in names]},
        "/predictions/": {"status": "succeeded", "output": [f"/{name}" for name in names]},
    }
    async with provided(kind, answers) as (provider, wild):
        rendered = await made(provider, "job", asked(0, 1, **VIDEO))
        assert [(one.index, one.data) for one in rendered] == [(0, FIRST), (1, SECOND)]
        assert not any(each.path == "/cover.jpg" for each in wild.asked), "its name tells it: it is not fetched"
        (rest,) = await made(provider, "job", asked(1, job_indices=(0, 1), **VIDEO))
        assert (rest.index, rest.data) == (1, SECOND)


async def test_a_cover_declared_like_a_video_is_recognized_by_its_bytes() -> None:
    answers = {"/jobs/": {"status": "succeeded", "outputs": [{"url": "/cover"}, {"url": "/first"}]}}
    async with provided("http", answers) as (provider, _):
        (rendered,) = await made(provider, "job", asked(**VIDEO))
        assert rendered.data == FIRST


async def test_a_cover_alone_is_delivered_and_found_to_be_the_wrong_kind() -> None:
    """Else a provider that makes pictures for videos would be asked for them again and again."""
    answers = {"/jobs/": {"status": "succeeded", "outputs": [{"url": "/cover.jpg"}]}}
    async with provided("http", answers) as (provider, _):
        (rendered,) = await made(provider, "job", asked(**VIDEO))
        assert rendered.data == COVER


async def test_a_video_that_is_said_to_be_a_picture_is_delivered_all_the_same() -> None:
    outputs = [{"url": "/0.mp4", "content_type": "image/jpg"}]
    async with provided("http", {"/jobs/": {"status": "succeeded", "outputs": outputs}}) as (provider, _):
        (rendered,) = await made(provider, "job", asked(**VIDEO))
        assert rendered.data == FIRST


# --- filters' words -------------------------------------------------------------------------------------------------

VEO_FILTERED = "Veo could not generate 1 videos based on the prompt provided. Support codes: 42237218"
SAFETY_WORDS = [
    *({"candidates": [{"finishReason": word}]} for word in ("SAFETY", "IMAGE_SAFETY", "PROHIBITED_CONTENT", "SPII")),
    *({"candidates": [{"finishReason": word}]} for word in ("RECITATION", "BLOCKLIST", "IMAGE_PROHIBITED_CONTENT")),
    {"candidates": [{"finish_reason": "FinishReason.IMAGE_RECITATION"}]},
    {"promptFeedback": {"blockReason": "OTHER"}},
    {"prompt_feedback": {"block_reason": "SAFETY"}},
    {"response": {"generateVideoResponse": {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": [VEO_FILTERED]}}},
    {"response": {"raiMediaFilteredReasons": ["58061214"]}},
    {"predictions": [{"raiFilteredReason": "Unable to show generated images. Support codes: 39322892"}]},
    {"error": {"code": "moderation_blocked", "type": "image_generation_user_error"}},
    {"error": {"code": "content_policy_violation", "type": "invalid_request_error"}},
    {"error": {"code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
    {"detail": [{"type": "content_policy_violation", "loc": ["body", "prompt"]}]},
    {"detail": "no", "error_type": "content_policy_violation"},
    {"status": "Request Moderated"},
    {"status": "Content Moderated"},
    {"status": "FAILED", "failureCode": "SAFETY.INPUT.TEXT"},
    {"failure_code": "INPUT_PREPROCESSING.SAFETY.TEXT"},
    {"error": {"code": "InputTextSensitiveContentDetected"}},
    {"error": {"code": "SensitiveContentDetected.Violence"}},
    {"code": "DataInspectionFailed"},
    {"data": [{"url": None, "respect_moderation": False}]},
]


@cases("document", SAFETY_WORDS)
def test_a_filters_code_is_recognized_at_any_place(document: object) -> None:
    assert is_moderated(document)
    assert is_moderated([{"of": document}])


@cases(
    "document",
    [
        {"candidates": [{"finishReason": "STOP"}]},
        {"candidates": [{"finishReason": "MAX_TOKENS"}, {"finishReason": "NO_IMAGE"}]},
        {"raiMediaFilteredCount": 0, "raiMediaFilteredReasons": []},
        {"promptFeedback": {"blockReason": "BLOCK_REASON_UNSPECIFIED"}},
        {"promptFeedback": {"safetyRatings": [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "LOW"}]}},
        {"error": {"code": "invalid_value", "param": "safety_identifier"}},
        {"code": 400, "type": None, "status": "INVALID_ARGUMENT"},
        {"respect_moderation": True},
        {"prompt": "SAFETY", "input": "content_policy_violation"},
        None,
        "SAFETY",
        [],
    ],
)
def test_other_words_are_no_filters(document: object) -> None:
    assert not is_moderated(document)


@cases(
    ("sentence", "moderated"),
    [
        ("NSFW content detected. Try running it again, or try a different prompt.", True),
        ("The input or output was flagged as sensitive. Please try again with different inputs. (E005)", True),
        ("All images were filtered out because they violated Google's Responsible AI practices.", True),
        ("could not generate videos because the input image violates Vertex AI's usage guidelines", True),
        ("The prompt contains sensitive words that violate Google's Responsible AI practices.", True),
        ("Your request was rejected as a result of our safety system.", True),
        ("the input text may contain sensitive information", True),
        ("CUDA out of memory", False),
        ("safety_tolerance must be at most 6", False),
        ("Error while deserializing model.safetensors", False),
        ("a foreign key constraint was violated", False),
    ],
)
def test_a_filters_sentence_is_known(sentence: str, *, moderated: bool) -> None:
    assert bool(MODERATED.search(sentence)) == moderated


COMPLETED = {"status": "COMPLETED"}
GOOGLE = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}


@cases(
    ("kind", "answers"),
    [
        ("http", {"/jobs/": {"status": "failed", "error": {"code": "SAFETY", "message": "x"}}}),
        ("http", {"/jobs/": {"status": "failed", "error": "NSFW content detected"}}),
        ("http", {"/jobs/": {"status": "failed", **GOOGLE}}),
        ("http", {"/jobs/": {"status": "succeeded", "outputs": [], **GOOGLE}}),
        ("openai", {"/images": {"data": [], **GOOGLE}}),
        ("openai", {"/images": {"candidates": [{"finishReason": "IMAGE_SAFETY"}]}}),
        ("openai", {"/images": {"error": {"code": None, "message": "rejected as a result of our safety system"}}}),
        ("fal", {"/status": COMPLETED, "/requests/": {"image": {"url": "/p.png"}, "has_nsfw_concepts": [True]}}),
        ("fal", {"/status": COMPLETED, "/requests/": {"image": {"url": "/p.png"}, "has_nsfw_concepts": True}}),
        ("fal", {"/status": {"status": "FAILED", "error": "flagged", "error_type": "bad_request"}, "/requests/": {}}),
        ("replicate", {"/predictions/": {"status": "failed", "error": "Content moderated (E005)"}}),
        ("replicate", {"/predictions/": {"status": "failed", "error": {"code": "PROHIBITED_CONTENT"}}}),
    ],
)  # fmt: skip
async def test_what_a_filter_refused_is_moderated_at_every_provider(kind: str, answers: dict[str, Any]) -> None:
    async with provided(kind, answers) as (provider, _):
        with pytest.raises(Moderated):
            await seen(provider, None if kind == "openai" else "job", asked(provider_model="acme/model"))


async def test_what_a_filter_left_of_several_is_delivered() -> None:
    answers = {"/images": {"data": [{"url": "/p.png"}, {"finish_reason": "content_filter"}]}}
    async with provided("openai", answers) as (provider, _):
        assert [one.index for one in await made(provider, None, asked(0, 1))] == [0]


# --- how a job ends -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["FAILED", "ERROR", "CANCELLED", "EXPIRED", "failed", "DEAD_LETTERED"])
@cases("result", [200, 404, 500, 503])
async def test_fals_failed_ends_at_once_whatever_its_result_answers(status: str, result: int) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("/status"):
            return web.json_response({"status": status, "error": "no GPU"})
        return web.json_response({"detail": "x"}, status=result)

    async with serving(answer) as wild:
        provider = make_provider("fal", Connection(name="box", base_url=wild.url))
        with pytest.raises(ProviderFailed, match="no GPU"):
            await seen(provider, "job", asked(provider_model="acme/model"))
        await provider.close()


@pytest.mark.parametrize(
    ("kind", "said", "error"),
    [
        ("http", {"status": "FAILED"}, ProviderFailed),
        ("http", {"status": "cancelled"}, ProviderFailed),
        ("http", {"status": None}, ProviderUnreachable),
        ("replicate", {"status": "FAILED", "error": "boom"}, ProviderFailed),
        ("replicate", {"status": "expired"}, ProviderFailed),
        ("replicate", {"status": ["failed"]}, ProviderUnreachable),
        ("fal", {"status": 7}, ProviderUnreachable),
    ],
)
async def test_an_undocumented_final_status_ends_the_job(kind: str, said: object, error: type[ProviderError]) -> None:
    """An answer that says nothing is as good as lost, and is asked for again."""
    async with serving(always(200, said)) as wild:
        provider = make_provider(kind, Connection(name="box", base_url=wild.url))
        with pytest.raises(ProviderError) as ended:
            await seen(provider, "job", asked(provider_model="acme/model"))
        await provider.close()
        assert type(ended.value) is error


@cases(
    ("status", "stage"),
    [
        *((word, Stage.RUNS) for word in ("IN_QUEUE", "in-progress", "Starting", "processing", " queued ")),
        *((word, Stage.SUCCEEDED) for word in ("COMPLETED", "succeeded", "Done")),
        *((word, Stage.FAILED) for word in ("FAILED", "Canceled", "aborted", "timed out")),
        *((word, Stage.UNKNOWN) for word in ("", "FROBNICATED", None, 7, ["failed"], True)),
    ],
)
def test_a_status_is_read_whatever_its_case(status: object, stage: Stage) -> None:
    assert stage_of(status) is stage


async def test_an_odd_progress_does_not_end_a_job() -> None:
    async with serving(always(200, text='{"status": "running", "progress": NaN}')) as wild:
        provider = make_provider("http", Connection(name="box", base_url=wild.url))
        results = provider.results("job", asked())
        assert await anext(results) == Pending(None)
        await results.aclose()
        await provider.close()
