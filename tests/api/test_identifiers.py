"""Nothing that the API shows is a credential, but the keys, cookies and links that it hands out as such.

An account is used in every way there is; whatever an answer holds is collected, taken apart and decoded, and each piece
is tried as a key, as a session and as a sign-in link.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from yarl import URL

from gateway.api import limits, services
from gateway.api.access.auth import KEY_MAX_CHARACTERS
from gateway.api.access.sessions import COOKIE
from gateway.api.routes import ROUTES, SSE
from tests.api.visitor import CARD, SKETCH, Reply, Visitor, open_gateway, open_stream
from tests.cases import cases
from tests.made_media import picture
from tests.redis_servers import RedisServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

OURS = {"Sec-Fetch-Site": "same-origin"}
OPERATORS = ("ops", "admin")
NOBODY = {"scope": None, "account": None}
HOOK = {"url": "https://hooks.example.com/farebox", "events": ["generation.succeeded"]}
SAME_FOR_ALL = {"/docs", "/openapi.json", "/metrics", "/v1/rate-card", "/v1/plans"}
_WORD = re.compile(r"[\w.~+=-]+", re.ASCII)


class Witness(Visitor):
    """A visitor who keeps every answer."""

    def __init__(self, gateway: Visitor) -> None:
        super().__init__(gateway.app, gateway.address, gateway.session, gateway.admin)
        self.replies: list[Reply] = []

    async def call(self, *args: Any, **named: Any) -> Reply:
        reply = await super().call(*args, **named)
        self.replies.append(reply)
        return reply


@dataclass
class Lived:
    """What an account that was used in every way has been shown, and the few things of it that do open something."""

    words: set[str]
    keys: set[str]
    cookies: set[str]
    named: dict[str, str]
    tokens: dict[str, str]
    output: str
    upload: str


def texts_of(reply: Reply) -> Iterator[str]:
    """Every text in an answer: its headers, and its body's members, names as well."""
    yield from reply.headers.values()
    try:
        yield from leaves(json.loads(reply.raw))
    except ValueError:
        yield reply.raw.decode(errors="replace")


def leaves(value: Any) -> Iterator[str]:
    match value:
        case dict():
            for name, member in value.items():
                yield str(name)
                yield from leaves(member)
        case list():
            for member in value:
                yield from leaves(member)
        case _:
            yield str(value)


def pieces(text: str) -> Iterator[str]:
    """A text's words, the parts of those, and what any of them says in Base64."""
    for word in _WORD.findall(text):
        for part in {word, *word.split("."), *word.split("="), *word.split("-", 1)}:
            yield part
            try:
                decoded = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode("ascii")
            except (binascii.Error, ValueError):
                continue
            yield from _WORD.findall(decoded)


async def live(gateway: Visitor) -> Lived:
    """Use an account, its keys and its sessions in every way, and read all that there is to read."""
    witness = Witness(gateway)
    key = await witness.account()
    await witness.subscribe()
    ops, admin = [await witness.operator_key(scope) for scope in OPERATORS]
    opened, unopened = [await link_of(witness, key) for _ in range(2)]
    cookies = [await cookie_of(witness, key=one) for one in (key, ops, admin, gateway.admin)]
    cookies.append(await cookie_of(witness, link=opened))
    named = {"account": "acme", "index": "0", "provider": "box", "delivery": "evt_" + "0" * 26}
    named["generation"] = await witness.finished(key)
    named["webhook"] = (await witness.call("POST", "/v1/webhooks", key, HOOK)).body["id"]
    quote = (await witness.call("POST", "/v1/quotes", key, SKETCH, {"Idempotency-Key": "once"})).body["quote"]
    sent = await witness.call("POST", "/v1/uploads", key, None, {"Content-Type": "image/png"}, raw=picture("PNG"))
    upload = sent.body["url"]
    bought = (await witness.call("POST", "/v1/top-ups", key, {"bundle": "small"})).body
    named["checkout"] = bought["id"]
    named["key"] = (await witness.call("GET", "/v1/admin/accounts/acme/keys", admin)).body["data"][0]["id"]
    callback = witness.app[services.CALLBACK_LINKS].url("box", named["generation"])
    await read_all(witness, named, (key, ops, admin, gateway.admin), cookies)
    shown = (await witness.call("GET", f"/v1/generations/{named['generation']}", key)).body
    output = "/v1" + shown["outputs"][0]["url"].partition("/v1")[2]
    tokens = {
        "a cookie": cookies[0],
        "a link": unopened,
        "a quote": quote,
        "an upload": upload.rpartition("/")[2],
        "a purchase's page": bought["checkout_url"].partition("token=")[2],
        "an output": output.partition("signature=")[2],
        "a callback": callback.rpartition("/")[2],
        "a key": key,
    }
    keys = {key, ops, admin, gateway.admin}
    texts = {text for reply in witness.replies for text in texts_of(reply)} | {callback}
    texts |= {digest(one.encode()).hexdigest() for one in keys for digest in (hashlib.sha256, hashlib.sha1)}
    words = {piece for text in texts for piece in pieces(text)} | {"root", "admin"}
    words = {word for word in words if 2 < len(word) <= KEY_MAX_CHARACTERS - 4}
    return Lived(words, keys, set(cookies), named, tokens, output, upload)


async def read_all(gateway: Visitor, named: dict[str, str], keys: Iterable[str], cookies: Iterable[str]) -> None:
    """Make every call that only reads, with each key and each session."""
    for route in ROUTES:
        path = re.sub(r"{(\w+)}", lambda match: named.get(match[1], "none"), route.path)
        if route.method == "GET" and route.media != SSE and route.path not in SAME_FOR_ALL:
            for key in keys:
                await gateway.call("GET", path, key)
            for cookie in cookies:
                await gateway.call("GET", path, None, None, {"Cookie": f"{COOKIE}={cookie}"})


async def cookie_of(gateway: Visitor, **body: str) -> str:
    reply = await gateway.call("POST", "/session", None, body, OURS)
    assert reply.status == 201, reply.raw
    return str(reply.headers["Set-Cookie"]).partition(";")[0].partition("=")[2]


async def link_of(gateway: Visitor, key: str) -> str:
    return str((await gateway.call("POST", "/v1/sign-in-links", key, {})).body["url"]).partition("#")[2]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(single_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Visitor]:
    """A gateway whose card has a provider that calls back, and which takes any number of wrong keys without waiting."""
    single_server.flush()
    folder = tmp_path_factory.mktemp("gateway")
    card = CARD.read_text() + '[providers.box]\nkind = "http"\nbase_url = "http://127.0.0.1:9"\n'
    (folder / "pricing.toml").write_text(card)
    with pytest.MonkeyPatch.context() as patch:
        for allowance in ("WRONG_KEYS_PER_MINUTE", "WRONG_OPERATOR_KEYS_PER_MINUTE"):
            patch.setattr(limits, allowance, 1_000_000)
        async with open_gateway(single_server.url, folder) as visitor:
            yield visitor


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lived(gateway: Visitor) -> Lived:
    """One life for all: what is tried on it opens nothing, and what does open is there for one test."""
    return await live(gateway)


async def test_no_identifier_is_a_key(gateway: Visitor, lived: Lived) -> None:
    """A key's id was one, once the console had made a request: ids and digests of keys were in one cache."""
    assert len([word for word in lived.words if word.startswith("key_")]) >= 3, "ids of keys are among what is tried"
    for word in sorted(lived.words - lived.keys):
        for tried in {word, f"fbx_{word}"} - lived.keys:
            assert (await gateway.call("GET", "/v1/balance", tried)).status == 401, tried


async def test_no_identifier_signs_anybody_in(gateway: Visitor, lived: Lived) -> None:
    for word in sorted(lived.words - lived.keys):
        for body in ({"key": word}, {"link": word}):
            if body.get("link") != lived.tokens["a link"]:
                reply = await gateway.call("POST", "/session", None, body, OURS)
                assert reply.status == 401, body
                assert "Set-Cookie" not in reply.headers


async def test_no_identifier_is_a_session(gateway: Visitor, lived: Lived) -> None:
    for word in sorted(lived.words - lived.cookies):
        assert (await who_has(gateway, word)) == NOBODY, word
    assert NOBODY not in [await who_has(gateway, cookie) for cookie in lived.cookies], "those that are do work"


async def test_what_is_signed_for_one_use_is_worth_nothing_for_another(gateway: Visitor, lived: Lived) -> None:
    """Each kind of token is brought to every door: all are signed with one key."""
    for kind, token in lived.tokens.items():
        for door, opened in (await doors(gateway, lived, token)).items():
            assert opened is (door == kind), f"{kind} at the door of {door}"


async def test_an_account_that_is_called_like_an_operators_key_shares_nothing_with_it(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its open streams were counted as the operator's, and could keep the operator's out."""
    monkeypatch.setattr(limits, "STREAMS_MAX", 1)
    made = [(await gateway.call("POST", "/v1/admin/keys", gateway.admin, {"scope": scope})).body for scope in OPERATORS]
    for name, operators in [(one["id"], one["key"]) for one in made] + [("root", gateway.admin)]:
        key = await gateway.account(name)
        async with open_stream(gateway, "/v1/events", key), open_stream(gateway, "/v1/events", operators):
            pass  # both are open at once


async def doors(gateway: Visitor, lived: Lived, token: str) -> dict[str, bool]:
    """Which doors a token opens, by the kind of token that is theirs."""
    key = lived.tokens["a key"]
    output = lived.output.partition("signature=")[0] + f"signature={token}"
    address = lived.upload.rpartition("/")[0] + f"/{token}"
    with_input = SKETCH | {"inputs": [{"kind": "image", "url": address}]}
    callback = f"/v1/callbacks/box/{token}"
    return {
        "a key": (await gateway.call("GET", "/v1/balance", token)).status == 200,
        "a cookie": (await who_has(gateway, token)) != NOBODY,
        "a link": (await gateway.call("POST", "/session", None, {"link": token}, OURS)).status == 201,
        "a quote": (await gateway.call("POST", "/v1/generations", key, SKETCH | {"quote": token})).status == 202,
        "an upload": (await gateway.call("POST", "/v1/generations", key, with_input)).status == 202,
        "an output": (await gateway.call("GET", output)).status == 200,
        "a callback": (await gateway.call("POST", callback, None, {"id": "job"})).status == 200,
        "a purchase's page": (await gateway.call("GET", f"/checkout/{lived.named['checkout']}?token={token}")).status
        == 200,
    }


async def who_has(gateway: Visitor, cookie: str) -> Any:
    return (await gateway.call("GET", "/session", None, None, {"Cookie": f"{COOKIE}={cookie}"})).body


@cases("ending", ["%0A", "%0D%0A", "%00", "%20", "%E2%80%A8"])
async def test_no_call_takes_an_id_with_something_behind_it(gateway: Visitor, lived: Lived, ending: str) -> None:
    """`acme%0A` could be made an account beside acme: `$` in a pattern of Python's fits before a line's end."""
    for route in ROUTES:
        for name in re.findall(r"{(\w+)}", route.path):
            named = lived.named | {name: lived.named.get(name, "none") + ending}
            path = re.sub(r"{(\w+)}", lambda match: named.get(match[1], "none"), route.path)  # noqa: B023 - used at once
            refused = {401, 403, 404, 422} if "/v1/members" in path or "/v1/keys" in path else {401, 404, 422}
            assert await status_of(gateway, route.method, path, lived) in refused, (route.method, path)


@cases("name", [".", "..", "%2E", "%2e%2E", "acme%0A", "a%20b", "a%2Fb"])
async def test_what_is_no_accounts_id_makes_no_account(gateway: Visitor, name: str) -> None:
    path = URL(f"{gateway.address}/v1/admin/accounts/{name}", encoded=True)
    who = {"Authorization": f"Bearer {gateway.admin}"}
    async with gateway.session.put(path, headers=who, json={}) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (422, "invalid_request")


async def status_of(gateway: Visitor, method: str, path: str, lived: Lived) -> int:
    """What a call answers whoever may make it: the account, else an operator."""
    for key in (lived.tokens["a key"], gateway.admin):
        who = {"Authorization": f"Bearer {key}"}
        body = None if method in {"GET", "DELETE"} else b"{}"
        url = URL(gateway.address + path, encoded=True)
        async with gateway.session.request(method, url, headers=who, data=body) as response:
            if response.status != 403:
                return response.status
    return 403
