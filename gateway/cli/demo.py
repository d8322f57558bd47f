"""`farebox demo`: the main use case on real input, with a running gateway."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from gateway.cli.account import journal_table
from gateway.cli.operator import admin_key, in_words
from gateway.cli.say import say
from gateway.cli.terminal import Terminal, as_text
from gateway.client.calls import GatewayClient, GatewayRefused
from gateway.media import EXTENSIONS
from gateway.settings import Settings, load_settings

_POLL_SECONDS = 0.25
_FINAL = frozenset({"succeeded", "failed", "cancelled"})
_WISHES = (
    {"tool": "image", "model": "flux-dev", "prompt": "A lighthouse on a cliff at dusk, long exposure, calm sea"},
    {"tool": "video", "model": "wan-2.2", "prompt": "Paper boats drifting down a river of light"},
)


@click.command()
@click.option("--account", "name", help="The account to use. Default: a new account with its own free credits.")
def demo(name: str | None) -> None:
    """Generate one image and one video on the free credits, and show how every credit was spent.

    Needs a running gateway (`farebox up`) and its admin key. Writes the files to `demo/` in the data folder, and the
    demo account's key, which the curl command shown at the end uses.
    """
    settings = load_settings()
    try:
        failed = asyncio.run(_demonstrate(settings, name or f"demo-{secrets.token_hex(3)}"))
    except GatewayRefused as refused:
        raise click.ClickException(in_words(refused, settings)) from None
    if failed:
        raise click.ClickException("Some outputs were not delivered (see above) and were not charged.")


async def _demonstrate(settings: Settings, name: str) -> bool:
    """Run the whole demo; True if something was not delivered."""
    console = Terminal()
    async with GatewayClient(settings.operators_address, admin_key(settings)) as admin:
        await admin.call("PUT", f"/v1/admin/accounts/{name}", {})
        made = await admin.call("POST", f"/v1/admin/accounts/{name}/keys", {"label": "demo"})
    folder = settings.data / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    key_file = folder / "key"
    _write_secret(key_file, made["key"])
    async with GatewayClient(settings.operators_address, made["key"]) as client:
        balance = await client.call("GET", "/v1/balance")
        console.print(f"Account [bold]{name}[/] has [bold]{balance['available']:,}[/] free credits.\n")
        wishes = [_Wish(body, await client.call("POST", "/v1/quotes", body)) for body in _WISHES]
        for wish in wishes:
            lines = "; ".join(f"{as_text(line['label'])} {line['total']:,}" for line in wish.quote["lines"])
            console.print(f"  {wish.body['tool']:5}  “{wish.body['prompt']}”")
            most = "at most " if "at_most" in wish.quote else ""
            console.print(f"         quoted {most}{wish.quote['credits']:,} credits: {lines}")
        console.print()
        done = await _generate(client, wishes, console)
        for generation in done:
            await _show(client, generation, folder, console)
        balance = await client.call("GET", "/v1/balance")
        link = await client.call("POST", "/v1/sign-in-links", {})
    console.print(f"\nLeft: [bold]{balance['available']:,}[/] credits available, {balance['held']:,} held.\n")
    _say_next(settings, key_file, link["url"], console)
    return any(generation["status"] != "succeeded" for generation in done)


@dataclass(frozen=True, slots=True)
class _Wish:
    body: dict[str, Any]
    quote: dict[str, Any]


async def _generate(client: GatewayClient, wishes: list[_Wish], console: Terminal) -> list[dict[str, Any]]:
    """Request everything concurrently and follow each to its end, with a progress bar each."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[status]}"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        tasks = [progress.add_task(f"{wish.body['tool']:5}", total=1.0, status="quoted") for wish in wishes]
        follow = (_follow(client, wish, progress, task) for wish, task in zip(wishes, tasks, strict=True))
        return list(await asyncio.gather(*follow))


async def _follow(client: GatewayClient, wish: _Wish, progress: Progress, task: TaskID) -> dict[str, Any]:
    body = {**wish.body, "quote": wish.quote["quote"]}
    generation = await client.call("POST", "/v1/generations", body, once=secrets.token_hex(16))
    while generation["status"] not in _FINAL:
        await asyncio.sleep(_POLL_SECONDS)
        generation = await client.call("GET", f"/v1/generations/{generation['id']}")
        status = generation["status"]
        if generation.get("queue_position") is not None:
            status = f"{status}, {generation['queue_position']} ahead"
        progress.update(
            task, completed=generation["progress"], status=f"{status}, {generation['credits']['held']:,} held"
        )
    progress.update(task, completed=1.0, status=generation["status"])
    return generation


async def _show(client: GatewayClient, generation: dict[str, Any], folder: Path, console: Terminal) -> None:
    """Save the outputs of a generation and print its receipt."""
    console.print()
    receipt = await client.call("GET", f"/v1/generations/{generation['id']}/receipt")
    paid = generation["credits"]
    console.print(f"[bold]{generation['tool']}[/]  {generation['id']}  {generation['status']}")
    for output in generation["outputs"]:
        extension = EXTENSIONS.get(output["content_type"], "bin")
        path = folder / f"{generation['id']}-{output['index']}.{extension}"
        path.write_bytes(await client.download(output["url"]))
        length = f", {output['duration_seconds']} s" if output.get("duration_seconds") else ""
        console.print(f"  {path}  ({output['width']}×{output['height']}{length}, {output['bytes']:,} bytes)")
    if generation["error"]:
        console.print(f"  [red]{as_text(generation['error']['message'])}[/]")
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for line in receipt["lines"]:
        count = f" × {line['count']}" if line["count"] != 1 else ""
        table.add_row(as_text(f"  {line['label']}{count}"), f"{line['total']:,}")
    spent = ", ".join(f"{share['credits']:,} {share['bucket']}" for share in paid["allocation"])
    table.add_row(f"  charged (from {spent})", f"[bold]{paid['committed']:,}[/]")
    if paid["refunded"]:
        table.add_row("  returned", f"{paid['refunded']:,}")
    console.print(table)
    console.print()
    console.print(journal_table(receipt["entries"], "journal"))


def _write_secret(path: Path, secret: str) -> None:
    """Write a file that only its owner can read from the moment it is created."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secret)


def _say_next(settings: Settings, key_file: Path, link: str, console: Terminal) -> None:
    """Print a one-time sign-in link and a curl command that can be pasted; neither shows the key."""
    address = settings.public_address
    console.print("[bold]Try next[/]")
    say(
        f"""  See it in the browser (one-time link, valid for one hour):
  {link}

  curl -s {address}/v1/generations \\
    -H "Authorization: Bearer $(cat {key_file})" -H 'Content-Type: application/json' \\
    -d '{{"tool": "image", "model": "flux-dev", "prompt": "a fox in the snow"}}'

  curl -s {address}/v1/balance -H "Authorization: Bearer $(cat {key_file})"

  API docs: {address}/docs    the rate card: {address}/v1/rate-card
"""
    )
