"""Speech through the real `openai` package, and audio and text through our own API: R35, made by the sandbox."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import openai
import pytest

from gateway.media import inspect
from tests.cases import cases
from tests.console.stack import Stack
from tests.facades.openai_clients import charged, client_of, generations

WORDS = "The lighthouse keeper counts the waves, and every seventh one is his. " * 3


def test_r35_a_tone_of_the_ordered_length_plays_and_costs_what_it_lasts(stack: Stack) -> None:
    account = stack.account(top_up=1000)
    body = {"tool": "audio", "model": "sound-effects", "prompt": "waves"}
    made = stack.ended(account, **body, settings={"duration": 7, "output_format": "wav"})
    (output,) = made["outputs"]
    assert (output["content_type"], output["duration_seconds"]) == ("audio/wav", 7)
    assert not {"width", "height", "characters"} & output.keys()
    file = httpx.get(output["url"])
    assert file.headers["content-type"] == "audio/wav"
    assert inspect(file.content).duration_seconds == 7
    assert (made["price"]["credits"], charged(stack, account)) == (14, 14)


def test_r35_a_texts_characters_are_counted_and_charged(stack: Stack) -> None:
    account = stack.account(top_up=1000)
    made = stack.ended(account, tool="text", model="prompt-enhancer", prompt="a red bicycle")
    (output,) = made["outputs"]
    file = httpx.get(output["url"])
    assert file.headers["content-type"] == "text/plain; charset=utf-8"
    assert file.text.startswith("a red bicycle, ")
    assert output["characters"] == len(file.text)
    assert not {"width", "height", "duration_seconds"} & output.keys()
    assert Decimal(str(made["credits"]["committed"])) == Decimal(len(file.text)) * 2 / 1000
    assert made["credits"]["committed"] + made["credits"]["refunded"] == made["price"]["credits"] == 4


@cases(
    ("response_format", "content_type"),
    [("mp3", "audio/mpeg"), ("wav", "audio/wav"), ("opus", "audio/ogg"), ("flac", "audio/flac"), ("aac", "audio/aac")],
)
def test_speech_is_a_file_in_the_format_that_was_asked_for_priced_by_its_characters(
    stack: Stack, response_format: Any, content_type: str
) -> None:
    account = stack.account(top_up=1000)
    raw = client_of(stack, account).audio.speech.with_raw_response.create(
        model="tts-1", voice="coral", input=WORDS, response_format=response_format, speed=1.5
    )
    data = raw.content
    (generation,) = generations(stack, account)
    assert raw.headers["x-farebox-generation"] == generation["id"]
    assert (raw.headers["content-type"], inspect(data).content_type) == (content_type, content_type)
    assert (generation["model"], generation["prompt"]) == ("gpt-4o-mini-tts", WORDS)
    assert generation["settings"] == {"voice": "coral", "output_format": response_format, "speed": 1.5}
    assert charged(stack, account) == round(len(WORDS) * 0.02, 3)


def test_speech_streams_to_a_file(stack: Stack, tmp_path: Any) -> None:
    account = stack.account(top_up=1000)
    speech = client_of(stack, account).audio.speech.with_streaming_response
    with speech.create(model="gpt-4o-mini-tts", voice="alloy", input="Hello") as response:
        response.stream_to_file(tmp_path / "hello.mp3")
    assert inspect((tmp_path / "hello.mp3").read_bytes()).content_type == "audio/mpeg"
    assert charged(stack, account) == 1, "at least"


@cases(
    ("arguments", "seen"),
    [
        ({"model": "flux-dev"}, (404, "unknown_model", "model")),
        ({"response_format": "pcm"}, (400, "invalid_settings", "response_format")),
        ({"voice": "nobody"}, (400, "invalid_settings", "voice")),
        ({"speed": 9}, (400, "invalid_settings", "speed")),
        ({"stream_format": "sse"}, (400, "invalid_request", "stream_format")),
        ({"instructions": "Whisper."}, (400, "invalid_settings", "instructions")),
        ({"input": ""}, (400, "invalid_request", "input")),
        ({"extra_body": {"n": 2}}, (400, "invalid_request", "n")),
    ],
)
def test_what_cannot_be_spoken_is_refused_by_name(
    stack: Stack, arguments: dict[str, Any], seen: tuple[int, str, str]
) -> None:
    account = stack.account(top_up=1000)
    asked = {"model": "tts-1", "voice": "alloy", "input": "Hello"} | arguments
    with pytest.raises(openai.APIStatusError) as raised:
        client_of(stack, account).audio.speech.create(**asked)
    error = raised.value
    assert (error.status_code, error.code, error.param) == seen
    assert error.response.headers["x-should-retry"] == "false"
    assert generations(stack, account) == []


def test_no_credits_and_a_failure_are_said_once(stack: Stack) -> None:
    account = stack.account()
    client = client_of(stack, account)
    with pytest.raises(openai.APIStatusError) as unpaid:
        client.audio.speech.create(model="tts-1", voice="alloy", input=WORDS * 30)
    assert (unpaid.value.status_code, unpaid.value.code) == (402, "insufficient_credits")
    with pytest.raises(openai.BadRequestError) as failed:
        client.audio.speech.create(
            model="tts-1", voice="alloy", input="Hello", extra_body={"sandbox": {"fail": "moderated"}}
        )
    assert failed.value.code == "moderated"
    (generation,) = generations(stack, account)
    assert generation["credits"]["refunded"] == 1


def test_a_retry_of_a_call_that_was_cut_off_gets_the_same_speech(stack: Stack) -> None:
    account = stack.account(top_up=1000)
    slow = {"sandbox": {"delay_seconds": 2}}
    impatient = client_of(stack, account, timeout=1.0, max_retries=40)
    impatient.audio.speech.create(model="tts-1", voice="alloy", input="Hello", extra_body=slow)
    assert len(generations(stack, account)) == 1
    assert charged(stack, account) == 1


def test_fal_and_replicate_have_a_text_in_the_result_and_audio_as_a_file(stack: Stack) -> None:
    account = stack.account(top_up=1000)
    headers = {"Authorization": f"Bearer {account.key}", "Prefer": "wait=60"}
    asked = {"prompt": "a red bicycle"}

    def answer(path: str, body: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = httpx.post(f"{stack.address}{path}", headers=headers, json=body, timeout=60).json()
        return made

    text = answer("/fal/run/farebox/prompt-enhancer", asked)
    assert text["output"].startswith("a red bicycle, ")
    audio = answer("/fal/run/farebox/sound-effects", {"text": "waves", "duration": 2})["audio"]
    assert audio["content_type"] == "audio/mpeg"
    assert "width" not in audio
    predictions = "/replicate/v1/models/farebox/{}/predictions"
    (written,) = answer(predictions.format("prompt-enhancer"), {"input": asked | {"seed": 1}})["output"]
    assert written.startswith("a red bicycle, ")
    (url,) = answer(predictions.format("sound-effects"), {"input": {"prompt": "waves", "duration": 2}})["output"]
    assert inspect(httpx.get(url).content).duration_seconds == 2
    versions = stack.call("GET", "/replicate/v1/models/farebox/prompt-enhancer", account.key)["latest_version"]
    output = versions["openapi_schema"]["components"]["schemas"]["Output"]
    assert output == {"title": "Output", "type": "array", "items": {"type": "string"}}


def test_the_models_are_listed(stack: Stack) -> None:
    names = {model.id for model in client_of(stack, stack.account()).models.list()}
    assert {"gpt-4o-mini-tts", "tts-1", "sound-effects", "prompt-enhancer"} <= names
