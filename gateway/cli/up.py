"""`farebox up`: everything on one machine, in the foreground."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import shutil
import signal
import sys
from pathlib import Path

import aiohttp
import click
from redis.exceptions import RedisError
from yarl import URL

from gateway.cli.log_columns import LogColumns
from gateway.cli.several_gateways import gateway_programs
from gateway.client.calls import GatewayClient
from gateway.errors import FareboxError
from gateway.local import data_folder
from gateway.local.embedded import find_redis, lock
from gateway.local.listening import free_port
from gateway.local.supervisor import Program, Supervisor
from gateway.outside.addresses import AddressGuard
from gateway.outside.outgoing import Outgoing
from gateway.pricing.load import default_card_path, is_the_example, load_card
from gateway.pricing.reload import RateCards
from gateway.process_metrics import ARCHIVIST, CARETAKER, worker_process
from gateway.redis_link.connections import connect_queue
from gateway.settings import Settings, load_settings
from gateway.startup.exposure import links_in_words, mode_in_words
from gateway.tasks import Tasks

_FAREBOX = (sys.executable, "-P", "-m", "gateway")  # -P: ignore a folder named gateway in the current directory
_UNDER_UP = "--under-up"  # each serves its metrics to the gateway, which shows them all
_CHECK_SECONDS = 0.1
_FOLLOW_SECONDS = 1.0
_KILL_AFTER_SECONDS = 10  # beyond the grace period, for handing back and closing
_HTTP_OK = 200


@click.command()
@click.option("--demo", is_flag=True, help="Once everything is up, make one image and one video on the free credits.")
def up(*, demo: bool) -> None:
    """Run everything on this machine: gateway, a worker for each tool, caretaker, and Redis if no URL is set.

    Each runs as a separate process and is restarted if it dies. Ctrl-C stops them in order: running generations finish
    or are handed back, and Redis stops last. A second Ctrl-C stops everything at once, without losing anything.

    All data is in FAREBOX_DATA (.farebox) and is used again at the next start. The gateway's GET /metrics includes the
    metrics of all processes, each with the label `process`.

    \b
    Examples:
      farebox up --demo
      FAREBOX_PORT=9000 farebox up
      FAREBOX_LEDGER_URL=redis://localhost:6379 farebox up
    """
    settings = load_settings()
    tools = list(load_card(default_card_path(settings.rate_card)).tools)
    if settings.embedded:
        find_redis()
    umask = data_folder.take(settings.data)
    lock(settings.data.resolve(), "farebox up")
    settings = settings.model_copy(update={"port": free_port(settings.host, settings.port, "up")})
    settings.secret("admin-key")  # generated now, so that the path shown exists
    asyncio.run(_Everything(settings, tools, umask).run(demo=demo))


class _Everything:
    """The whole of Farebox as child processes, from start to stop."""

    def __init__(self, settings: Settings, tools: list[str], umask: int) -> None:
        self._settings = settings
        self._umask = umask  # the user's own, for the demo's downloads
        self._environment = settings.environment()
        self._tools = set(tools)
        self._beside = [
            *gateway_programs((*_FAREBOX, "gateway", _UNDER_UP), settings.gateway_count),
            *(_worker(tool) for tool in tools),
            Program(CARETAKER, (*_FAREBOX, "caretaker", _UNDER_UP)),
            *([Program(ARCHIVIST, (*_FAREBOX, "archivist", _UNDER_UP))] if settings.archive_url else []),
        ]
        names = ["farebox", "redis", *(program.name for program in self._beside)]
        self._columns = LogColumns(names, as_json=settings.log_format == "json")

    async def run(self, *, demo: bool) -> None:
        """Start everything, print how to reach it, run until a signal, stop everything."""
        supervisor = Supervisor(
            self._environment, self._columns.show, self._settings.grace_seconds + _KILL_AFTER_SECONDS
        )
        work = asyncio.create_task(self._work(supervisor, demo=demo))

        def stop() -> None:
            if work.done():
                supervisor.kill()
            else:
                work.cancel()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, stop)
        try:
            done, _ = await asyncio.wait({work, supervisor.gave_up}, return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                if not ended.cancelled():
                    ended.result()
        finally:
            work.cancel()
            self._say(
                "stopping: running generations finish or are handed back; press Ctrl-C again to stop everything now"
            )
            await supervisor.stop()
            self._say("stopped")

    async def _work(self, supervisor: Supervisor, *, demo: bool) -> None:
        if self._settings.embedded:
            supervisor.start(Program("redis", (*_FAREBOX, "redis"), stage=0))
            await self._redis_answers()
        for program in self._beside:
            supervisor.start(program)
        await self._gateway_is_ready()
        # The link must not end up in a log file: it is only for the person at the terminal.
        self._columns.say(self._greeting(await self._operators_link() if sys.stdout.isatty() else None))
        tasks, cards = Tasks(), RateCards(default_card_path(self._settings.rate_card))
        tasks.keep("rate card", cards.watch)
        tasks.keep("workers", lambda: self._follow(cards, supervisor))
        try:
            if demo:
                await self._demonstrate()
            await asyncio.Event().wait()  # until a signal cancels us
        finally:
            await tasks.close()

    async def _follow(self, cards: RateCards, supervisor: Supervisor) -> None:
        """Start a worker for each tool added to the rate card; stop those of removed tools, once nothing is open."""
        while True:
            await asyncio.sleep(_FOLLOW_SECONDS)
            wanted = set(cards.card.tools)
            for tool in sorted(wanted - self._tools):
                self._say(f"the rate card has a new tool, {tool}: starting its worker")
                supervisor.start(_worker(tool, vital=False))
                self._tools.add(tool)
            lost = self._tools - wanted
            for tool in sorted(lost - await self._tools_with_work() if lost else ()):
                self._say(
                    f"the rate card no longer has the tool {tool}, and none of its generations are open: stopping its "
                    "worker"
                )
                await supervisor.end(_worker(tool).name)
                self._tools.discard(tool)

    async def _tools_with_work(self) -> set[str]:
        """The tools with open generations; all tools if the gateway cannot tell."""
        try:
            async with GatewayClient(self._settings.local_address, self._settings.secret("admin-key")) as client:
                queues = (await client.call("GET", "/v1/ops/queues"))["queues"]
        except FareboxError:
            return set(self._tools)
        return {queue["tool"] for queue in queues if queue["depth"] or queue["waiting"] or queue["running"]}

    async def _redis_answers(self) -> None:
        redis = connect_queue(self._settings.queue_address)
        try:
            while True:
                with contextlib.suppress(RedisError):
                    await redis.ping()
                    return
                await asyncio.sleep(_CHECK_SECONDS)
        finally:
            await redis.aclose()

    async def _operators_link(self) -> str:
        """A link that signs the operator in to the console, once."""
        async with GatewayClient(self._settings.local_address, self._settings.secret("admin-key")) as client:
            made = await client.call("POST", "/v1/sign-in-links", {})
        return str(made["url"])

    async def _gateway_is_ready(self) -> None:
        at = URL(self._settings.local_address)
        timeout = aiohttp.ClientTimeout(total=5)
        outgoing = Outgoing(AddressGuard(), own=at)
        try:
            while True:
                with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                    async with outgoing.request("GET", at / "readyz", timeout=timeout) as answer:
                        if answer.status == _HTTP_OK:
                            return
                await asyncio.sleep(_CHECK_SECONDS)
        finally:
            await outgoing.close()

    async def _demonstrate(self) -> None:
        with self._columns.held():
            process = await asyncio.create_subprocess_exec(*_FAREBOX, "demo", env=self._environment, umask=self._umask)
            try:
                code = await process.wait()
            finally:
                if process.returncode is None:
                    process.terminate()
                    await process.wait()
        if code:
            self._say(f"the demo exited with code {code}; everything else keeps running")
        self._say(f"still running at {self._settings.public_address}; press Ctrl-C to stop")

    def _say(self, line: str) -> None:
        self._columns.show("farebox", line)

    def _greeting(self, link: str | None) -> str:
        settings = self._settings
        address, data = settings.public_address, settings.data.resolve()
        elsewhere = "" if settings.host == "127.0.0.1" else f"FAREBOX_HOST={shlex.quote(settings.host)} "
        mode, warning = mode_in_words(settings), links_in_words(settings)
        key_file = data / "admin-key"
        if settings.admin_key is None:
            where, key = f"in {key_file}", f"$(cat {shlex.quote(str(key_file))})"
        else:
            where, key = "the value of FAREBOX_ADMIN_KEY", "$FAREBOX_ADMIN_KEY"
        if link is None:
            operations = f"{address}/ (sign in with the admin key)"
        else:
            operations = f"{link}\n{' ' * 15}(one-time operator sign-in, valid for one hour)"
        return f"""Farebox is up at {address}

  console      {address}/ (sign in with an account's key)
  operations   {operations}
  API docs     {address}/docs
  admin key    {where}
  data         {data}
  rate card    {_card_in_words(settings)}
  test mode    {mode}
{f"  links        {warning}{chr(10)}" if warning else ""}  stop         Ctrl-C

Try next, in another terminal:

  FAREBOX_DATA={shlex.quote(str(data))} {elsewhere}FAREBOX_PORT={settings.port} {_own_name()} demo

  curl -s -X PUT {address}/v1/admin/accounts/ada -H "Authorization: Bearer {key}" \\
    -H 'Content-Type: application/json' -d '{{}}'
"""


def _worker(tool: str, *, vital: bool = True) -> Program:
    return Program(worker_process(tool), (*_FAREBOX, "worker", tool, _UNDER_UP), vital=vital)


def _card_in_words(settings: Settings) -> str:
    path = default_card_path(settings.rate_card)
    if is_the_example(path):
        return "the packaged example; `farebox init` writes it here for you to edit"
    return str(path.resolve())


def _own_name() -> str:
    """The command as a person would type it here: after `make run`, `farebox` is not on the PATH."""
    return "farebox" if shutil.which("farebox") else shlex.quote(str(Path(sys.executable).with_name("farebox")))
