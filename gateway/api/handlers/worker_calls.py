"""Workers without Redis: their calls, their files, and what they must check now (`farebox worker TOOL --via URL`).

The methods run here as they would in the worker, with everything that follows an outcome. A call that was cut off is
sent again with the same ids, and gets the same answer (R11).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from itertools import islice
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from gateway.api import limits
from gateway.api.access.auth import CALLER
from gateway.api.errors import InvalidKey, InvalidRequest, NotFound
from gateway.api.http.parse import read_body
from gateway.api.http.respond import answer
from gateway.api.services import (
    CALLBACK_LINKS,
    CALLERS,
    DISPATCHER,
    HUB,
    INTAKE,
    LEDGER,
    OUTPUTS,
    QUEUE,
    SETTINGS,
    SLOTS,
)
from gateway.api.streams.event_stream import EventStream
from gateway.domain import Output, State
from gateway.errors import FieldProblem, LedgerUnavailable, OutputMissing
from gateway.ledger import outcomes
from gateway.ledger.ledger import Ledger
from gateway.outputs import OutputStore, attempt_of, generation_of, output_key
from gateway.queue.job_times import JobTimes
from gateway.remote.bounds import faults
from gateway.remote.callback_addresses import CallbackAddresses
from gateway.remote.calls import RemoteCall, call_named
from gateway.remote.dispatching import Dispatching
from gateway.remote.objects import key_in_path
from gateway.schemas.worker_calls import CheckOut, WorkerCallIn, WorkerCallOut, WorkerObjectOut
from gateway.tasks import cancel

WAIT_SECONDS_MAX = 20.0
CLAIMED_MAX = 10_000  # by one call
LOOK_SECONDS = 2.0  # a gateway that stops ends the stream within this time


async def call(request: web.Request) -> web.Response:
    """`POST /v1/worker/calls/{call}`."""
    name = request.match_info["call"]
    try:
        remote = call_named(name)
    except LookupError:
        raise NotFound(f"There is no call {name}: the worker may be of a newer version than this gateway.") from None
    given = await read_body(request, WorkerCallIn)
    arguments = _arguments(remote, given.arguments)
    if name == "ledger.deliver":
        await _check_output(request.app[OUTPUTS], **arguments)
    at_most = {"wait_seconds": WAIT_SECONDS_MAX, "claim_ms": request.app[LEDGER].lease_ms, "limit": CLAIMED_MAX}
    arguments |= {
        argument: min(arguments[argument], most) for argument, most in at_most.items() if argument in arguments
    }
    kind, method = remote.name.split(".")
    done: Awaitable[Any] = getattr(_target(request.app, kind), method)(**arguments)
    return answer(WorkerCallOut(**remote.write_answer(await done)))


async def checks(request: web.Request) -> web.StreamResponse:
    """`GET /v1/worker/checks`: a stream of the running generations to check, because of a cancel or a callback."""
    async with _check_requests(request.app) as found:
        stream = await EventStream.open(request)
        # Until the worker is gone, or its key is revoked.
        with request.app[HUB].watch_shutdown() as watch, contextlib.suppress(ConnectionError, InvalidKey):
            while not watch.closing:
                one = await found()
                with contextlib.suppress(LedgerUnavailable):
                    await request.app[CALLERS].authenticate(request)
                if one is not None:
                    await stream.send(("check", one.json_text(), None))
                await stream.keep_alive()
        return stream.response


async def put_object(request: web.Request) -> web.Response:
    """`PUT /v1/worker/objects/{object}`: an output of the worker's; it is on disk once this is answered.

    Only of an attempt that is running: what was delivered stays as it is, also while the body arrives.
    """
    key = key_in_path(request.match_info["object"])
    await _check_is_being_made(request.app[LEDGER], key)
    owner = f"{request[CALLER].key_id} {key}"  # the uploads of each output are counted by themselves
    async with request.app[INTAKE].received(request, owner, limits.OUTPUT_MAX_BYTES) as body:
        await _check_is_being_made(request.app[LEDGER], key)
        await request.app[INTAKE].store(request.app[OUTPUTS], key, body)
        return answer(WorkerObjectOut(bytes=body.bytes, sha256=body.sha256))


async def get_object(request: web.Request) -> web.Response:
    """`GET /v1/worker/objects/{object}`: an input that a generation names."""
    key = key_in_path(request.match_info["object"])
    try:
        if not key.startswith(("inputs/", "uploads/")):
            raise _no_such_object(key)
        data = await request.app[OUTPUTS].get(key)
    except (ValueError, OutputMissing):
        raise _no_such_object(key) from None
    return web.Response(body=data, content_type="application/octet-stream")


def _arguments(remote: RemoteCall, given: Mapping[str, Any]) -> dict[str, Any]:
    """The call's arguments; InvalidRequest names those that are wrong."""
    try:
        read = remote.read_arguments(given)
    except ValidationError as error:
        fields = [
            FieldProblem(".".join(("arguments", *map(str, one["loc"]))), one["msg"]) for one in error.errors()[:20]
        ]
        raise InvalidRequest(f"The arguments of {remote.name} are invalid.", fields=fields) from None
    except (KeyError, ArithmeticError):  # a setting that is marked as a decimal and is none
        problem = FieldProblem("arguments.generation", "has a setting that is no decimal")
        raise InvalidRequest(f"The arguments of {remote.name} are invalid.", fields=[problem]) from None
    problems = [FieldProblem(f"arguments.{one.path}", one.message) for one in islice(faults(read), limits.FAULTS_MAX)]
    if problems:
        raise InvalidRequest(f"The arguments of {remote.name} are invalid.", fields=problems)
    return read


async def _check_output(outputs: OutputStore, *, generation: str, attempt: int, output: Output, **_: object) -> None:
    """Refuse to record another object than the attempt's own: whose it is, its generation's owner could read it.

    Nor one that is not in the store: whoever pays for it could not download it.
    """
    try:
        expected = output_key(generation, attempt, output.index, output.content_type)
    except ValueError as error:
        problem = FieldProblem("arguments.output.content_type", str(error))
        raise InvalidRequest("The output has a content type that cannot be stored.", fields=[problem]) from None
    if output.object_key != expected:
        problem = FieldProblem("arguments.output.object_key", f"must be {expected}")
        raise InvalidRequest("The output is not this attempt's.", fields=[problem])
    try:
        stored = await outputs.head(output.object_key)
    except OutputMissing:
        problem = FieldProblem("arguments.output.object_key", "must be stored first, by PUT /v1/worker/objects/…")
        raise InvalidRequest("The output has not been stored.", fields=[problem]) from None
    if stored.size != output.bytes:
        problem = FieldProblem("arguments.output.bytes", f"must be {stored.size}, as is stored")
        raise InvalidRequest("The output has been stored with another size.", fields=[problem])


async def _check_is_being_made(ledger: Ledger, key: str) -> None:
    """NotFound unless the attempt that an output's key names is running, and has not delivered it."""
    try:
        generation, attempt = generation_of(key), attempt_of(key)
    except ValueError:
        raise _no_such_object(key) from None
    found = await ledger.generation(generation=generation)
    if (
        not key.startswith("outputs/")
        or not isinstance(found, outcomes.Generation)
        or (found.state, found.attempt) != (State.RUNNING, attempt)
        or any(output.object_key == key for output in found.outputs)
    ):
        raise _no_such_object(key)


def _target(app: web.Application, kind: str) -> object:
    match kind:
        case "ledger":
            return app[LEDGER]
        case "queue":
            return app[QUEUE]
        case "slots":
            return app[SLOTS]
        case "job_times":
            return JobTimes(app[QUEUE])
        case "callbacks":
            return CallbackAddresses(None if app[SETTINGS].public_url is None else app[CALLBACK_LINKS])
        case _:
            return Dispatching(app[DISPATCHER])


@contextlib.asynccontextmanager
async def _check_requests(app: web.Application) -> AsyncIterator[Callable[[], Awaitable[CheckOut | None]]]:
    """A function that waits a while for the next one; None if there was none."""
    waiting: asyncio.Queue[CheckOut] = asyncio.Queue(maxsize=1000)

    async def listen() -> None:
        async with aclosing(app[QUEUE].check_requests()) as found:
            async for generation in found:
                await waiting.put(CheckOut(generation=generation))

    async def next_one() -> CheckOut | None:
        try:
            return await asyncio.wait_for(waiting.get(), LOOK_SECONDS)
        except TimeoutError:
            return None

    listening = asyncio.create_task(listen(), name="check requests of a worker")
    try:
        yield next_one
    finally:
        await cancel(listening)


def _no_such_object(key: str) -> NotFound:
    return NotFound(f"There is no object {key} that a worker may use.")
