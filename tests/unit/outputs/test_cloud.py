"""How a bucket is reached: with the credentials that are set, and without asking the machine's cloud for others."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.errors import OutputMissing, SettingsError, StoreUnavailable
from gateway.outputs import OutputStore
from gateway.outputs.cloud import has_credentials
from gateway.settings import cloud_environment
from tests.s3_server import BUCKET, s3_server
from tests.unit.outputs.test_store import KEY, UPLOAD


@pytest.fixture(autouse=True)
def _no_cloud_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_")):
            monkeypatch.delenv(name)


@asynccontextmanager
async def metadata_service() -> AsyncIterator[tuple[str, list[str]]]:
    """An address like 169.254.169.254, and the first lines of what it was asked."""
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readline()).decode())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


async def test_without_credentials_the_metadata_service_of_the_machine_is_not_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """obstore asked 169.254.169.254 for an instance's role at each call, wherever it ran."""
    async with s3_server() as s3, metadata_service() as (metadata, asked):
        for name, value in s3.environment().items():
            if "KEY" not in name:
                monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", metadata)
        store = OutputStore.open(f"s3://{BUCKET}", cloud_environment())
        with pytest.raises(StoreUnavailable, match="without credentials, as none are set: 403 AccessDenied"):
            await store.probe(write=True)
        assert asked == []
        assert s3.asked.total() == 1
        by_setting = OutputStore.open(f"s3://{BUCKET}", cloud_environment(), instance_credentials=True)
        with pytest.raises(StoreUnavailable):
            await by_setting.probe(write=True)
        assert "/latest/api/token" in asked[0], "it is asked where the setting says so: this test can fail"


@pytest.mark.parametrize(
    ("url", "environment"),
    [
        ("s3://b", {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}),
        ("s3a://b", {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_ROLE_ARN": "arn"}),
        ("s3://b", {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2"}),
        ("gs://b", {"GOOGLE_APPLICATION_CREDENTIALS": "/key.json"}),
        ("az://b", {"AZURE_STORAGE_ACCOUNT_KEY": "x"}),
    ],
)
def test_credentials_are_those_of_the_urls_own_cloud(url: str, environment: dict[str, str]) -> None:
    assert has_credentials(url, environment)
    assert not has_credentials(url, dict.fromkeys(environment, ""))
    assert not has_credentials(url, {"HOME": "/nowhere"})
    another = "gs://b" if not url.startswith("gs") else "s3://b"
    assert not has_credentials(another, environment)


def test_half_of_a_pair_of_keys_is_refused_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAHALFAPAIR0000000")
    with pytest.raises(SettingsError, match=r"FAREBOX_OUTPUTS_URL: .*Missing SecretAccessKey") as refused:
        OutputStore.open("s3://b", cloud_environment(), instance_credentials=True)
    assert "\n" not in str(refused.value)


async def test_a_missing_bucket_is_not_taken_for_a_missing_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """An output of a bucket that was gone was `404`, and an upload "gone": both are there when it is back."""
    async with s3_server() as s3:
        for name, value in s3.environment().items():
            monkeypatch.setenv(name, value)
        store = OutputStore.open("s3://nobody-made-it", cloud_environment())
        for ask in (store.head, store.get, store.stream):
            with pytest.raises(StoreUnavailable, match="NoSuchBucket"):
                await ask(KEY)
        s3.objects["nobody-made-it"] = {}
        for ask in (store.head, store.get, store.stream):
            with pytest.raises(OutputMissing):
                await ask(KEY)
        with pytest.raises(OutputMissing):
            await store.copy(UPLOAD, KEY)


async def test_a_disallowed_http_endpoint_names_the_setting_that_allows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with s3_server() as s3:
        for name, value in s3.environment().items():
            if name != "AWS_ALLOW_HTTP":
                monkeypatch.setenv(name, value)
        with pytest.raises(StoreUnavailable, match="AWS_ALLOW_HTTP=true"):
            await OutputStore.open(f"s3://{BUCKET}", cloud_environment()).probe(write=True)
        assert s3.asked.total() == 0


async def test_an_error_quotes_nothing_of_what_the_store_says_beside_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 answers a wrong signature with the access key, the signature and what was to be signed."""
    async with s3_server() as s3:
        for name, value in s3.environment("AKIAOFSOMEBODY000000").items():
            monkeypatch.setenv(name, value)
        store = OutputStore.open(f"s3://user:pass@{BUCKET}/a", cloud_environment())
        with pytest.raises(StoreUnavailable) as refused:
            await store.probe(write=True)
    for secret in ("AKIAOFSOMEBODY000000", "<Message>", "pass"):
        assert secret not in str(refused.value)


def test_a_url_that_no_store_has_is_refused_without_the_credentials_in_it() -> None:
    with pytest.raises(SettingsError, match="az://container") as refusal:
        OutputStore.open("az://name:its-secret@container", {})
    assert "its-secret" not in str(refusal.value)
