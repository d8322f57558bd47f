"""Forms with files, as the clients of other APIs send them."""

from __future__ import annotations

import pytest

from gateway.api import limits
from tests.api.visitor import Visitor
from tests.cases import cases
from tests.made_media import picture

EDITS = "/openai/v1/images/edits"


def form_of(**parts: str) -> bytes:
    """A form of fields, and of a file that is named `content`."""
    head = b"--b\r\nContent-Disposition: form-data; name="
    files = {"content": b'"content"; filename="f"'}
    sent = (
        head + files.get(name, f'"{name}"'.encode()) + f"\r\n\r\n{text}\r\n".encode() for name, text in parts.items()
    )
    return b"".join(sent) + b"--b--\r\n"


async def test_a_file_that_is_sent_twice_with_one_key_is_one(gateway: Visitor) -> None:
    """`Idempotency-Key` was passed over: each repetition was another upload, and counted as one."""
    key, path = await gateway.account(), "/replicate/v1/files"
    head = b'--b\r\nContent-Disposition: form-data; name="content"; filename="a.png"\r\n\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=b", "Idempotency-Key": "k"}
    first, again, other = [
        await gateway.call("POST", path, key, headers=headers, raw=head + picture(form) + b"\r\n--b--\r\n")
        for form in ("PNG", "PNG", "JPEG")
    ]
    assert (first.status, first.body) == (201, again.body)
    assert again.headers["Idempotent-Replay"] == "true"
    assert (other.status, other.code) == (422, "idempotency_key_reused")


@cases("text", ["[" * 9_000, "[" * 300 + "]" * 300, '{"a": NaN}', '{"a": 1e999}', '{"a": "\\ud800"}'])
async def test_a_forms_json_is_taken_as_strictly_as_a_body(gateway: Visitor, text: str) -> None:
    """What is nested too deep ended as a 500, and so did what is not held, once it was to be written as JSON."""
    key, headers = await gateway.account(), {"Content-Type": "multipart/form-data; boundary=b"}
    for path, raw in (
        ("/openai/v1/videos", form_of(model="clip", prompt="x", metadata=text)),
        ("/replicate/v1/files", form_of(content="x", metadata=text)),
    ):
        reply = await gateway.call("POST", path, key, headers=headers, raw=raw)
        assert (reply.status, reply.fields) == (400 if "openai" in path else 422, ["metadata"]), reply.raw[:300]


async def test_a_form_that_is_none_is_refused(gateway: Visitor, key: str) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    for raw in (b"no form", b"--b\r\n\r\nno name\r\n--b--\r\n"):
        reply = await gateway.call("POST", "/openai/v1/videos", key, headers=headers, raw=raw)
        assert (reply.status, reply.code) == (400, "invalid_request"), reply.raw
    many = (
        b"".join(b'--b\r\nContent-Disposition: form-data; name="a%d"\r\n\r\n1\r\n' % n for n in range(70))
        + b"--b--\r\n"
    )
    reply = await gateway.call("POST", "/openai/v1/videos", key, headers=headers, raw=many)
    assert "64 parts" in reply.message


async def test_the_files_of_a_form_have_a_limit_together(gateway: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each had one alone: 64 files of 50 MiB were received before they were refused."""
    monkeypatch.setattr(limits, "INPUTS_MAX_BYTES", 1000)
    key, headers = await gateway.account(), {"Content-Type": "multipart/form-data; boundary=b"}
    head = b'--b\r\nContent-Disposition: form-data; name="image[]"; filename="a.png"\r\n\r\n'
    reply = await gateway.call(
        "POST", EDITS, key, headers=headers, raw=2 * (head + 600 * b"x" + b"\r\n") + b"--b--\r\n"
    )
    assert (reply.status, reply.code) == (413, "body_too_large"), reply.raw
    monkeypatch.setattr(limits, "FORM_OVERHEAD_BYTES", 0)
    reply = await gateway.call("POST", EDITS, key, headers=headers, raw=head + 1001 * b"x")
    assert (reply.status, reply.code) == (413, "body_too_large"), "before it is read"


async def test_each_facade_takes_tags(gateway: Visitor) -> None:
    """In a form, a tag is a field of its own, as for `sandbox`."""
    key, headers = await gateway.account(), {"Content-Type": "multipart/form-data; boundary=b"}
    for value, wanted in (("apollo", {200, 201, 202}), ("", {400, 422})):
        asked = {"prompt": "x", "tags": {"project": value}}
        raw = form_of(model="clip", prompt="x", **{"tags[project]": value})
        for reply in (
            await gateway.call("POST", "/openai/v1/videos", key, headers=headers, raw=raw),
            await gateway.call("POST", "/replicate/v1/predictions", key, {"version": "farebox/sketch", "input": asked}),
            await gateway.call("POST", "/fal/queue/farebox/sketch", key, asked),
        ):
            assert reply.status in wanted, reply.raw
            assert (reply.status < 400) != (b"tags.project" in reply.raw)
    page = (await gateway.call("GET", "/v1/generations?tags[project]=apollo", key)).body["data"]
    assert sorted(one["model"] for one in page) == ["clip", "sketch", "sketch"]
