from __future__ import annotations

import asyncio

import pytest

from gateway.tasks import cancel


async def test_a_task_that_loses_its_first_cancel_is_ended_all_the_same() -> None:
    """`wait_for` of Python 3.11 lost the cancel of a worker's heartbeat, and the attempt never settled."""

    async def deaf_once() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(3600)

    task = asyncio.create_task(deaf_once())
    await asyncio.sleep(0)
    await cancel(task)
    assert task.cancelled()


async def test_what_an_ended_task_raised_is_not_raised_again() -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    task = asyncio.create_task(broken())
    await asyncio.wait([task])
    await cancel(task)
    with pytest.raises(ZeroDivisionError):
        task.result()
