"""Jobs as arq reads and writes them; the only module of `gateway` that knows arq (`docs/queue.md` lists what is used).

A job carries ids only, as JSON, never pickle: a queue must not be able to run code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from arq.constants import in_progress_key_prefix, job_key_prefix, retry_key_prefix
from arq.jobs import DeserializationError, deserialize_job_raw, serialize_job

from gateway.clock import now_ms
from gateway.domain import GENERATION_PATTERN
from gateway.json_text import to_json
from gateway.ledger.outcomes import Dispatch

JOB_MS = 48 * 3600 * 1000
"""A job may wait in arq as long as its generation in the ledger; no sensible `queue_timeout` exceeds two days."""
JOB_PREFIX = job_key_prefix
CLAIM_PREFIX = in_progress_key_prefix

# Scores are an hour in the past, so that every job is due even if the queue's clock is behind the ledger's.
_SKEW_MS = 3600 * 1000
_ATTEMPT = re.compile(rf"({GENERATION_PATTERN.strip('^$')}):([0-9]{{1,9}})")
_STOP = "stop"  # precedes the generation in the id of a `stop` job
_FIRST = 1  # before every generation: a stop is short and saves a provider work (arq treats a score of 0 as none)


@dataclass(frozen=True, slots=True)
class Job:
    """A job to be written. `queued_at`: when its generation was queued; `provider`: its provider, if known."""

    id: str
    score: int
    function: str
    arguments: tuple[str | int, ...]
    queued_at: int | None = None
    provider: str = ""

    def encoded(self) -> bytes:
        """The job's text, as `enqueue_job` would write it."""
        named = {"provider": self.provider} if self.provider else {}
        return serialize_job(self.function, self.arguments, named, None, now_ms(), serializer=dumps)


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A claimed job. `provider` is None if an earlier version wrote the job."""

    id: str
    provider: str | None = None


def job_key(job: str) -> str:
    """A job's text."""
    return job_key_prefix + job


def job_keys(job: str) -> tuple[str, str, str]:
    """The keys of a job: its text, its claim, and arq's count of tries."""
    return job_key(job), claim_key(job), retry_key_prefix + job


def claim_key(job: str) -> str:
    """The claim of a job by a worker."""
    return in_progress_key_prefix + job


def job_id(generation: str, attempt: int) -> str:
    """Arq's id of an attempt. arq deletes by id when a job ends, so each attempt has its own."""
    return f"{generation}:{attempt}"


def attempt_of(job: str) -> tuple[str, int] | None:
    """The generation and attempt number in a job id; None for another kind of job."""
    said = _ATTEMPT.fullmatch(job)
    return None if said is None else (said[1], int(said[2]))


def generate_job(dispatch: Dispatch) -> Job:
    """The job that makes one attempt at a generation."""
    early = dispatch.not_before > now_ms()  # a retry in its pause; after it, its place is the one it had
    return Job(
        id=job_id(dispatch.generation, dispatch.attempt),
        score=dispatch.not_before if early else dispatch.score - _SKEW_MS,
        function="generate",
        arguments=(dispatch.generation, dispatch.attempt),
        queued_at=dispatch.queued_at,
        provider=dispatch.provider,
    )


def stop_job(generation: str, ref: str, *marks: str, at: str = "") -> Job:
    """The job that asks a provider to stop its job `ref`; `marks` distinguish it from others of the generation.

    `at` names the provider, if that is not certainly the generation's own; workers of earlier versions do not take it.
    """
    return Job(":".join((_STOP, generation, *marks)), _FIRST, "stop", (generation, ref), provider=at)


def arguments_in(text: str) -> tuple[str, Sequence[Any], Mapping[str, Any]]:
    """A job's function, and its arguments without and with names; DeserializationError."""
    function, arguments, named, _, _ = deserialize_job_raw(text.encode(), deserializer=loads)
    return function, arguments, named


def provider_in(text: bytes) -> str | None:
    """The provider named in a job's text; None if there is none, or the text is invalid."""
    try:
        _, _, named, _, _ = deserialize_job_raw(text, deserializer=loads)
    except DeserializationError:
        return None
    match named:
        case {"provider": str(provider)} if provider:
            return provider
    return None


def dumps(value: Mapping[str, Any] | Sequence[Any]) -> bytes:
    """Arq's serializer. Values that JSON does not support (an exception as a result) become text."""
    return to_json(value, default=repr)


def loads(data: bytes) -> dict[str, Any]:
    """Arq's deserializer."""
    value: dict[str, Any] = json.loads(data)
    return value
