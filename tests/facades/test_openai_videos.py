"""Videos through the real `openai` package: polled, downloaded, listed, deleted, cancelled."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest

from tests.console.stack import Account, Stack
from tests.facades.openai_clients import charged, client_of, generations
from tests.made_media import picture

# From 3.54 on every call of `videos` warns that OpenAI's own are gone: that is not about this gateway.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SLOW = {"sandbox": {"delay_seconds": 600}}


def error_of(account: Account, stack: Stack, **arguments: Any) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as raised:
        client_of(stack, account).videos.create(prompt="a wave", **arguments)
    return raised.value


def test_a_video_is_made_its_content_is_streamed_with_range_and_its_file_deleted(stack: Stack) -> None:
    account = stack.account()
    client = client_of(stack, account)
    raw = client.videos.with_raw_response.create(model="farebox/wan-2.2", prompt="a wave", seconds="5")  # type: ignore[arg-type]
    assert int(raw.headers["openai-poll-after-ms"]) > 0
    begun = raw.parse()
    assert raw.headers["x-farebox-generation"] == begun.id
    assert (begun.object, begun.seconds, begun.size, begun.model) == ("video", "5", "1280x720", "wan-2.2")
    video = client.videos.poll(begun.id)
    assert (video.status, video.progress, video.error) == ("completed", 100, None)
    assert video.completed_at is not None
    assert video.expires_at is not None
    assert video.completed_at < video.expires_at
    whole = client.videos.download_content(video.id).read()
    assert whole[4:8] == b"ftyp"
    path = f"{stack.address}/openai/v1/videos/{video.id}/content"
    headers = {"Authorization": f"Bearer {account.key}", "Range": "bytes=4-7"}
    part = httpx.get(path, headers=headers)
    assert (part.status_code, part.content) == (206, b"ftyp")
    assert client.videos.delete(video.id).deleted
    for call in (client.videos.retrieve, client.videos.download_content, client.videos.delete):
        with pytest.raises(openai.NotFoundError):
            call(video.id)
    (generation,) = generations(stack, account)
    assert generation["outputs_deleted"] is True
    assert charged(stack, account) == 30, "what was delivered stays charged"


def test_what_is_charged_is_what_seconds_say(stack: Stack) -> None:
    """An odd duration of this model is billed as the next even one."""
    account = stack.account(plan="creator")
    video = client_of(stack, account).videos.create(model="ltx-2.3", prompt="x", seconds="7", extra_body=SLOW)  # type: ignore[arg-type]
    (generation,) = generations(stack, account)
    assert video.seconds == "8"
    assert generation["settings"]["duration"] == 7
    assert generation["price"]["credits"] == 215 + 2 * 35.825


def test_the_size_and_a_first_picture_are_mapped(stack: Stack) -> None:
    account = stack.account(plan="creator")
    client = client_of(stack, account)
    video = client.videos.create(
        model="sora-2-pro", prompt="x", size="1024x1792", input_reference=("a.png", picture("PNG")), extra_body=SLOW
    )
    (generation,) = generations(stack, account)
    assert video.size == "1024x1792"
    assert {"aspect_ratio": "9:16", "resolution": "1080p", "duration": 4}.items() <= generation["settings"].items()
    assert [one["kind"] for one in generation["inputs"]] == ["image"]


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        ({"model": "wan-2.2", "seconds": "7"}, (400, "invalid_settings", "seconds")),
        ({"model": "wan-2.2", "size": "5x5"}, (400, "invalid_settings", "size")),
        ({"model": "flux-dev"}, (404, "unknown_model", "model")),
        ({"model": "veo-3.1"}, (403, "subscription_required", None)),
        ({"model": "wan-2.2", "extra_body": {"max_credits": 10}}, (400, "price_above_ceiling", None)),
    ],
)
def test_what_cannot_be_made_is_refused_by_name(stack: Stack, arguments: Any, seen: tuple[Any, ...]) -> None:
    account = stack.account()
    error = error_of(account, stack, **arguments)
    assert (error.status_code, error.code, error.param) == seen
    assert generations(stack, account) == []


def test_a_failed_video_says_why(stack: Stack) -> None:
    account = stack.account()
    video = client_of(stack, account).videos.create_and_poll(
        model="wan-2.2", prompt="x", extra_body={"sandbox": {"fail": "moderated"}}
    )
    assert (video.status, video.error.code if video.error else None) == ("failed", "moderated")
    assert charged(stack, account) == 0


def test_deleting_a_video_that_has_not_ended_cancels_it_and_gives_its_credits_back(stack: Stack) -> None:
    account = stack.account()
    client = client_of(stack, account)
    video = client.videos.create(model="wan-2.2", prompt="x", extra_body=SLOW)
    assert client.videos.delete(video.id).deleted
    ended = client.videos.poll(video.id)
    assert (ended.status, ended.error.code if ended.error else None) == ("failed", "cancelled")
    assert stack.call("GET", "/v1/balance", account.key)["available"] == 100


def test_the_list_has_all_videos_and_no_images_page_by_page(stack: Stack) -> None:
    account = stack.account(top_up=1000)
    client = client_of(stack, account)
    videos = []
    for number in range(3):
        videos.append(client.videos.create(model="wan-2.2", prompt=f"v{number}", extra_body=SLOW).id)
        client.images.generate(model="flux-dev", prompt="an image")
    assert [video.id for video in client.videos.list(limit=2)] == videos[::-1]
    page = client.videos.list(limit=2)
    assert (len(page.data), page.has_more, page.last_id) == (2, True, videos[1])
    with pytest.raises(openai.BadRequestError, match="newest first"):
        client.videos.list(order="asc")


def test_a_remix_is_refused_where_the_model_takes_no_video(stack: Stack) -> None:
    client = client_of(stack, stack.account())
    video = client.videos.create(model="wan-2.2", prompt="x", extra_body=SLOW)
    with pytest.raises(openai.BadRequestError, match=r"Wan 2\.2 takes no video as input"):
        client.videos.remix(video.id, prompt="bluer")


def test_another_accounts_video_does_not_exist(stack: Stack) -> None:
    video = client_of(stack, stack.account()).videos.create(model="wan-2.2", prompt="x", extra_body=SLOW)
    stranger = client_of(stack, stack.account())
    for call in (stranger.videos.retrieve, stranger.videos.download_content, stranger.videos.delete):
        with pytest.raises(openai.NotFoundError):
            call(video.id)
