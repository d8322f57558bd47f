"""Issue 7: one worker process holds thousands of generations that wait for their provider; `make bench` has 5,000."""

from __future__ import annotations

from benchmarks.waiting import MEMORY_MAX_MB, wait_for_provider

COUNT = 40


async def test_dozens_wait_with_one_worker_and_all_end_when_they_are_called_back() -> None:
    waited = await wait_for_provider(COUNT)
    assert (waited.jobs, waited.succeeded) == (COUNT, COUNT)
    assert waited.memory_mb < MEMORY_MAX_MB
