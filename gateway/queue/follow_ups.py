"""What follows the ledger's outcomes, in one place for the API, workers and caretakers.

The ledger calls `FollowUps.after` with every outcome that changed something. So no caller can forget to dispatch, to
notify streams, to free the provider's slot or to stop the provider. All of it runs in the background and may be lost
with the process: a caretaker dispatches what was not dispatched, slots lapse, and streams read again anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from gateway.domain import GenerationRequest
from gateway.ledger import outcomes
from gateway.ledger.figures import Figures
from gateway.ledger.operators import GivenBack
from gateway.ledger.payments import Billed, Paid, TakenBack
from gateway.pricing.card import RateCard
from gateway.queue.dispatcher import Dispatcher
from gateway.queue.jobs import job_id
from gateway.queue.messages import ChangeNotice
from gateway.queue.queue import Queue
from gateway.queue.slots import Limits, Slots
from gateway.tasks import Tasks

Stop = Callable[[GenerationRequest, str, str], Coroutine[Any, Any, None]]
"""Stops a job at its provider: (request, ref, generation id)."""


class FollowUps:
    """Runs the follow-ups. `card` returns the current rate card; `stop` asks a provider, or queues that."""

    def __init__(
        self,
        *,
        queue: Queue,
        dispatcher: Dispatcher,
        slots: Slots,
        tasks: Tasks,
        card: Callable[[], RateCard],
        figures: Figures,
        stop: Stop | None = None,
    ) -> None:
        self._queue = queue
        self._dispatcher = dispatcher
        self._slots = slots
        self._tasks = tasks
        self._card = card
        self._figures = figures
        self._stop = self._leave_stop_to_worker if stop is None else stop

    def after(self, outcome: object) -> None:
        """Start the follow-ups of an outcome. Never raises, never waits."""
        self._figures.count(outcome)
        match outcome:
            case outcomes.Begun(one):
                self._dispatcher.dispatch([], [ChangeNotice(one.account, one.id, one.version)])
            case outcomes.Reserved(one, dispatch):
                self._dispatcher.dispatch([dispatch], [ChangeNotice(one.account, one.id, one.version)])
            case outcomes.CancelRequested(one, dispatch):
                self._dispatcher.dispatch([dispatch], [ChangeNotice(one.account, one.id, one.version)])
                self._tasks.start(self._queue.request_check(one.id), "request check")
            case outcomes.Ended():
                self._ended(outcome)
            case outcomes.Requeued(dispatch, promoted):
                self._go_on((dispatch, *promoted))
            case outcomes.WaitingForSlot(dispatch):
                self._dispatcher.dispatch([], [ChangeNotice(dispatch.account, dispatch.generation)])
            case outcomes.Parked(dispatch=dispatch):
                self._dispatcher.dispatch([dispatch])
            case outcomes.CalledBack(generation, None):
                self._tasks.start(self._queue.request_check(generation), "request check")
            case outcomes.CalledBack(dispatch=dispatch):
                self._dispatcher.dispatch([dispatch])
            case (
                outcomes.Applied(account=account, promoted=promoted)
                | Paid(account=account, promoted=promoted)
                | Billed(account=account, promoted=promoted)
            ):
                self._account_changed(account, promoted)
            case GivenBack(account=account) | TakenBack(account=account):
                self._account_changed(account)

    def leave_slot(self, provider: str, generation: str) -> None:
        """Release a generation's slot at its provider, or its place in the provider's queue, for others."""
        table = self._card().providers.get(provider)
        if table is not None:
            self._tasks.start(self._release_slot(provider, Limits.of(table), generation), "release slot")

    def _ended(self, outcome: outcomes.Ended) -> None:
        """Dispatch the generations that waited behind it (R14), and stop work nobody needs (R17)."""
        ended = outcome.generation
        if len(ended.outputs) < ended.request.outputs:
            job, asked = job_id(ended.id, ended.attempt + 1), ended.request
            self._tasks.start(self._queue.take_out(asked.tool, job, provider=asked.provider), "take out")
            if outcome.provider_ref is not None:
                self._tasks.start(self._stop(ended.request, outcome.provider_ref, ended.id), "stop provider")
        self.leave_slot(ended.request.provider, ended.id)
        self._go_on(outcome.promoted, ChangeNotice(ended.account, ended.id, ended.version))

    def _account_changed(self, account: outcomes.Account, promoted: Sequence[outcomes.Dispatch] = ()) -> None:
        self._go_on(promoted, ChangeNotice(account.id, ""))

    def _go_on(self, dispatches: Sequence[outcomes.Dispatch], *notices: ChangeNotice) -> None:
        """Dispatch generations that have moved to `queued`, and notify their streams."""
        moved = (ChangeNotice(dispatch.account, dispatch.generation) for dispatch in dispatches)
        self._dispatcher.dispatch(dispatches, [*moved, *notices])

    async def _release_slot(self, provider: str, limits: Limits, generation: str) -> None:
        self._dispatcher.dispatch(await self._slots.release(provider, limits, generation))

    async def _leave_stop_to_worker(self, asked: GenerationRequest, ref: str, generation: str) -> None:
        await self._queue.stop(tool=asked.tool, generation=generation, ref=ref)
