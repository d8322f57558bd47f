"""Background tasks: none stays down, none dies unseen, and none is started anywhere else."""

from __future__ import annotations

import ast
import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

import gateway
import workers
from gateway import tasks as tasks_module
from gateway.errors import QueueUnavailable
from gateway.tasks import Tasks
from tests.until import until

OWNED = {
    "gateway/api/handlers/worker_calls.py": 1,  # listens as long as its stream, and raises nothing
    "gateway/api/middleware/rates.py": 1,  # heard, and awaited before the answer
    "gateway/api/ownership/own_generations.py": 1,  # heard, and awaited by who has use for it
    "gateway/api/pause_board.py": 2,  # the same
    "gateway/archive/archivist.py": 1,  # the next read, awaited by the copy
    "gateway/cli/several_gateways.py": 1,  # one replacement, ended with the processes
    "gateway/cli/embedded_redis.py": 1,  # awaited when the server has ended
    "gateway/cli/up.py": 1,  # awaited by `up`
    "gateway/facades/held.py": 1,  # awaited, or cancelled and awaited, by the held call
    "gateway/media/fair.py": 1,  # awaited, or cancelled, by whoever has the turn
    "gateway/ledger/promotable.py": 1,  # asks Sentinels, and raises nothing; awaited by who cannot do without
    "gateway/ledger/replicas.py": 1,  # hands what it raises to all who wait
    "gateway/local/supervisor.py": 2,  # awaited at the stop; a process's output, awaited with its end
    "gateway/redis_link/cluster.py": 2,  # the map, awaited by who needs it; a call that is sent again: neither raises
    "gateway/redis_link/in_flight.py": 2,  # one batch, which never raises
    "gateway/redis_link/lane.py": 1,  # asks who is master by now, and raises nothing
    "workers/arq_worker.py": 3,  # a job, whose end is looked at; the signals to hand back, and that the store is back
    "workers/attempts/attempt.py": 3,  # awaited by the attempt
    "workers/attempts/generate.py": 1,  # awaited by the job
    "workers/attempts/provider_session.py": 3,  # awaited by the session, or by its attempt
    "workers/care/caretaker.py": 1,  # visits, looked at in each round
    "workers/care/daily_audit.py": 1,  # the turn, as long as the audit
    "workers/webhooks/sender.py": 1,  # one webhook's calls, which never raise
}
"""Where a task is awaited by whoever started it, or ends by itself: how many, and why that is seen."""


@pytest.fixture
async def tasks(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Tasks]:
    monkeypatch.setattr(tasks_module, "RESTART_SECONDS", (0.0, 0.01))
    tasks = Tasks()
    yield tasks
    await tasks.close()


def figures(tasks: Tasks) -> dict[str, float]:
    return {sample.name: sample.value for family in tasks.metrics() for sample in family.samples}


async def test_a_loop_that_fails_is_started_again_and_is_a_problem_until_it_has_run_for_a_while(
    tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks_module, "STEADY_SECONDS", 0.1)
    starts = 0
    third = asyncio.Event()

    async def work() -> None:
        nonlocal starts
        starts += 1
        if starts <= 2:
            raise ValueError("a prompt that must not be shown")
        third.set()
        await asyncio.get_running_loop().create_future()

    with capture_logs() as lines:
        tasks.keep("hints", work)
        await third.wait()
        (problem,) = tasks.problems
        assert problem == "the background task 'hints' failed (ValueError) and is being restarted; see the log"
        assert figures(tasks) == {"farebox_background_task_up": 0, "farebox_background_task_failures_total": 2}
        await until(lambda: not tasks.problems)
    assert figures(tasks) == {"farebox_background_task_up": 1, "farebox_background_task_failures_total": 2}
    events = [line["event"] for line in lines]
    assert events == ["background_task_failed", "background_task_failed", "background_task_recovered"]


async def test_a_loop_that_returns_is_done(tasks: Tasks) -> None:
    async def work() -> None:
        await asyncio.sleep(0)

    await tasks.keep("ledger start", work)
    assert tasks.problems == ()


async def test_a_loop_is_ended_also_between_two_starts(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks_module, "RESTART_SECONDS", (3600.0,))
    failed = asyncio.Event()

    async def work() -> None:
        failed.set()
        raise ValueError

    task = tasks.keep("hints", work)
    await failed.wait()
    await tasks.close()
    assert task.cancelled()


async def test_background_work_is_logged_if_it_fails_and_finished_at_close(tasks: Tasks) -> None:
    done = []

    async def fail(error: Exception) -> None:
        raise error

    async def work() -> None:
        await asyncio.sleep(0.01)
        done.append(True)

    with capture_logs() as lines:
        tasks.start(fail(QueueUnavailable("away")), "a hint")
        tasks.start(fail(ValueError("odd")), "another")
        tasks.start(work(), "a third")
        await tasks.close()
    assert [(line["task"], line["log_level"]) for line in lines] == [("a hint", "warning"), ("another", "error")]
    assert done == [True]


def test_no_task_is_started_elsewhere_and_left_alone() -> None:
    """A loop that dies unseen stays dead: every background task goes through `gateway.tasks`."""
    found: Counter[str] = Counter()
    for package in (gateway, workers):
        root = Path(package.__file__ or "").parent
        for path in root.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
                if name in {"create_task", "ensure_future", "run_coroutine_threadsafe"}:
                    found[path.relative_to(root.parent).as_posix()] += 1
    del found["gateway/tasks.py"]
    assert dict(found) == OWNED
