"""Every sample of /docs is run as it stands there, on a gateway that has what it names."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from gateway.api.description.operations import NAMES, PARAMETER_EXAMPLES
from gateway.api.http.route import Route
from gateway.api.routes import ROUTES
from gateway.api.services import SETTINGS
from gateway.domain import FailureCode, Scope
from gateway.outputs import output_key
from tests.api.visitor import Visitor, open_gateway
from tests.made_media import picture
from tests.missing import not_run

ROOT = Path(__file__).parents[2]
LANGUAGES = ("curl", "Python", "JavaScript")
# This gateway has no Stripe, no provider that calls, no payment event that waits, and the output of the example is no
# input, which is all that a worker gets.
NOTHING_THERE = {
    "receiveStripeEvent", "receiveProviderCallback", "retryPaymentEvent", "dropPaymentEvent", "getObject",
}  # fmt: skip
ENDLESS = {"streamEvents", "streamChecks"}
_SECONDS = 300

# Each has a language's own way to tell the status, and to go on with the next.
RUNNERS = {
    "Python": """
import sys, json, requests
statuses, send = {}, requests.Session.request
def noted(self, *arguments, **options):
    answer = send(self, *arguments, **options)
    statuses[name] = answer.status_code
    return answer
requests.Session.request = noted
import os
for name, key, code in json.load(open("samples.json")):
    os.environ["FAREBOX_KEY"] = key
    exec(code, {})
json.dump(statuses, open("statuses.json", "w"))
""",
    "JavaScript": """
import { readFileSync, writeFileSync } from "node:fs";
const statuses = {}, send = globalThis.fetch;
let now = "";
globalThis.fetch = async (...all) => {
  const answer = await send(...all);
  statuses[now] = answer.status;
  return answer;
};
const Program = Object.getPrototypeOf(async () => {}).constructor;
for (const [name, key, code] of JSON.parse(readFileSync("samples.json"))) {
  now = name;
  process.env.FAREBOX_KEY = key;
  const inside = code.replaceAll("import(", "load(");
  await new Program("load", inside)((module) => import(module));
}
writeFileSync("statuses.json", JSON.stringify(statuses));
""",
}


@pytest.fixture
async def stocked(redis_url: str, tmp_path: Path) -> AsyncIterator[Visitor]:
    """A gateway with the default card, and in its folder the file that is uploaded."""
    shutil.copy(ROOT / "pricing.toml", tmp_path)
    (tmp_path / "picture.png").write_bytes(picture("PNG"))
    async with open_gateway(redis_url, tmp_path) as gateway:
        yield gateway


@pytest.mark.timeout(_SECONDS)
@pytest.mark.parametrize("language", LANGUAGES)
async def test_each_sample_makes_its_call(stocked: Visitor, tmp_path: Path, language: str) -> None:
    if language == "JavaScript" and shutil.which("node") is None:
        not_run("NOT RUN: the samples in JavaScript. There is no Node here (Debian, Ubuntu: apt install nodejs)")
    gateway = stocked
    page = (await gateway.call("GET", "/docs")).raw.decode()
    account = await gateway.owner()
    real = await _stock(gateway, account)
    samples = []
    for route in _in_order():
        name = NAMES[route.method, route.path]
        if name in NOTHING_THERE or (name in ENDLESS and language != "curl"):
            continue
        key = account if Scope.ACCOUNT in route.scopes else gateway.admin
        samples.append((name, key, _filled(gateway, _sample(page, name, language), real.get(name, {}))))
    statuses = await (_curl(samples, tmp_path) if language == "curl" else _run(language, samples, tmp_path))
    assert {name: status for name, status in statuses.items() if not 200 <= status < 400} == {}
    assert statuses.keys() == {name for name, _, _ in samples}


def _in_order() -> list[Route]:
    """What takes something away comes last; before it what pauses, which retries do not go past."""
    return sorted(
        ROUTES,
        key=lambda route: (
            route.path.endswith("/person"),
            route.method == "DELETE",
            route.path.endswith("/resume"),
            "pause" in route.path,
        ),
    )


def _sample(page: str, name: str, language: str) -> str:
    """The sample as a reader copies it."""
    article = page.split(f'<article class="panel" id="{name}">', 1)[1].split("</article>", 1)[0]
    found = re.search(rf'<h4>{language}</h4><pre tabindex="0">(.*?)</pre>', article, re.DOTALL)
    assert found, name
    return unescape(found[1])


def _filled(gateway: Visitor, sample: str, real: dict[str, str]) -> str:
    """The sample with this gateway's address, as the page's script puts it in, and with the names of what there is."""
    sample = sample.replace(gateway.app[SETTINGS].public_address, gateway.address)
    for parameter, value in real.items():
        example = quote(str(PARAMETER_EXAMPLES[parameter]), safe="")
        assert example in sample
        sample = sample.replace(example, quote(value, safe=""))
    return sample


async def _stock(gateway: Visitor, key: str) -> dict[str, dict[str, str]]:
    """What the samples name: their real ids by call."""
    await gateway.grant(1_000_000)
    await gateway.subscribe("ultimate")
    await gateway.call("PUT", "/v1/admin/accounts/acme", gateway.admin, {"email": "ada@example.com"})
    finished = await gateway.finished(key, model="flux-dev", webhook_url="https://example.com/one")
    failed = await gateway.made(key, model="flux-dev")
    await gateway.begin(failed)
    await gateway.settle(failed, FailureCode.PROVIDER_REJECTED)
    running = await gateway.made(key, model="flux-dev")
    await gateway.begin(running)
    queued = await gateway.made(key, model="flux-dev")
    (delivery, *_) = (await gateway.call("GET", "/v1/webhooks/default/deliveries", key)).body["data"]
    hook = {"url": "https://example.com/all", "events": ["credits.low"]}
    webhook = (await gateway.call("POST", "/v1/webhooks", key, hook)).body["id"]
    bought = (await gateway.call("POST", "/v1/top-ups", key, {"bundle": "small"})).body
    token = parse_qs(urlsplit(bought["checkout_url"]).query)["token"][0]
    of_account = (await gateway.call("POST", "/v1/admin/accounts/acme/keys", gateway.admin, {})).body["id"]
    of_operator = (await gateway.call("POST", "/v1/admin/keys", gateway.admin, {"scope": "ops"})).body["id"]
    names = {name: {"generation": finished} for call, name in NAMES.items() if "{generation}" in call[1]}
    names |= {name: {"checkout": bought["id"]} for call, name in NAMES.items() if "{checkout}" in call[1]}
    names |= {
        name: {"webhook": webhook}
        for (_, path), name in NAMES.items()
        if "{webhook}" in path and "/deliveries" not in path  # the `default` one has what was told
    }
    names["cancelGeneration"] = {"generation": queued}
    names["retryGeneration"] = {"generation": failed}
    names["putObject"] = {"object": output_key(running, 1, 0, "image/png")}
    names["resendDelivery"] = names["getDeliveryRequest"] = {"delivery": delivery["id"]}
    for name in ("showCheckout", "answerCheckout"):
        names[name]["token"] = token
    names |= {
        name: {"key": of_account} for (_, path), name in NAMES.items() if "/accounts/{account}/keys/{key}" in path
    }
    own = (await gateway.call("POST", "/v1/keys", key, {})).body["id"]
    names |= {name: {"key": own} for (_, path), name in NAMES.items() if path.startswith("/v1/keys/{key}")}
    names["revokeOperatorKey"] = {"key": of_operator}
    for name in ("changeAccountMember", "removeAccountMember", "changeMember", "removeMember"):
        member = await gateway.call("POST", "/v1/admin/accounts/acme/members", gateway.admin, {"name": name})
        names[name] = {"member": member.body["id"]}
    # Handed over to whoever has it already: an admin could not make all of these calls.
    (owner, *_) = (await gateway.call("GET", "/v1/members", key)).body["data"]
    for name in ("handOver", "handAccountOver", "inviteMember", "inviteAccountMember"):
        names[name] = {"member": owner["id"]}
    return names


async def _curl(samples: list[tuple[str, str, str]], folder: Path) -> dict[str, int]:
    """All in one shell; each tells its status beside what it prints."""
    lines = []
    for name, key, sample in samples:
        # What never ends is left after its head has come.
        bounded = "curl --max-time 1" if name in ENDLESS else "curl"
        told = f"{bounded} -s -w '%{{stderr}}{name} %{{http_code}}\\n'"
        lines += [f"export FAREBOX_KEY={key}", sample.replace("curl", told, 1)]
    program = await asyncio.create_subprocess_exec(
        *("sh", "-c", "\n".join(lines)),
        cwd=folder,
        env={"PATH": "/usr/bin:/bin"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await program.communicate()
    return {name: int(status) for name, status in (line.split() for line in said.decode().splitlines())}


async def _run(language: str, samples: list[tuple[str, str, str]], folder: Path) -> dict[str, int]:
    """All samples of a language in one process."""
    runner = folder / {"Python": "run.py", "JavaScript": "run.mjs"}[language]
    runner.write_text(RUNNERS[language])
    (folder / "samples.json").write_text(json.dumps(samples))
    with_it = sys.executable if language == "Python" else "node"
    program = await asyncio.create_subprocess_exec(
        *(with_it, str(runner)), cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await program.communicate()
    assert program.returncode == 0, said.decode()
    statuses: dict[str, int] = json.loads((folder / "statuses.json").read_text())
    return statuses
