"""`farebox ops`: what is open and paused; cancel, retry or refund many, over the HTTP API of a running gateway."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from gateway.cli.listing import Listing
from gateway.cli.operator import ask_gateway
from gateway.cli.options import as_json_option
from gateway.cli.say import say, say_json
from gateway.cli.terminal import Terminal, as_text
from gateway.client.calls import GatewayClient

_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DOES = {
    "cancel": "Cancel {count} open {generations} of {accounts}: {credits:,} credits held",
    "retry": "Retry {count} failed {generations} of {accounts}, holding {credits:,} credits again",
    "refund": "Give back {credits:,} credits, charged for {count} {generations} of {accounts}",
}
_NEW = {"refuse": "refused", "wait": "waits"}
_SKIPPED = {
    "paused": "paused",
    "open": "its breaker is open",
    "full": "all slots are taken",
    "rate": "given its jobs of this minute",
}
F = TypeVar("F", bound=Callable[..., None])


class _Age(click.ParamType[int]):
    """A duration such as 90s, 10m, 1h or 2d, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Convert the text to seconds."""
        found = re.fullmatch(r"(\d{1,8})([smhd])", str(value))
        if found is None:
            self.fail(f"{value!r} is not a duration such as 90s, 10m, 1h or 2d", param, ctx)
        return int(found[1]) * _UNIT_SECONDS[found[2]]


@click.group(cls=Listing)
def ops() -> None:
    """List what is open, failed or paused, and the providers; cancel, retry or refund many generations at once.

    Talks to the running gateway with the admin key, as `farebox account` does. Without --yes, `cancel`, `retry` and
    `refund` show what they would do, and ask.

    \b
    Examples:
      farebox ops list --older-than 1h
      farebox ops providers
      farebox ops cancel --provider fal --older-than 1h --reason "it is down"
      farebox ops refund --account acme --model flux-dev --reason "charged twice"
    """


def _filters(command: F) -> F:
    """The filters that all of them take."""
    for option in reversed(
        (
            click.option("--account", metavar="ID", help="Only of this account."),
            click.option("--tool", metavar="ID", help="Only of this tool."),
            click.option("--model", metavar="ID", help="Only of this model."),
            click.option("--provider", metavar="NAME", help="Only of this provider of the rate card."),
            click.option("--code", help="Only those that ended with this error, such as provider_failed."),
            click.option("--after", "created_after", metavar="TIME", help="Only created at or after this time."),
            click.option("--until", "created_before", metavar="TIME", help="Only created before this time."),
            click.option("--older-than", "older_than_seconds", type=_Age(), help="Only older than this: 10m, 1h, 2d."),
        )
    ):
        command = option(command)
    return command


@ops.command("list")
@click.option(
    "--status",
    type=click.Choice(["open", "waiting", "queued", "running", "failed", "charged"]),
    default="open",
    show_default=True,
    help="Open ones are listed oldest first, the others last ended first.",
)
@_filters
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="Number of generations.")
@click.option("--before", metavar="CURSOR", help="Continue where the previous page ended.")
@as_json_option
def list_generations(*, as_json: bool, **query: str | int | None) -> None:
    """List generations of all accounts: open ones, those that failed lately, or those charged for."""
    asked = {name: str(value) for name, value in query.items() if value is not None}
    page = ask_gateway(lambda client: client.call("GET", "/v1/ops/generations", query=asked))
    if as_json:
        say_json(page)
        return
    Terminal().print_whole(_table(page["data"]))
    if page["next"] is not None:
        say(f"more: --before {page['next']}")


@ops.command()
@as_json_option
def pauses(*, as_json: bool) -> None:
    """List what is paused: tools, models and providers (`farebox account show` has an account's)."""
    listed = ask_gateway(lambda client: client.call("GET", "/v1/ops/pauses"))
    if as_json:
        say_json(listed)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("paused", "since", "until", "new ones", "reason"):
        table.add_column(column, no_wrap=True)
    for one in listed["data"]:
        row = (f"{one['kind']} {one['name']}", one["since"], one["until"] or "resumed", _NEW[one["new"]], one["reason"])
        table.add_row(*map(as_text, row))
    Terminal().print_whole(table)


@ops.command()
@as_json_option
def providers(*, as_json: bool) -> None:
    """List the providers: their state, why one is given nothing new, their breaker, and their last failure.

    `farebox pause provider NAME --reason "…"` takes one out, `farebox resume provider NAME` takes it in again. Models
    that have another provider are made there meanwhile; of others, nothing new starts.
    """
    found = ask_gateway(lambda client: client.call("GET", "/v1/ops/queues"))["providers"]
    if as_json:
        say_json({"providers": found})
        return
    if found is None:
        raise click.ClickException("The queue is unreachable, so the state of the providers is unknown. Retry later.")
    table = Table(box=None, pad_edge=False)
    for column in ("provider", "state", "nothing new because", "breaker", "in work", "queued", "last failure"):
        table.add_column(column, no_wrap=True)
    for one in found:
        table.add_row(*map(as_text, _provider_row(one)))
    Terminal().print_whole(table)


def _provider_row(one: dict[str, Any]) -> tuple[str, ...]:
    breaker, failure = one["breaker"], one["last_failure"]
    limit = "" if one["max_in_work"] is None else f"/{one['max_in_work']}"
    since = f" since {breaker['since']}" if breaker and breaker["since"] else ""
    failed = f"{one['failed_at']} {failure['code']}: {failure['message']}" if failure else one["failed_at"] or ""
    return (
        one["name"],
        one["state"],
        _SKIPPED.get(one["skipped"], ""),
        "" if breaker is None else breaker["state"].replace("_", " ") + since,
        f"{one['in_work']}{limit}",
        str(one["in_line"]),
        failed,
    )


_BULK_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("--generation", "generations", multiple=True, metavar="ID", help="Only this one; may be repeated."),
    click.option("--reason", required=True, help="Why: shown to customers in the journal, and in the audit log."),
    click.option("--yes", is_flag=True, help="Do it without asking."),
    as_json_option,
)


def _bulk(action: str, summary: str) -> None:
    """Add the command of a bulk action."""

    def command(
        *, reason: str, yes: bool, as_json: bool, generations: tuple[str, ...], **filters: str | int | None
    ) -> None:
        only: dict[str, Any] = {name: value for name, value in filters.items() if value is not None}
        if generations:
            only["generations"] = list(generations)
        if not only:
            raise click.UsageError("Give at least one filter: not everything is changed at once.")
        body = {"filter": only, "reason": reason}
        path = f"/v1/ops/bulk/{action}"
        found = ask_gateway(lambda client: client.call("POST", path, body))
        if not as_json:
            _show(action, found)
        if found["count"] == 0 or not (yes or _agreed(as_json=as_json)):
            if as_json:
                say_json(found)
            elif found["count"]:
                say("Nothing was done. Add --yes to do it.")
            return
        done = ask_gateway(lambda client: _work(client, path, body | {"token": found["token"]}, quiet=as_json))
        if as_json:
            say_json(done)
            return
        results = ", ".join(f"{count} {word.replace('_', ' ')}" for word, count in sorted(done["results"].items()))
        say(f"Done: {results}; {done['credits_moved']:,} credits.")

    decorated: Any = command
    for option in reversed(_BULK_OPTIONS):
        decorated = option(decorated)
    ops.command(action, help=summary)(_filters(decorated))


def _agreed(*, as_json: bool) -> bool:
    """Whether somebody at the terminal says yes."""
    return not as_json and sys.stdin.isatty() and click.confirm("Do it?")


async def _work(client: GatewayClient, path: str, body: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """Repeat the call until all are done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Terminal(stderr=True), disable=quiet) as progress:
        task = progress.add_task(path.rpartition("/")[2], total=None)
        while True:
            done = await client.call("POST", path, body)
            progress.update(task, total=done["count"], completed=done["done"])
            if done["complete"]:
                return done


def _show(action: str, found: dict[str, Any]) -> None:
    if found["count"] == 0:
        say("No generation matches.")
        return
    Terminal().print_whole(_table(found["generations"]))
    if found["count"] > len(found["generations"]):
        say(f"… and {found['count'] - len(found['generations']):,} more.")
    generations = "generation" if found["count"] == 1 else "generations"
    accounts = "1 account" if found["accounts"] == 1 else f"{found['accounts']} accounts"
    say(f"{_DOES[action].format_map(found | {'generations': generations, 'accounts': accounts})}.")
    if found["more"]:
        say(f"Others match beyond the limit of {found['limit']:,}: run it again afterwards.")


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("generation", "account", "model", "provider", "status", "age", "held", "charged", "attempts"):
        table.add_column(column, no_wrap=True, justify="right" if column in {"age", "held", "charged"} else "left")
    for one in rows:
        status = one["code"] or ("paused" if one["paused"] else one["status"])
        columns = (one["id"], one["account"], one["model"], one["provider"], status, _age(one["age_seconds"]))
        table.add_row(*map(as_text, columns), f"{one['held']:,}", f"{one['committed']:,}", str(one["attempt"]))
    return table


def _age(seconds: float) -> str:
    for unit, size in reversed(_UNIT_SECONDS.items()):
        if seconds >= 2 * size or unit == "s":
            return f"{int(seconds // size)} {unit}"
    return ""


_bulk("cancel", "Cancel all open generations that match: first shown, then asked.")
_bulk("retry", "Retry all failed generations that match, at the price as ordered then: first shown, then asked.")
_bulk("refund", "Give back what generations that match were charged: first shown, then asked.")
