"""Checks what a provider made before it is delivered: it opens and is what was ordered, or nobody pays for it (R9).

Whether the bytes come from outside decides how. What the sandbox makes is made in this very process, so a thread of it
may read it too. All else is a stranger's, however well its provider is known: it passes on what its users and its
models make. 1.6 KB of MP4 can take 3 GB, and would end this worker with all its attempts; so a process of its own looks
into it, as into uploads.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from typing import BinaryIO

from gateway.errors import MediaNotTaken, MediaUnreadable, OutputNotStored, OutputUnusable, ProviderFailed
from gateway.media import FairInspections, Media, Readers, inspect
from gateway.outputs.ordered import OutputRequirements
from workers.providers import Rendered

INSPECTIONS_MAX = 4  # at once in one worker: each takes a core, and up to a gigabyte and a half of memory
INSPECTIONS_OF_ONE_MAX = INSPECTIONS_MAX - 1  # of one account
# Beyond it an account's outputs wait behind those of others; they are never refused, for they are paid for.
INSPECTION_SECONDS_A_MINUTE = 20.0


class Checks:
    """Looks into the outputs of all attempts of this process."""

    def __init__(self) -> None:
        self._readers = Readers()
        self._inspections = FairInspections(
            at_once=INSPECTIONS_MAX,
            of_one=INSPECTIONS_OF_ONE_MAX,
            seconds_a_minute=INSPECTION_SECONDS_A_MINUTE,
            refuses=False,
        )

    async def close(self) -> None:
        """End the processes that look into outputs."""
        await self._readers.close()

    async def check(self, rendered: Rendered, ordered: OutputRequirements, account: str) -> tuple[Media, str]:
        """What an output is, and its SHA-256. Of those of several `account`s, none is kept waiting by the others'.

        ProviderFailed, so worth another attempt, if it does not decode whole: it may have been damaged on the way.
        OutputUnusable, so not, if it is of a type that is not served or something other than was ordered.
        OutputNotStored if this machine cannot look.
        """
        what = f"output {rendered.index} ({len(rendered.data):,} bytes)"
        try:
            media, sha256 = await self._inspected(rendered, account)
        except MediaNotTaken as error:
            raise OutputUnusable(f"{what} {error}") from None
        except MediaUnreadable as error:
            raise ProviderFailed(f"{what} {error}") from None
        if (fault := ordered.fault_of(media)) is not None:
            raise OutputUnusable(f"{what} {fault}")
        return media, sha256

    async def _inspected(self, rendered: Rendered, account: str) -> tuple[Media, str]:
        if rendered.made_here:
            # Both in the same thread, for one hop costs as much as a small PNG.
            return await asyncio.to_thread(lambda: (inspect(rendered.data), _sha256(rendered.data)))
        try:
            return await self._inspections.inspect(account, lambda: self._inspect_file(rendered))
        except OSError as error:
            raise OutputNotStored(f"output {rendered.index}: it cannot be inspected: {error.strerror}") from error

    async def _inspect_file(self, rendered: Rendered) -> tuple[Media, str]:
        file, sha256 = await asyncio.to_thread(lambda: (_file_of(rendered.data), _sha256(rendered.data)))
        with file:
            return await self._readers.inspect(file), sha256


def _file_of(data: bytes) -> BinaryIO:
    """The bytes as a file for another process: in memory, where there is such a thing, for a worker needs no disk."""
    try:
        file: BinaryIO = os.fdopen(os.memfd_create("output"), "w+b")
    except (AttributeError, OSError):  # macOS has none; a hardened Linux (vm.memfd_noexec=2) allows none like this
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by whoever asked for it
    try:
        file.write(data)
        file.flush()
    except OSError:
        file.close()
        raise
    return file


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
