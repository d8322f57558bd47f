"""The image and compose.yaml: linted, valid, and what they start runs as they start it."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import yaml

from gateway.cli import farebox
from gateway.startup.misspelt import misspelt
from tests.api.visitor import Visitor
from tests.free_ports import free_port
from tests.proxies import program

DEPLOY = Path(__file__).parents[2] / "deploy"
CONTAINERFILE = DEPLOY / "container" / "Containerfile"
COMPOSE = DEPLOY / "compose"
SERVICES = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]


def tool(name: str) -> str:
    """A program of the `dev` extra."""
    return str(Path(sys.executable).with_name(name))


def linted(*command: str | Path) -> None:
    answer = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_containerfile_is_linted_and_compose_is_valid() -> None:
    linted(tool("hadolint"), CONTAINERFILE)
    linted(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", COMPOSE / "compose.yaml")


async def test_the_health_check_of_the_image_tells_a_gateway_from_none(gateway: Visitor) -> None:
    text = CONTAINERFILE.read_text().replace("\\\n", "")
    found = re.search(r"HEALTHCHECK .* CMD (\[.*\])$", text, re.MULTILINE)
    assert found
    _, *arguments = json.loads(found[1])
    for port, healthy in ((gateway.address.rpartition(":")[2], True), (str(free_port()), False)):
        command = [sys.executable, *(one.replace("8080", port) for one in arguments)]
        asked = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
        assert (await asked.wait() == 0) is healthy


def test_every_service_runs_a_command_with_settings_that_exist() -> None:
    ours = {name: service for name, service in SERVICES.items() if service["image"] == "farebox:latest"}
    assert {"gateway", "caretaker"} < set(ours)
    for name, service in ours.items():
        assert service["command"][0] in farebox.list_commands(None), name  # type: ignore[arg-type]  # needs none
        assert misspelt(dict.fromkeys(service["environment"], "")) == {}, name
        assert service["read_only"] is True, name


def test_the_example_of_the_environment_has_each_variable_that_must_be_set() -> None:
    text = (COMPOSE / "compose.yaml").read_text()
    wanted = set(re.findall(r"\$\{(\w+):\?\}", text))
    offered = set(re.findall(r"^(\w+)=", (COMPOSE / "env.example").read_text(), re.MULTILINE))
    assert offered == wanted


def test_prometheus_asks_services_and_every_mounted_file_is_there() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    targets = [target for job in config["scrape_configs"] for one in job["static_configs"] for target in one["targets"]]
    assert {target.partition(":")[0] for target in targets} <= set(SERVICES)
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", ()) if mount.startswith("..")]
    assert mounts
    for mount in mounts:
        assert (COMPOSE / mount.partition(":")[0]).exists(), mount


def test_a_gateway_needs_no_file_but_those_in_its_data_folder_and_no_name_for_its_user(
    redis_url: str, tmp_path: Path
) -> None:
    """As in the image: user 10001, whom no file knows, and a root file system that cannot be written."""
    data, port = tmp_path / "data", free_port()
    data.mkdir()
    environment = {
        "FAREBOX_DATA": data,
        "FAREBOX_HOST": "127.0.0.1",
        "FAREBOX_PORT": port,
        "FAREBOX_LEDGER_URL": redis_url,
        "PYTHONDONTWRITEBYTECODE": 1,
    }
    sandbox = (
        f"--ro-bind / / --tmpfs /tmp --proc /proc --dev /dev --bind {data} {data} --chdir {data} --die-with-parent "
        "--unshare-user --uid 10001 --gid 10001 --unshare-pid --cap-drop ALL --clearenv "
    ) + " ".join(f"--setenv {name} {value}" for name, value in environment.items())
    command = [program("bwrap"), *shlex.split(sandbox), sys.executable, "-P", "-m", "gateway", "gateway"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=root) as process:
        assert process.stdout is not None
        seen = []
        for line in process.stdout:
            seen.append(line)
            if "gateway_ready" in line:
                break
        process.kill()
    assert any("gateway_ready" in line for line in seen), "".join(seen)
    assert {path.name for path in data.iterdir()} >= {"admin-key", "signing-key"}
