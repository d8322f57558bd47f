"""Buckets of moto's S3 server, which checks signatures and policies as Amazon's does: one server for all cases."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import socket
import threading
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass

import boto3
import pytest
import requests
from aiohttp import ClientSession
from moto.server import ThreadedMotoServer

from gateway.domain import generation_id
from gateway.errors import ObjectNotStored, OutputMissing, StoreUnavailable
from gateway.outputs import OutputStore, StoredObject, output_key
from gateway.settings import cloud_environment

BUCKET, REGION = "farebox-outputs", "eu-central-1"
GENERATION = generation_id(0x2A, seed="moto")
KEY = output_key(GENERATION, attempt=1, index=0, content_type="video/mp4")
OTHER = output_key(GENERATION, attempt=1, index=1, content_type="video/mp4")
DATA = bytes(range(256)) * 4096
LARGE = 12 * 2**20 + 1  # three parts
NEEDED = (
    "GetObject",
    "PutObject",
    "DeleteObject",
    "ListBucket",
    "AbortMultipartUpload",
)
"""As docs/object-store.md says."""


class Metadata:
    """A metadata service of a cloud, and how many connections it has had."""

    def __init__(self) -> None:
        self.asked = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.asked += 1
            connection.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@dataclass(frozen=True, slots=True)
class Moto:
    """`keys`: of a user that may do what the docs ask for; `reader`: of one that may read only."""

    address: str
    keys: dict[str, str]
    reader: dict[str, str]
    metadata: Metadata

    def check_signatures(self, *, on: bool) -> None:
        """From now on, or no more."""
        after = "0" if on else "inf"  # so many calls
        requests.post(f"{self.address}/moto-api/reset-auth", data=after, timeout=30).raise_for_status()


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server, metadata = ThreadedMotoServer("127.0.0.1", 0), Metadata()
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    try:
        by_hand = boto3.Session("any", "any", region_name=REGION)
        s3 = by_hand.client("s3", endpoint_url=address)
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        iam = by_hand.client("iam", endpoint_url=address)
        made = Moto(address, _user(iam, "farebox", NEEDED), _user(iam, "reader", ("GetObject", "ListBucket")), metadata)
        made.check_signatures(on=True)
        yield made
        made.check_signatures(on=False)  # a setting of the process
    finally:
        server.stop()
        metadata.close()


def _user(iam: object, name: str, actions: tuple[str, ...]) -> dict[str, str]:
    resources = [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"]
    allow = {"Effect": "Allow", "Action": [f"s3:{action}" for action in actions], "Resource": resources}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.create_user(UserName=name)  # type: ignore[attr-defined]  # boto3 has no types
    iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=policy)  # type: ignore[attr-defined]
    key = iam.create_access_key(UserName=name)["AccessKey"]  # type: ignore[attr-defined]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


@pytest.fixture
def environment(moto: Moto, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The variables of docs/object-store.md for a server of one's own, and none of this machine."""
    for name in os.environ:
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_")):
            monkeypatch.delenv(name)
    for name, value in {
        "AWS_ENDPOINT_URL": moto.address,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": REGION,
        "AWS_METADATA_ENDPOINT": moto.metadata.address,
        **moto.keys,
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def opened(url: str = f"s3://{BUCKET}/a/prefix") -> OutputStore:
    return OutputStore.open(url, cloud_environment())


async def collected(chunks: AsyncGenerator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


@pytest.mark.usefixtures("environment")
async def test_everything_that_farebox_does_with_a_bucket_is_signed_and_allowed_by_what_the_docs_ask_for(
    moto: Moto,
) -> None:
    store = opened()
    await store.probe(write=True)
    await store.probe(write=False)
    await store.put(KEY, DATA)
    assert await store.head(KEY) == StoredObject(size=len(DATA), content_type="video/mp4")
    assert await store.get(KEY) == DATA
    assert await collected(await store.stream(KEY, 5, 10)) == DATA[5:10]
    await store.put_file(OTHER, io.BytesIO(bytes(LARGE)), LARGE)
    assert (await store.head(OTHER)).size == LARGE
    await store.copy(KEY, OTHER)
    assert await store.get(OTHER) == DATA
    assert await store.delete_generations([GENERATION]) == [GENERATION]
    with pytest.raises(OutputMissing):
        await store.get(KEY)
    assert moto.metadata.asked == 0


@pytest.mark.usefixtures("environment")
async def test_a_link_serves_the_object_with_ranges_and_names_the_region(moto: Moto) -> None:
    store = opened()
    await store.put(KEY, DATA)
    link = await store.link(KEY, 3600)
    assert link is not None
    assert f"%2F{REGION}%2Fs3%2Faws4_request" in link
    await asyncio.to_thread(moto.check_signatures, on=False)  # moto breaks at a signature in a query
    try:
        async with ClientSession() as client, client.get(link, headers={"Range": "bytes=5-9"}) as response:
            assert (response.status, await response.read()) == (206, DATA[5:10])
    finally:
        await asyncio.to_thread(moto.check_signatures, on=True)


@pytest.mark.parametrize(
    ("endpoint", "virtual", "expected"),
    [
        ("https://minio.internal:9000", "", f"https://minio.internal:9000/{BUCKET}/a/prefix/outputs/"),
        (f"https://{BUCKET}.minio.internal", "true", f"https://{BUCKET}.minio.internal/a/prefix/outputs/"),
        ("", "", f"https://s3.{REGION}.amazonaws.com/{BUCKET}/a/prefix/outputs/"),
        ("", "true", f"https://{BUCKET}.s3.{REGION}.amazonaws.com/a/prefix/outputs/"),
    ],
)
async def test_the_bucket_is_in_the_path_or_by_setting_in_the_host(
    environment: pytest.MonkeyPatch, endpoint: str, virtual: str, expected: str
) -> None:
    for name, value in {"AWS_ENDPOINT_URL": endpoint, "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": virtual}.items():
        environment.setenv(name, value) if value else environment.delenv(name, raising=False)
    link = await opened().link(KEY, 3600)
    assert link is not None
    assert link.startswith(expected)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "SignatureDoesNotMatch"),
        ({"AWS_ACCESS_KEY_ID": "AKIANOBODYS000000000"}, "InvalidAccessKeyId"),
        ({"AWS_ALLOW_HTTP": ""}, "AWS_ALLOW_HTTP=true"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "without credentials, as none are set"),
    ],
)
async def test_what_is_wrong_is_said_and_no_metadata_service_is_asked(
    moto: Moto, environment: pytest.MonkeyPatch, change: dict[str, str], said: str
) -> None:
    for name, value in change.items():
        environment.setenv(name, value) if value else environment.delenv(name)
    with pytest.raises(StoreUnavailable, match=said):
        await opened().probe(write=True)
    assert moto.metadata.asked == 0


async def test_credentials_that_may_only_read_are_told_so_when_something_is_stored(
    moto: Moto, environment: pytest.MonkeyPatch
) -> None:
    for name, value in moto.reader.items():
        environment.setenv(name, value)
    with pytest.raises(ObjectNotStored, match="AccessDenied"):
        await opened().put(KEY, DATA)


async def test_only_by_setting_the_metadata_service_is_asked(moto: Moto, environment: pytest.MonkeyPatch) -> None:
    """So that the others can fail."""
    for name in moto.keys:
        environment.delenv(name)
    store = OutputStore.open(f"s3://{BUCKET}", cloud_environment(), instance_credentials=True)
    before = moto.metadata.asked
    with pytest.raises(StoreUnavailable):
        await store.probe(write=True)
    assert await asyncio.to_thread(lambda: moto.metadata.asked) > before
