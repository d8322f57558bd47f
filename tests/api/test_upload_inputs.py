"""An upload as the input of a generation."""

from __future__ import annotations

import time

import pytest

from gateway.api import limits, services
from gateway.errors import OutputMissing
from tests.api.uploading import DAY, MP4, PNG, an_input, files, stored_input, uploaded
from tests.api.visitor import SKETCH, Visitor
from tests.made_media import picture


async def test_an_upload_is_an_input_whose_bytes_are_the_generations_own_from_then_on(gateway: Visitor) -> None:
    key = await gateway.account()
    address = await uploaded(gateway, key)
    inputs = an_input(address)
    assert (await gateway.call("POST", "/v1/quotes", key, SKETCH | {"inputs": inputs})).status == 200
    first, second = await gateway.made(key, inputs=inputs), await gateway.made(key, inputs=inputs)
    shown = (await gateway.call("GET", f"/v1/generations/{first}", key)).body
    assert shown["inputs"] == [{"kind": "image", "url": None}]
    for path in files(gateway, "uploads"):
        path.unlink()
    assert await stored_input(gateway, first) == await stored_input(gateway, second) == PNG
    await gateway.app[services.OUTPUTS].delete_generations([first])
    with pytest.raises(OutputMissing):
        await stored_input(gateway, first)
    assert await stored_input(gateway, second) == PNG


async def test_uploads_urls_and_data_stand_beside_each_other_in_order(gateway: Visitor, key: str) -> None:
    other = picture("PNG", width=65)
    addresses = [await uploaded(gateway, key, data) for data in (PNG, other)]
    inputs = [*an_input(addresses[1]), *an_input("https://example.com/a.png"), *an_input(addresses[0])]
    generation = await gateway.made(key, inputs=inputs)
    assert await stored_input(gateway, generation, 0) == other
    assert await stored_input(gateway, generation, 2) == PNG


async def test_an_upload_is_worth_nothing_to_another_account_or_when_it_is_forged(gateway: Visitor) -> None:
    key, other = await gateway.account(), await gateway.account("other")
    address = await uploaded(gateway, key)
    changed = address.replace(".png/", ".gif/")
    for who, url in ((other, address), (key, changed), (key, "upload:")):
        for path in ("/v1/generations", "/v1/quotes"):
            inputs = [*an_input("https://example.com/a.png"), *an_input(url)]
            refused = await gateway.call("POST", path, who, SKETCH | {"inputs": inputs})
            assert (refused.status, refused.code, refused.fields) == (422, "invalid_request", ["inputs.1.url"])
            assert "is not an upload of this account" in refused.message


async def test_an_upload_of_another_kind_is_refused(gateway: Visitor, key: str) -> None:
    inputs = an_input(await uploaded(gateway, key, MP4, "video/mp4"))
    for path in ("/v1/generations", "/v1/quotes"):
        refused = await gateway.call("POST", path, key, SKETCH | {"inputs": inputs})
        assert (refused.status, refused.fields) == (422, ["inputs.0.url"])
        assert "is video/mp4, but the input's kind is 'image'" in refused.message


async def test_an_order_takes_so_many_bytes_of_uploads_and_no_more(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker has them all in memory: one large file named sixteen times would be nearly a gigabyte."""
    monkeypatch.setattr(limits, "INPUTS_MAX_BYTES", 2 * len(PNG))
    key = await gateway.account()
    (one,) = an_input(await uploaded(gateway, key))
    assert (await gateway.create(key, inputs=[one, one])).status == 202
    refused = await gateway.create(key, inputs=[one, *an_input("https://example.com/a.png"), one, one])
    assert (refused.status, refused.code, refused.fields) == (422, "invalid_request", ["inputs.3.url"])
    assert " MiB in total" in refused.message


async def test_an_expired_upload_is_refused_and_what_was_ordered_with_it_is_answered_as_before(
    gateway: Visitor, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = await uploaded(gateway, key)
    made = await gateway.create(key, inputs=an_input(address), once="k")
    assert made.status == 202
    monkeypatch.setattr(gateway.app[services.UPLOAD_ADDRESSES], "_clock", lambda: time.time() + DAY + 3600)
    again = await gateway.create(key, inputs=an_input(address), once="k")
    assert (again.status, again.headers["Idempotent-Replay"], again.body["id"]) == (200, "true", made.body["id"])
    refused = await gateway.create(key, inputs=an_input(address), once="another")
    assert (refused.status, refused.fields) == (422, ["inputs.0.url"])
    assert "has expired; upload the file again with POST /v1/uploads" in refused.message
    assert (await gateway.call("POST", "/v1/quotes", key, SKETCH | {"inputs": an_input(address)})).status == 422


async def test_an_upload_whose_file_is_gone_is_refused_leaves_nothing_and_is_still_answered_as_before(
    gateway: Visitor,
    key: str,
) -> None:
    addresses = [await uploaded(gateway, key), await uploaded(gateway, key, picture("PNG", width=65))]
    inputs = [*an_input(addresses[0]), *an_input(addresses[1])]
    made = await gateway.create(key, inputs=inputs, once="k")
    assert made.status == 202
    (gone,) = [path for path in files(gateway, "uploads") if path.name in addresses[1]]
    gone.unlink()
    again = await gateway.create(key, inputs=inputs, once="k")
    assert (again.status, again.body["id"]) == (200, made.body["id"])
    refused = await gateway.create(key, inputs=inputs)
    assert (refused.status, refused.fields) == (422, ["inputs.1.url"])
    assert len(files(gateway, "inputs")) == 2, "those of the one that was accepted"


async def test_a_replay_leaves_the_inputs_of_the_first_alone_and_none_of_its_own(gateway: Visitor, key: str) -> None:
    inputs = an_input(await uploaded(gateway, key))
    made = await gateway.create(key, inputs=inputs, once="k")
    assert (await gateway.create(key, inputs=inputs, once="k")).status == 200
    await gateway.app[services.BACKGROUND].finish()
    assert await stored_input(gateway, made.body["id"]) == PNG
    assert len(files(gateway, "inputs")) == 1


@pytest.mark.parametrize("once", [None, "k"])
async def test_a_refused_order_leaves_no_inputs_behind(gateway: Visitor, key: str, once: str | None) -> None:
    """With an idempotency key they used to stay for ever: nobody knew whether another request needed them."""
    inputs = an_input(await uploaded(gateway, key))
    spent = {"bucket": "free", "credits": -100, "reason": "a test"}
    assert (await gateway.call("POST", "/v1/admin/accounts/acme/adjustments", gateway.admin, spent)).status == 201
    refused = await gateway.create(key, inputs=inputs, once=once)
    assert refused.status == 402
    await gateway.app[services.BACKGROUND].finish()
    assert files(gateway, "inputs") == []
    assert len(files(gateway, "uploads")) == 1
