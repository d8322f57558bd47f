"""docs/generated-client.md: a client made from `/openapi.json` as the page says, without a warning, and its calls."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import re
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from tests.api.visitor import PICTURE, Visitor, description
from tests.made_media import picture
from tests.until import until

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "generated-client.md").read_text()
(PROGRAM,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
ADDRESS = "http://127.0.0.1:8080"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder with `farebox_client`, which can be imported."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "openapi.json").write_text(json.dumps(description(ADDRESS).document))
    config = ROOT / "docs" / "examples" / "openapi-python-client.yaml"
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    made = subprocess.run(
        [
            *(sys.executable, "-m", "openapi_python_client", "generate", "--path", "openapi.json"),
            *("--config", str(config), "--meta", "none", "--fail-on-warning"),
        ],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (made.returncode, made.stderr) == (0, ""), made.stdout
    assert made.stdout.split() == ["Generating", str(folder / "farebox_client")]
    (folder / "program.py").write_text(PROGRAM)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == "farebox_client"]:
        del sys.modules[name]


def test_it_has_no_name_that_was_made_up_for_want_of_one(generated: Path) -> None:
    """`AddOnOutCreditsPerType0`, `FreePlanOutAllowAdditionalProperty`."""
    names = [path.stem for path in (generated / "farebox_client" / "models").glob("*.py")]
    assert len(names) > 100
    assert [name for name in names if re.search(r"type_\d|additional_property|_item$", name)] == []


def test_it_type_checks_strictly_and_so_does_the_program_of_the_page(generated: Path) -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", os.devnull, "farebox_client", "program.py"],
        cwd=generated,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


async def test_the_program_of_the_page_creates_a_generation_and_reads_it(gateway: Visitor, generated: Path) -> None:
    key = await gateway.account()
    program = PROGRAM.replace(ADDRESS, gateway.address).replace("flux-dev", "sketch")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program),
        stdout=PIPE,
        stderr=PIPE,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(generated), "FAREBOX_KEY": key},
    )
    saying = asyncio.create_task(process.communicate())
    found: list[dict[str, Any]] = []

    async def made() -> bool:
        found[:] = (await gateway.call("GET", "/v1/generations", key)).body["data"]
        return bool(found) or saying.done()

    await until(made)
    assert len(found) == 1, await saying
    await gateway.finish(found[0]["id"])
    said, complained = await saying
    assert complained == b""
    assert said.startswith(b"GenerationOut(id=")
    assert b"SUCCEEDED" in said


async def test_a_402_is_a_typed_error_with_its_ways_out(gateway: Visitor, generated: Path) -> None:
    models, create = client_modules(generated)
    settings = models.SettingsIn.from_dict({"duration": 8})
    order = models.GenerationIn(tool="video", model="clip", prompt="rain", settings=settings)
    async with signed_in(gateway.address, await gateway.account()) as client:
        first = await create.asyncio(client=client, body=order, idempotency_key="once")
        again = await create.asyncio(client=client, body=order, idempotency_key="once")
        assert again.id == first.id
        refused = await create.asyncio_detailed(client=client, body=order)
    assert refused.status_code == 402
    assert type(refused.parsed) is models.InsufficientCreditsError
    error = refused.parsed.error
    assert (error.code, error.needed, error.held) == ("insufficient_credits", first.price.credits_, error.needed)
    assert error.available == pytest.approx(100 - error.needed)
    assert [plan.id for plan in error.ways_out.upgrade] == ["basic", "standard"]
    assert type(error.ways_out.wait[0].at) is datetime


async def test_an_error_is_of_the_class_of_its_code(gateway: Visitor, generated: Path) -> None:
    models, create = client_modules(generated)
    expected = {
        ("clop", 1): models.UnknownModelError,
        ("gallery", 100): models.SubscriptionRequiredError,
        ("sketch", 1): models.PriceAboveCeilingError,
    }
    async with signed_in(gateway.address, await gateway.account()) as client:
        for (model, ceiling), error in expected.items():
            order = models.GenerationIn(tool="image", model=model, prompt="a fox", max_credits=ceiling)
            assert type(await create.asyncio(client=client, body=order)) is error
    async with signed_in(gateway.address, "fbx_wrong") as client:
        assert type(await create.asyncio(client=client, body=order)) is models.InvalidKeyError


async def test_files_go_up_and_come_down_as_bytes(gateway: Visitor, generated: Path) -> None:
    models, _ = client_modules(generated)
    upload = importlib.import_module("farebox_client.api.uploads.create_upload")
    download = importlib.import_module("farebox_client.api.generations.get_output")
    files = importlib.import_module("farebox_client.types")
    key = await gateway.account()
    done = await gateway.finished(key)
    async with signed_in(gateway.address, key) as client:
        file = files.File(payload=BytesIO(picture("PNG")))
        with client.get_httpx_client():
            kept = await asyncio.to_thread(upload.sync, client=client, body=file)
        assert (type(kept), kept.kind) == (models.UploadOut, models.MediaKind.IMAGE)
        output = await download.asyncio(done, 0, client=client)
        assert output.payload.read() == PICTURE


def client_modules(generated: Path) -> tuple[Any, Any]:
    """The models of the generated client, and the module of its create call."""
    assert str(generated) in sys.path
    models = importlib.import_module("farebox_client.models")
    return models, importlib.import_module("farebox_client.api.generations.create_generation")


def signed_in(address: str, key: str) -> Any:
    return importlib.import_module("farebox_client").AuthenticatedClient(base_url=address, token=key)
