"""Checks outputs before delivery: an output that cannot be decoded or is not as requested is not charged (R9).

The sandbox's outputs are made in this process, so a thread inspects them. All other outputs are untrusted, even from a
known provider, because it passes on what its users and models make. 1.6 KB of MP4 can take 3 GB and would crash this
worker with all its attempts, so such files are inspected in a separate process, like uploads.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from typing import BinaryIO

from gateway.errors import MediaNotTaken, MediaUnreadable, OutputNotStored, OutputUnusable, ProviderFailed
from gateway.kinds import MediaKind
from gateway.media import FairInspections, Media, Readers, inspect
from gateway.outputs.ordered import OutputRequirements
from workers.providers import Rendered

INSPECTIONS_MAX = 4  # concurrent inspections per worker: each takes a core and up to 1.5 GB of memory
INSPECTIONS_OF_ONE_MAX = INSPECTIONS_MAX - 1  # of one account
# Beyond this, an account's outputs wait behind others'; they are never refused, because they are paid for.
INSPECTION_SECONDS_A_MINUTE = 20.0


class Checks:
    """Inspects the outputs of all attempts of this process."""

    def __init__(self) -> None:
        self._readers = Readers()
        self._inspections = FairInspections(
            at_once=INSPECTIONS_MAX,
            of_one=INSPECTIONS_OF_ONE_MAX,
            seconds_a_minute=INSPECTION_SECONDS_A_MINUTE,
            refuses=False,
        )

    async def close(self) -> None:
        """End the inspection processes."""
        await self._readers.close()

    async def check(self, rendered: Rendered, ordered: OutputRequirements, account: str) -> tuple[Media, str]:
        """An output's media properties and SHA-256. Accounts share the inspection time fairly.

        ProviderFailed (worth another attempt) if it does not decode completely: it may have been damaged in transit.
        OutputUnusable (no retry) if it has an unsupported type or is not what was requested.
        OutputNotStored if this machine cannot inspect it.
        """
        what = f"output {rendered.index} ({len(rendered.data):,} bytes)"
        try:
            media, sha256 = await self._inspected(rendered, ordered.kind, account)
        except MediaNotTaken as error:
            raise OutputUnusable(f"{what} {error}") from None
        except MediaUnreadable as error:
            raise ProviderFailed(f"{what} {error}") from None
        if (fault := ordered.fault_of(media)) is not None:
            raise OutputUnusable(f"{what} {fault}")
        return media, sha256

    async def _inspected(self, rendered: Rendered, expected: MediaKind | None, account: str) -> tuple[Media, str]:
        if rendered.made_here:
            # Both in one thread: switching threads costs as much as inspecting a small PNG.
            return await asyncio.to_thread(lambda: (inspect(rendered.data, expected), _sha256(rendered.data)))
        try:
            return await self._inspections.inspect(account, lambda: self._inspect_file(rendered, expected))
        except OSError as error:
            raise OutputNotStored(f"output {rendered.index}: it cannot be inspected: {error.strerror}") from error

    async def _inspect_file(self, rendered: Rendered, expected: MediaKind | None) -> tuple[Media, str]:
        file, sha256 = await asyncio.to_thread(lambda: (_file_of(rendered.data), _sha256(rendered.data)))
        with file:
            return await self._readers.inspect(file, expected), sha256


def _file_of(data: bytes) -> BinaryIO:
    """The bytes as a file for another process: in memory where supported, because a worker needs no disk."""
    try:
        file: BinaryIO = os.fdopen(os.memfd_create("output"), "w+b")
    except (
        AttributeError,
        OSError,
    ):  # macOS has no memfd; a hardened Linux (vm.memfd_noexec=2) does not allow this one
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the caller
    try:
        file.write(data)
        file.flush()
    except OSError:
        file.close()
        raise
    return file


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
