"""A ref that remembers which outputs its job was asked for.

`ProviderRequest.indices` are the outputs still missing *now*. A job that is resumed may have been asked for more: its
first output is then not the first that is missing. Mostly a job is asked for all, so that its ref is the vendor's id as
it is; only one that an attempt after a failure asked for the rest carries them: `id@1,3`.
"""

from __future__ import annotations

import re

_MARKED = re.compile(r"(.+)@(\d+(?:,\d+)*)", re.DOTALL)


def ref_for(job: str, indices: tuple[int, ...]) -> str:
    """The ref of the vendor's `job`, which makes the outputs `indices` in this order."""
    if indices == tuple(range(len(indices))) and not _MARKED.fullmatch(job):
        return job
    return f"{job}@{','.join(map(str, indices))}"


def job_of(ref: str) -> str:
    """The vendor's own id of a job."""
    marked = _MARKED.fullmatch(ref)
    return marked[1] if marked else ref


def index_of(ref: str, place: int) -> int | None:
    """Which output a job's output number `place`, from 0, is; None: it was not asked for so many."""
    marked = _MARKED.fullmatch(ref)
    if marked is None:
        return place
    indices = marked[2].split(",")
    return int(indices[place]) if place < len(indices) else None
