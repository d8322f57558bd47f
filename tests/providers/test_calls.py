"""What the common HTTP part makes of answers, of their lack, and of a provider's own words."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from gateway.errors import (
    ProviderBusy,
    ProviderError,
    ProviderFailed,
    ProviderNotSetUp,
    ProviderRejected,
    ProviderUnreachable,
)
from tests.cases import cases
from tests.providers.wild import Handler, Wild, always, hang_up, serving
from workers.providers import Connection
from workers.providers.calls import ProviderCalls, decoded
from workers.providers.details import presentable

KEY = "sk-secret-0123456789"
PROMPT = "a red fox that walks through the deep snow of a northern forest"


@asynccontextmanager
async def calls_to(answer: Handler, timeout_seconds: float = 20) -> AsyncIterator[tuple[ProviderCalls, Wild]]:
    async with serving(answer) as wild:
        connection = Connection(name="box", base_url=wild.url, key=KEY, timeout_seconds=timeout_seconds)
        calls = ProviderCalls(connection, headers={"Authorization": f"Bearer {KEY}"})
        try:
            yield calls, wild
        finally:
            await calls.close()


@cases(
    ("status", "headers", "method", "repeatable", "error"),
    [
        (429, {}, "POST", False, ProviderBusy),
        (503, {"Retry-After": "3"}, "POST", False, ProviderBusy),
        (503, {}, "POST", False, ProviderFailed),
        (503, {}, "POST", True, ProviderUnreachable),
        (502, {}, "GET", True, ProviderUnreachable),
        (500, {}, "POST", False, ProviderFailed),
        (500, {}, "POST", True, ProviderFailed),
        (500, {}, "GET", True, ProviderUnreachable),
        (400, {}, "POST", False, ProviderRejected),
        (422, {}, "POST", False, ProviderRejected),
        (401, {}, "POST", False, ProviderNotSetUp),
        (402, {}, "POST", False, ProviderNotSetUp),
        (403, {}, "GET", True, ProviderNotSetUp),
        (404, {}, "POST", False, ProviderNotSetUp),
        (301, {"Location": "http://127.0.0.1:1/"}, "POST", False, ProviderFailed),
    ],
)
async def test_a_status_says_what_may_be_done_next(
    status: int, headers: dict[str, str], method: str, *, repeatable: bool, error: type[ProviderError]
) -> None:
    async with calls_to(always(status, {"detail": "no"}, headers=headers)) as (calls, wild):
        refusal = calls.refusal(await calls.ask(method, "/jobs", repeatable=repeatable))
        assert type(refusal) is error
        assert str(status) in refusal.detail
        assert len(wild.asked) == 1


@cases(
    ("status", "refused"),
    [
        (429, True), (500, True), (503, True), (507, True), (418, True), (402, True),
        (502, False), (504, False), (408, False), (520, False), (524, False), (599, False),  # a proxy, after the call
        (301, False), (303, False), (307, False), (400, False),
    ],
)  # fmt: skip
async def test_only_what_the_provider_itself_has_not_accepted_is_refused(status: int, *, refused: bool) -> None:
    """R30: another provider must not be asked while this one may have the job."""
    async with calls_to(always(status, headers={"Location": "/jobs/1"})) as (calls, _):
        answer = await calls.ask("POST", "/jobs", repeatable=False)
        assert calls.refusal(answer).refused is refused
        with pytest.raises(ProviderError) as of_an_output:  # which is there, and paid for
            await calls.fetch("/1.png")
        assert not of_an_output.value.refused


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "2"}, 2.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"Retry-After-Ms": "1500", "Retry-After": "9"}, 1.5),
        ({"Retry-After": "100000"}, 900.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
        ({}, None),
    ],
)
async def test_a_busy_provider_is_left_alone_for_as_long_as_it_says(
    headers: dict[str, str], seconds: float | None
) -> None:
    async with calls_to(always(429, headers=headers)) as (calls, _):
        refusal = calls.refusal(await calls.ask("POST", "/jobs", repeatable=False))
    assert isinstance(refusal, ProviderBusy)
    assert refusal.retry_after_seconds == seconds


async def test_what_was_never_connected_may_be_asked_again() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets the port, and nobody answers
        calls = ProviderCalls(Connection(name="box", base_url=f"http://127.0.0.1:{taken.getsockname()[1]}"))
        with pytest.raises(ProviderUnreachable):
            await calls.ask("POST", "/jobs", repeatable=False)
        await calls.close()


@pytest.mark.parametrize(("repeatable", "error"), [(True, ProviderUnreachable), (False, ProviderFailed)])
async def test_a_lost_answer_is_unknown_only_where_the_call_may_be_repeated(
    *, repeatable: bool, error: type[ProviderError]
) -> None:
    async def silent(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return await hang_up(request)

    for answer, timeout_seconds in ((hang_up, 20.0), (silent, 0.1)):
        async with calls_to(answer, timeout_seconds) as (calls, wild):
            with pytest.raises(ProviderError) as lost:
                await calls.ask("POST", "/jobs", json={"prompt": PROMPT}, repeatable=repeatable)
            assert type(lost.value) is error
            assert len(wild.asked) == 1


async def test_an_answer_that_is_no_json_object_is_of_no_use() -> None:
    async with calls_to(always(200, text="<html>Sign in</html>")) as (calls, _):
        with pytest.raises(ProviderUnreachable):
            (await calls.ask("GET", "/jobs/1", repeatable=True)).document()
        with pytest.raises(ProviderFailed, match="not a JSON object"):
            (await calls.ask("POST", "/jobs", repeatable=False)).document()


async def test_a_body_without_end_is_not_read_to_its_end() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(bytes(65_536))
        except ConnectionError:
            return response

    async with calls_to(endless) as (calls, _):
        with pytest.raises(ProviderFailed, match=r"larger than 100,000 bytes"):
            await calls.fetch("/output.png", bytes_max=100_000)


async def test_an_output_is_fetched_with_the_key_from_the_provider_and_without_it_from_elsewhere() -> None:
    async def give(request: web.Request) -> web.Response:
        return web.Response(body=request.headers.get("Authorization", "none").encode())

    async with calls_to(give) as (calls, wild), serving(give) as other:
        assert await calls.fetch("/1.png") == f"Bearer {KEY}".encode()
        assert await calls.fetch(f"{wild.url}/1.png") == f"Bearer {KEY}".encode()
        assert await calls.fetch(f"{other.url}/1.png?signature=a%2Fb~c%7E") == b"none"
        assert other.asked[0].raw_path == "/1.png?signature=a%2Fb~c%7E"


async def test_a_redirect_of_a_download_is_followed_without_the_key() -> None:
    async def give(request: web.Request) -> web.Response:
        return web.Response(body=request.headers.get("Authorization", "none").encode())

    async with serving(give) as other, calls_to(always(302, headers={"Location": f"{other.url}/x"})) as (calls, _):
        assert await calls.fetch("/1.png") == b"none"


@pytest.mark.parametrize(
    "address",
    ["http://169.254.169.254/latest/meta-data/", "http://[fe80::1]/", "http://168.63.129.16/", "http://0x0a9fea9fe/"],
)
async def test_a_redirect_from_the_providers_own_address_is_judged_as_any_address_is(address: str) -> None:
    """It was followed wherever it led: to the metadata of the worker's machine, with its cloud credentials."""
    async with calls_to(always(302, headers={"Location": address})) as (calls, _):
        with pytest.raises(ProviderFailed, match=r"an output URL must resolve to a public|must have a valid host"):
            await calls.fetch("/1.png")


async def test_each_step_of_a_redirect_is_judged_and_there_are_few() -> None:
    steps = iter(range(100))

    async def on(_request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": f"/{next(steps)}"})

    async with calls_to(on) as (calls, wild):
        with pytest.raises(ProviderFailed, match="too many redirects"):
            await calls.fetch("/1.png")
        assert len(wild.asked) == 6

    async with calls_to(always(302, headers={"Location": "file:///etc/passwd"})) as (calls, _):
        with pytest.raises(ProviderFailed, match="must be http: or https:"):
            await calls.fetch("/1.png")


async def test_a_redirect_that_leads_back_to_the_provider_asks_it_without_the_key() -> None:
    """Else whoever an output's address leads to could ask the provider anything in our name."""

    async def give(request: web.Request) -> web.Response:
        return web.Response(body=request.headers.get("Authorization", "none").encode())

    async def away(request: web.Request) -> web.Response:
        if request.path == "/1.png":
            return web.Response(status=302, headers={"Location": f"{other.url}/there"})
        return await give(request)

    async with (
        calls_to(away) as (calls, wild),
        serving(always(302, headers={"Location": f"{wild.url}/account"})) as other,
    ):
        assert await calls.fetch("/1.png") == b"none"


async def test_a_socket_is_not_led_away_from_the_provider() -> None:
    async with serving(always(200)) as other, calls_to(always(302, headers={"Location": other.url})) as (calls, _):
        with pytest.raises(ProviderFailed, match="resolves to an address that is not public"):
            async with calls.socket("/ws"):
                pass
        assert other.asked == []


async def test_a_poll_url_on_another_host_is_checked_too() -> None:
    async with calls_to(always(200)) as (calls, _):
        with pytest.raises(ProviderFailed, match="must resolve to a public address"):
            await calls.ask("GET", "http://169.254.169.254/status", repeatable=True)


async def test_a_vendor_whose_name_leads_into_our_own_network_is_not_called() -> None:
    calls = ProviderCalls(Connection(name="box", key=KEY), base_url="https://localhost:9")
    with pytest.raises(ProviderFailed, match="resolves to an address that is not public"):
        await calls.ask("POST", "/v1/images", repeatable=False)
    await calls.close()


@pytest.mark.parametrize("address", ["http://127.0.0.1:{port}/1.png", "https://127.0.0.1:{port}/1.png"])
async def test_an_output_that_a_vendors_model_names_in_our_own_network_is_not_fetched(address: str) -> None:
    """A model is anybody's, and its output may be any text: also the address of what only our workers can reach."""
    async with serving(always(200)) as inside:
        calls = ProviderCalls(Connection(name="box", key=KEY), base_url="https://api.vendor.example")
        with pytest.raises(ProviderFailed, match="an output URL must"):
            await calls.fetch(address.format(port=inside.url.rpartition(":")[2]))
        await calls.close()
        assert inside.asked == []


async def test_a_name_that_leads_into_our_own_network_is_not_called() -> None:
    """Whatever it led to before: it is judged where the socket is made."""
    calls = ProviderCalls(Connection(name="box", key=KEY), base_url="https://api.vendor.example")
    with pytest.raises(ProviderFailed, match="resolves to an address that is not public"):
        await calls.fetch("https://localhost:9/1.png?signature=" + 3000 * "a")
    await calls.close()


@pytest.mark.parametrize(
    ("status", "error"), [(404, ProviderFailed), (403, ProviderFailed), (500, ProviderUnreachable), (429, ProviderBusy)]
)
async def test_a_deleted_output_is_distinguished_from_an_unavailable_one(
    status: int, error: type[ProviderError]
) -> None:
    async with calls_to(always(status)) as (calls, _):
        with pytest.raises(ProviderError) as refused:
            await calls.fetch("/1.png")
    assert type(refused.value) is error


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "ftp://example.org/x", "http://", "data:image/png;base64,AA"]
)
async def test_only_http_is_fetched(address: str) -> None:
    calls = ProviderCalls(Connection(name="box"))
    with pytest.raises(ProviderFailed, match="neither http: nor https:"):
        await calls.fetch(address)


def test_outputs_in_base64_are_decoded_with_a_limit() -> None:
    assert decoded("aGk=") == decoded("data:image/png;base64,aGk=") == b"hi"
    for text in ("a?b=", None, "A" * 100):
        with pytest.raises(ProviderFailed):
            decoded(text, bytes_max=8)


async def test_the_providers_words_reach_the_operator_without_key_prompt_and_files() -> None:
    told = {"error": {"code": "bad_size", "message": "size 7x7 is not one of 1024x1024", "type": "invalid_request"}}
    repeats = {"detail": [{"loc": ["prompt"], "msg": f"too long: {PROMPT[4:30]}", "type": "x"}]}
    secret = {"detail": f"no such key {KEY} for https://box.example/a?sig=1 and data:image/png;base64,AAAA"}
    said = []
    for document in (told, repeats, secret):
        async with calls_to(always(400, document)) as (calls, _):
            answer = await calls.ask("POST", "/jobs", repeatable=False)
            said.append(calls.refusal(answer, private=PROMPT).detail)
    assert "size 7x7 is not one of 1024x1024" in said[0]
    assert "bad_size" in said[0]
    for text in said[1:]:
        assert KEY not in text
        assert "fox" not in text
        assert "sig=1" not in text
        assert "AAAA" not in text


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("the FOX that walks through the deep snow of it", False),
        ("a red\nfox that  walks", False),
        ("a fox and snow", True),
        ("model not found", True),
    ],
)
def test_a_text_with_a_run_of_the_prompt_in_it_is_left_out(text: str, *, kept: bool) -> None:
    assert (presentable(text, private=PROMPT) == text) is kept


def test_a_short_prompt_is_looked_for_whole() -> None:
    assert presentable("no cat here", private="cat") == "(message left out: it repeats the request)"
    assert presentable("a category", private="cat") == "a category"
    assert len(presentable("word " * 1000)) == 300
