"""Audio and text as each vendor delivers them, from real servers that answer as the vendor's documentation shows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.errors import Moderated, ProviderFailed, ProviderRejected
from gateway.kinds import MediaKind
from gateway.metering import Unit
from tests.cases import cases
from tests.made_media import tone
from tests.providers.requests import asked, made
from workers.providers import Connection, Provider, ProviderInput, make_provider
from workers.providers.texts import texts_in

Json = dict[str, Any]

WORDS = "a red bicycle, in soft light"


class Vendor:
    """A server that answers each path with JSON or with bytes, and the providers that call it."""

    def __init__(self) -> None:
        self.asked: list[Json] = []
        self.providers: list[Provider] = []
        self.url = ""
        self._answers: dict[str, Json | bytes] = {}

    def saying(self, kind: str, answers: Mapping[str, Json | bytes]) -> Provider:
        """A provider of this kind, whose server answers so."""
        self._answers = dict(answers)
        self.providers.append(make_provider(kind, Connection(name="box", base_url=self.url)))
        return self.providers[-1]

    async def answer(self, request: web.Request) -> web.Response:
        if request.can_read_body:
            self.asked.append(await request.json())
        found = self._answers[request.path]
        if isinstance(found, bytes):
            return web.Response(body=found, content_type="audio/mpeg")
        return web.json_response(found, status=found.get("status_code", 200))


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    vendor, app = Vendor(), web.Application()
    app.router.add_route("*", "/{path:.*}", vendor.answer)
    async with TestServer(app) as server:
        vendor.url = str(server.make_url("")).rstrip("/")
        yield vendor
        for provider in vendor.providers:
            await provider.close()


async def _data(provider: Provider, kind: MediaKind, *indices: int, **more: Any) -> list[bytes]:
    return [output.data for output in await made(provider, "job1", asked(*indices, output=kind, **more))]


async def test_an_http_server_delivers_text_as_text_and_audio_like_any_file(vendor: Vendor) -> None:
    job = {"status": "succeeded", "outputs": [{"text": WORDS, "reported": {"tokens": 7}}]}
    provider = vendor.saying("http", {"/jobs/job1": job})
    (output,) = await made(provider, "job1", asked(output=MediaKind.TEXT))
    assert (output.data, output.reported) == (WORDS.encode(), {Unit.TOKENS: 7})
    provider = vendor.saying(
        "http", {"/jobs/job1": {"status": "succeeded", "outputs": [{"url": "/tune"}]}, "/tune": tone()}
    )
    assert await _data(provider, MediaKind.AUDIO) == [tone()]


@cases(
    ("output", "words"),
    [
        ({"output": WORDS}, WORDS),
        ({"text": WORDS, "chunks": [{"text": "a red"}]}, WORDS),
        ({"results": {"text": WORDS}}, WORDS),
        ({"output": ["a red ", "bicycle"], "reasoning": None}, "a red bicycle"),
    ],
)
async def test_fal_names_its_text_in_many_ways(vendor: Vendor, output: Json, words: str) -> None:
    at = "/acme/llm/requests/job1"
    provider = vendor.saying("fal", {f"{at}/status": {"status": "COMPLETED"}, at: output})
    assert await _data(provider, MediaKind.TEXT, provider_model="acme/llm") == [words.encode()]


async def test_fal_delivers_audio_as_a_file_with_its_length(vendor: Vendor) -> None:
    audio = {"audio": {"url": "/tune.wav", "content_type": "audio/wav", "duration": 2.0}, "timestamps": None}
    at = "/acme/tts/requests/job1"
    provider = vendor.saying("fal", {f"{at}/status": {"status": "COMPLETED"}, at: audio, "/tune.wav": tone()})
    (output,) = await made(provider, "job1", asked(output=MediaKind.AUDIO, provider_model="acme/tts"))
    assert (output.data, output.reported) == (tone(), {Unit.SECONDS: 2.0})


@cases(
    ("output", "words"),
    [
        (["a red", " bicycle"], ["a red bicycle"]),
        (WORDS, [WORDS]),
        ({"transcription": WORDS, "segments": [{"text": "a"}]}, [WORDS]),
    ],
)
async def test_replicate_streams_text_in_parts_which_are_one_text(
    vendor: Vendor, output: object, words: list[str]
) -> None:
    provider = vendor.saying(
        "replicate", {"/v1/predictions/job1": {"id": "job1", "status": "succeeded", "output": output}}
    )
    assert await _data(provider, MediaKind.TEXT, 0, 1, 2) == [each.encode() for each in words]


async def test_replicate_delivers_audio_by_its_url(vendor: Vendor) -> None:
    prediction = {"id": "job1", "status": "succeeded", "output": "/tune.mp3"}
    provider = vendor.saying("replicate", {"/v1/predictions/job1": prediction, "/tune.mp3": tone("mp3", "libmp3lame")})
    assert await _data(provider, MediaKind.AUDIO) == [tone("mp3", "libmp3lame")]


async def test_openai_speaks_each_output_in_a_call_of_its_own(vendor: Vendor) -> None:
    provider = vendor.saying("openai", {"/audio/speech": tone()})
    arguments = {"voice": "coral", "speed": 1.5}
    assert await _data(provider, MediaKind.AUDIO, 0, 2, arguments=arguments) == [tone(), tone()]
    sent = {"voice": "coral", "speed": 1.5, "model": "flux.1-dev", "input": asked().prompt}
    assert vendor.asked == [sent, sent]


async def test_openai_writes_all_texts_in_one_call_which_share_its_tokens(vendor: Vendor) -> None:
    choices = [{"message": {"content": WORDS}}, {"message": {"content": [{"type": "text", "text": "two"}]}}]
    usage = {"prompt_tokens": 10, "completion_tokens": 20}
    provider = vendor.saying("openai", {"/chat/completions": {"choices": choices, "usage": usage}})
    first, second = await made(provider, None, asked(0, 1, output=MediaKind.TEXT, arguments={"system": "Be brief."}))
    assert (first.data, second.data) == (WORDS.encode(), b"two")
    assert first.reported[Unit.OUTPUT_TOKENS] == 10
    (sent,) = vendor.asked
    assert sent["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": asked().prompt},
    ]
    assert sent["n"] == 2


@cases(
    ("answer", "error"),
    [
        ({"choices": [{"message": {"content": None, "refusal": "I can't"}}]}, Moderated),
        ({"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]}, Moderated),
        ({"choices": []}, ProviderFailed),
        ({"error": {"code": "moderation_blocked", "message": "no"}, "status_code": 400}, Moderated),
        ({"error": {"message": "Unknown parameter"}, "status_code": 400}, ProviderRejected),
    ],
)
async def test_what_openai_refuses_is_not_delivered(vendor: Vendor, answer: Json, error: type[Exception]) -> None:
    with pytest.raises(error):
        await _data(vendor.saying("openai", {"/chat/completions": answer}), MediaKind.TEXT)


async def test_openais_speech_and_text_take_no_inputs(vendor: Vendor) -> None:
    given = (ProviderInput(kind="image", data=b""),)
    for kind in (MediaKind.AUDIO, MediaKind.TEXT):
        with pytest.raises(ProviderRejected, match="takes inputs"):
            await _data(vendor.saying("openai", {}), kind, inputs=given)


def test_a_list_of_texts_is_several_outputs_only_if_as_many_were_requested() -> None:
    assert [one.words for one in texts_in(["a", "b"], 2)] == ["a", "b"]
    assert [one.words for one in texts_in(["a", "b"], 1)] == ["ab"]
    assert texts_in(["https://example.com/a.txt"], 1) == []
    assert texts_in({"images": []}, 1) == []
