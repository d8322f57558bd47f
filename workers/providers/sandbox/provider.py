"""The sandbox as a provider: its controls, its ref, and the threads that render.

Threads, not processes: Pillow, numpy and libav release the GIL while they work, so the event loop keeps running
(measured: at most 30 ms late with every core rendering); and threads die with a killed worker. A request's outputs are
rendered one after the other, each queued separately, so that many generations take turns and none holds a core for all
its outputs.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from threading import Event
from typing import Any

from pydantic import ValidationError

from gateway.domain import FailureCode, SettingValue
from gateway.errors import Moderated, ProviderError, ProviderFailed, ProviderRejected
from gateway.kinds import MediaKind
from gateway.providers.sandbox import SandboxControls
from workers.providers.base import Connection, ProgressReport, ProviderRequest, Rendered, Result
from workers.providers.sandbox.render import IMAGE_FORMATS, RenderJob, render
from workers.providers.sandbox.shape import Clip, Size, clip, image_size
from workers.providers.sandbox.sound import SOUND_FORMATS, Sound, sound

_REF = re.compile(r"sbx_(\d{1,16})_[0-9a-f]{16}")
_DELAY_SHARE = 0.9  # of the progress, if there is a delay: the rendering after it is short
_DELAY_REPORT_SECONDS = 1.0
_FORMAT_SETTINGS = ("output_format", "response_format", "format")


class Sandbox:
    """Renders in a few threads of this process."""

    def __init__(
        self, connection: Connection | None = None, threads: int | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        """Makes no connections. `threads`: by default one per core. `clock` returns seconds since the epoch."""
        del connection
        self._pool = ThreadPoolExecutor(threads or os.cpu_count() or 1, thread_name_prefix="sandbox")
        self._clock = clock

    async def submit(self, request: ProviderRequest) -> str:
        """A ref that contains the time, so that a resumed job waits only for the rest of a delay."""
        del request  # `results` gets it again
        return f"sbx_{round(self._clock() * 1000)}_{secrets.token_hex(8)}"

    async def results(self, ref: str | None, request: ProviderRequest) -> AsyncGenerator[Result]:
        """Wait as the controls say, render the missing outputs in order, and end as the controls say."""
        if ref is None:
            raise ProviderFailed("a job of the sandbox has a ref")
        if request.last_poll:  # nothing was rendered elsewhere
            return
        controls = _controls(request.sandbox)
        async with aclosing(self._delay(_submitted_at(ref), controls.delay_seconds)) as delay:
            async for waited in delay:
                yield waited
        done_before = _DELAY_SHARE if controls.delay_seconds else 0.0
        indices = [index for index in request.indices if controls.delivers(index, request.attempt)]
        for place, index in enumerate(indices):
            async with aclosing(self._render(_job(request, index))) as rendering:
                async for event in rendering:
                    if isinstance(event, ProgressReport):
                        share = (place + event.fraction) / len(indices)
                        yield ProgressReport(done_before + (1 - done_before) * share)
                    else:
                        yield replace(event, reported=controls.reports(index), cost=controls.costs(index))
        if controls.hang:
            await asyncio.get_running_loop().create_future()  # never set: only a cancel ends it
        if controls.fail is not None and controls.fails(request.attempt):
            raise _failure(controls.fail)

    async def cancel(self, ref: str, provider_model: str) -> None:
        """Nothing to do: rendering happens in the task that consumes `results`, and stops with it."""
        del ref, provider_model

    async def close(self) -> None:
        """Drop queued renders and let the threads end."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _delay(self, submitted_at: float, seconds: float) -> AsyncGenerator[ProgressReport]:
        # Never more than the whole delay: this machine's clock may be behind the one that wrote the ref.
        while (left := min(seconds, submitted_at + seconds - self._clock())) > 0:
            yield ProgressReport(_DELAY_SHARE * (1 - left / seconds))
            await asyncio.sleep(min(left, _DELAY_REPORT_SECONDS))

    async def _render(self, job: RenderJob) -> AsyncGenerator[ProgressReport | Rendered]:
        """Render in a thread; closing or cancelling stops it at its next frame."""
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[ProgressReport | None] = asyncio.Queue()
        stop = Event()

        def report(fraction: float) -> None:
            if not stop.is_set():
                loop.call_soon_threadsafe(events.put_nowait, ProgressReport(fraction))

        rendering = loop.run_in_executor(self._pool, render, job, stop, report)
        rendering.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (progress := await events.get()) is not None:
                yield progress
            yield await rendering
        finally:
            stop.set()
            rendering.cancel()


def _job(request: ProviderRequest, index: int) -> RenderJob:
    settings = request.settings
    shape: Size | Clip | Sound | None
    image_format = "png"
    match request.kind:
        case MediaKind.VIDEO:
            shape = clip(settings)
        case MediaKind.AUDIO:
            shape = sound(settings, request.prompt, _format(settings, SOUND_FORMATS, "wav"))
        case MediaKind.TEXT:
            shape = None
        case MediaKind.FILE:
            shape, image_format = image_size(settings), "pdf"
        case _:  # if nothing tells, an image is rendered
            shape, image_format = image_size(settings), _format(settings, IMAGE_FORMATS, "png")
    return RenderJob(
        index=index,
        model=request.model,
        prompt=request.prompt,
        seed=str(settings.get("seed", "")),
        shape=shape,
        image_format=image_format,
        settings=settings,
    )


def _format(settings: Mapping[str, SettingValue], formats: frozenset[str], default: str) -> str:
    """The file format in the settings, by one of the names that models have for it."""
    named = next((settings[name] for name in _FORMAT_SETTINGS if name in settings), default)
    if (file_format := str(named).lower()) not in formats:
        raise ProviderRejected(f"the sandbox renders {', '.join(sorted(formats))}, not {file_format!r}")
    return file_format


def _controls(controls: Any) -> SandboxControls:
    try:
        return SandboxControls.model_validate(controls or {})
    except ValidationError as error:
        raise ProviderRejected(f"sandbox controls: {error}") from None


def _submitted_at(ref: str) -> float:
    if (parts := _REF.fullmatch(ref)) is None:
        raise ProviderFailed(f"{ref!r} is not a sandbox ref")
    return int(parts[1]) / 1000


def _failure(code: FailureCode) -> ProviderError:
    detail = "the sandbox was asked to fail"
    for error in (ProviderFailed, ProviderRejected, Moderated):
        if error.code is code:
            return error(detail)
    return ProviderError(detail, code)
