"""ComfyUI as a provider: fill in the workflow, queue it under an id of ours, watch, fetch the saved files.

```
POST /upload/image            each input, under a name of ours
POST /prompt                  {prompt: workflow, prompt_id, client_id}
GET  /history/{id}, /queue    whether it has ended; whether it is queued
WS   /ws?clientId={id}        progress of jobs, and when to poll; one for all jobs (`listener.py`)
GET  /view                    a file
POST /api/jobs/{id}/cancel    stop exactly this one; older servers: /queue and /interrupt
```

ComfyUI accepts a second prompt with the same id. So our id is derived from the idempotency key, and looked up in queue
and history before anything is sent: a submit whose response was lost never creates a second job. After an unclear
response to a submit, the job is looked up at once, so that a queued one is not left behind.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import quote

import aiohttp

from gateway.errors import (
    ProviderError,
    ProviderFailed,
    ProviderNotSetUp,
    ProviderRejected,
    ProviderUnreachable,
    WorkflowUnusable,
)
from gateway.outside.addresses import AddressGuard
from gateway.providers.workflows import (
    INPUT_AUDIO,
    INPUT_IMAGE,
    INPUT_VIDEO,
    OUTPUTS,
    PROMPT,
    SEED,
    WITHOUT_PROMPT,
    filled,
    placeholders,
    read_workflow,
)
from workers.providers.base import Connection, Pending, ProviderRequest, Rendered, Result
from workers.providers.calls import ProviderCalls, ProviderResponse, lost
from workers.providers.comfyui.history import failure_of, files_of, reported_in
from workers.providers.comfyui.listener import JobWatch, Listener
from workers.providers.details import words_of
from workers.providers.figures import shared
from workers.providers.inputs import Inputs
from workers.providers.values import job_id, text

_NAMESPACE = uuid.UUID("5d0c7f5e-7f0b-4d0a-9a57-0d6f1c0f4b11")  # generated once
_QUEUE_BYTES_MAX = 64 * 1024 * 1024  # contains the workflow of every waiting job
_SEED_MAX = 2**53  # larger JSON numbers are not exact in every client
_POLL_SECONDS = 5.0  # unless the listener requests a poll sooner
_NODES_TOLD_MAX = 5  # in the log
_GONE = frozenset({404, 405})  # how older servers respond to unknown paths


class ComfyUi:
    """Workflows on a ComfyUI server."""

    def __init__(self, connection: Connection, guard: AddressGuard | None = None) -> None:
        """Call the server at `connection.base_url`. ComfyUI has no keys; a key is for a proxy in front of it."""
        key = connection.key
        self._key = key
        self._calls = ProviderCalls(connection, headers={"Authorization": f"Bearer {key}"} if key else None)
        self._folder = connection.folder
        self._inputs = Inputs(guard or connection.input_guard)
        self._listener = Listener(self._calls, lambda: self._jobs("queue_running", "queue_pending"))

    async def submit(self, request: ProviderRequest) -> str:
        """Queue the workflow, unless it is there already; returns its id."""
        job = str(uuid.uuid5(_NAMESPACE, request.idempotency_key))
        request.announced.add(job)  # first: a worker that died may have queued it
        if await self._is_there(job):
            return job
        body = {"prompt": await self._workflow(request, job), "prompt_id": job, "client_id": self._listener.client_id}
        try:
            answer = await self._calls.ask("POST", "/prompt", json=body, repeatable=True)
            given = job_id(answer.document().get("prompt_id")) if answer.ok else None
        except ProviderUnreachable as error:
            return await self._unclear(job, error)
        if answer.broken:
            return await self._unclear(job, self._refusal(answer, request.prompt))
        if not answer.ok:
            raise self._refusal(answer, request.prompt)
        if dropped := self._node_errors(answer.document(), request.prompt):
            # It runs the rest of the workflow, and would deliver only part of what was requested.
            await self.cancel(given or job, request.provider_model)
            raise ProviderRejected(f"it accepted only part of the workflow: {dropped}")
        if given != job:
            await self.cancel(given or job, request.provider_model)
            raise ProviderNotSetUp("this ComfyUI assigns its own job ids: update it")
        return job

    async def _unclear(self, job: str, error: ProviderError) -> str:
        """The job's id if it was queued although its submit failed with `error`; raises that if it was not.

        ProviderUnreachable if that cannot be determined: the next attempt looks it up again.
        """
        try:
            there = await self._is_there(job)
        except ProviderUnreachable as unknown:
            unknown.refused = False
            raise
        if there:
            return job
        raise error

    async def results(self, ref: str | None, request: ProviderRequest) -> AsyncGenerator[Result]:
        """Wait until the job is in the history, then fetch its saved files."""
        if ref is None:
            raise ProviderFailed("a job of ComfyUI has a ref")
        loop = asyncio.get_running_loop()
        with self._listener.watching(ref) as watch:
            while (entry := await self._poll(ref, watch)) is None:
                yield Pending(watch.fraction)
                poll_at = loop.time() + _POLL_SECONDS
                while await watch.news(poll_at):
                    yield Pending(watch.fraction)
        failure = failure_of(entry, private=request.prompt)
        if failure is not None:
            raise failure
        files = files_of(entry, request.kind)
        indices, reported = request.job_indices or request.indices, reported_in(entry)
        made = min(len(indices), len(files))
        # Files beyond the requested number are ignored.
        for place, (index, path) in enumerate(zip(indices, files, strict=False)):
            if index in request.indices:
                data = await self._calls.fetch(path)
                yield Rendered(index=index, data=data, reported=shared(reported, place, made))

    async def listen(self, ref: str) -> AsyncGenerator[float | None]:
        """Yield each progress report; ends when the job has ended or is unknown."""
        with self._listener.watching(ref) as watch:
            while await watch.news():
                yield watch.fraction

    async def cancel(self, ref: str, provider_model: str) -> None:
        """Stop exactly this job, waiting or running. No error if it has ended."""
        del provider_model
        answer = await self._calls.ask("POST", f"/api/jobs/{quote(ref, safe='')}/cancel", repeatable=True)
        if answer.status in _GONE:
            answer = await self._calls.ask("POST", "/queue", json={"delete": [ref]}, repeatable=True)
            if ref in await self._jobs("queue_running"):
                answer = await self._calls.ask("POST", "/interrupt", json={"prompt_id": ref}, repeatable=True)
        if not answer.ok:
            raise self._calls.refusal(answer)

    async def close(self) -> None:
        """Close the socket and the sessions."""
        await self._listener.close()
        await self._calls.close()
        await self._inputs.close()

    # --- the workflow -----------------------------------------------------------------------------------------------

    async def _workflow(self, request: ProviderRequest, job: str) -> dict[str, Any]:
        values: dict[str, Any] = {SEED: _seed(request.idempotency_key), **request.arguments}
        values |= {PROMPT: request.prompt, OUTPUTS: len(request.job_indices or request.indices)}
        values |= await self._uploaded(request, job)
        try:
            template = await asyncio.to_thread(read_workflow, self._folder, request.provider_model)
            workflow: dict[str, Any] = filled(template, values)
        except WorkflowUnusable as error:
            raise ProviderNotSetUp(f"the workflow {request.provider_model} {error}") from None
        except KeyError as error:
            name = str(error.args[0])
            if name.startswith((INPUT_IMAGE, INPUT_VIDEO, INPUT_AUDIO)):
                raise ProviderRejected(f"the workflow needs {name}, but the request has no such input") from None
            raise ProviderNotSetUp(
                f"the workflow {request.provider_model} has {{{{{name}}}}}, which nothing provides"
            ) from None
        if request.prompt and PROMPT not in placeholders(template):
            raise ProviderNotSetUp(f"the workflow {request.provider_model} {WITHOUT_PROMPT}")
        return workflow

    async def _uploaded(self, request: ProviderRequest, job: str) -> dict[str, str]:
        """Upload the inputs; placeholder → the file's name on the server. The names are the same for the same job."""
        names: dict[str, str] = {}
        for kind, prefix in (("image", INPUT_IMAGE), ("video", INPUT_VIDEO), ("audio", INPUT_AUDIO)):
            for number, given in enumerate((each for each in request.inputs if each.kind == kind), start=1):
                file = await self._inputs.read(given)
                form = aiohttp.FormData({"type": "input", "subfolder": "farebox", "overwrite": "true"})
                name = f"{job}-{number}-{file.name}"
                form.add_field("image", file.data, content_type=file.content_type, filename=name)
                answer = await self._calls.ask("POST", "/upload/image", form=form, repeatable=True, slow=True)
                if not answer.ok:
                    raise self._refusal(answer, request.prompt)
                stored = answer.document()
                names[f"{prefix}{number}"] = "/".join(
                    filter(None, (text(stored.get("subfolder")), text(stored.get("name")) or name))
                )
        return names

    # --- the state of a job -----------------------------------------------------------------------------------------

    async def _poll(self, job: str, watch: JobWatch) -> dict[str, Any] | None:
        """The job's history entry; None while it is waiting or running.

        ProviderFailed if the server does not know it: its queue is in memory, and does not survive a restart.
        """
        watch.gone = False  # events from now on may be newer
        entry = await self._history(job)
        if entry is None and not await self._is_queued(job):
            entry = await self._history(job)  # it may have ended between the two calls
            if entry is None:
                raise ProviderFailed("it no longer knows the job: it was restarted, or the job was deleted")
        return entry

    async def _history(self, job: str) -> dict[str, Any] | None:
        answer = await self._calls.ask("GET", f"/history/{job}", repeatable=True, bytes_max=_QUEUE_BYTES_MAX)
        if not answer.ok:
            raise self._calls.refusal(answer)
        entry = answer.document().get(job)
        return entry if isinstance(entry, dict) else None

    async def _is_there(self, job: str) -> bool:
        return await self._is_queued(job) or await self._history(job) is not None

    async def _is_queued(self, job: str) -> bool:
        return job in await self._jobs("queue_running", "queue_pending")

    async def _jobs(self, *lists: str) -> set[str]:
        answer = await self._calls.ask("GET", "/queue", repeatable=True, bytes_max=_QUEUE_BYTES_MAX)
        if not answer.ok:
            raise self._calls.refusal(answer)
        queue = await asyncio.to_thread(answer.document)
        jobs: set[str] = set()
        for name in lists:
            if not isinstance(queue.get(name), list):
                raise lost(f"its queue has no {name}", answer)
            items = (item[1] for item in queue[name] if isinstance(item, list) and len(item) > 1)
            jobs.update(job for job in items if isinstance(job, str))
        return jobs

    def _refusal(self, answer: ProviderResponse, prompt: str) -> ProviderError:
        """The error for a workflow that does not validate, with the faults of each node."""
        refusal, nodes = self._calls.refusal(answer, private=prompt), self._node_errors(answer.json(), prompt)
        return (
            ProviderRejected(f"{refusal.detail}; {nodes}")
            if isinstance(refusal, ProviderRejected) and nodes
            else refusal
        )

    def _node_errors(self, document: object, prompt: str) -> str:
        """The invalid nodes, each with its first fault; "" if there are none."""
        errors = document.get("node_errors") if isinstance(document, dict) else None
        told = []
        for node_id, node in list(errors.items())[:_NODES_TOLD_MAX] if isinstance(errors, dict) else ():
            known = node if isinstance(node, dict) else {}
            said = words_of({"error": known.get("errors")}, key=self._key, private=prompt)
            told.append(f"node {str(node_id)[:20]}, {str(known.get('class_type'))[:60]}: {said or 'no reason given'}")
        return "; ".join(told)


def _seed(key: str) -> int:
    """The seed if none is given: derived from the job, so retries get the same one."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % _SEED_MAX
