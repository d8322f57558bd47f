"""What the ledger answered, in the model's words: a class of `outcomes`, and what else must be right about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.ledger import outcomes
from gateway.ledger.limits import LimitReached
from gateway.ledger.operators import GivenBack
from gateway.ledger.payments import Checkout, Paid, TakenBack
from tests.invariants.model.accounts import Answer


def answer_of(outcome: object) -> Answer:
    """The model's word for an outcome."""
    if isinstance(outcome, bool):
        return "yes" if outcome else "no", None
    if isinstance(outcome, tuple):
        return "Account", None  # of `put_account`
    return type(outcome).__name__, _detail(outcome)


def in_order(answer: Answer) -> Answer:
    """What was promoted goes by tools, in no order between them."""
    word, detail = answer
    if isinstance(detail, tuple) and detail and isinstance(detail[-1], list):
        return word, (*detail[:-1], sorted(detail[-1]))
    return answer


def _detail(outcome: Any) -> Any:  # noqa: C901, PLR0911, PLR0912 - one line for each class
    match outcome:
        case (
            outcomes.Reserved()
            | outcomes.Requeued()
            | outcomes.WaitingForSlot()
            | outcomes.CancelRequested()
            | outcomes.CalledBack()
        ):
            return dispatch_of(outcome.dispatch)
        case outcomes.Parked():
            return outcome.next_poll, dispatch_of(outcome.dispatch)
        case outcomes.Stray():
            return outcome.tool
        case outcomes.Ended():
            return str(outcome.generation.state), outcome.provider_ref, _dispatches(outcome.promoted)
        case outcomes.Applied():
            return int(outcome.grant[1:]) if outcome.grant else None, _dispatches(outcome.promoted)
        case outcomes.Account():
            return sum(outcome.available_millicredits.values())
        case outcomes.InsufficientCredits():
            return sum(outcome.account.available_millicredits.values())
        case LimitReached():
            return outcome.whose, outcome.used_millicredits, outcome.resets_at
        case outcomes.Replayed():
            return outcome.generation.id
        case GivenBack():
            return outcome.generation.given_back_millicredits
        case outcomes.Unchanged():
            return str(outcome.generation.state)
        case outcomes.PlanLimit():
            return outcome.setting
        case outcomes.WaitingRoomFull():
            return outcome.max_waiting
        case outcomes.VolumeMoved():
            return outcome.ordered
        case outcomes.TooEarly():
            return outcome.not_before
        case outcomes.Renewed():
            return outcome.cancel_requested
        case outcomes.Refused():
            return outcome.reason
        case Checkout():
            return outcome.status
        case Paid():
            return outcome.now, _dispatches(outcome.promoted)
        case TakenBack():
            return outcome.now
    return None


def dispatch_of(dispatch: outcomes.Dispatch | None) -> Any:
    """A dispatch as the model says it."""
    if dispatch is None:
        return None
    told = (dispatch.tool, dispatch.attempt, dispatch.score, dispatch.queued_at, dispatch.not_before, dispatch.deadline)
    return dispatch.generation, told


def _dispatches(dispatches: Iterable[outcomes.Dispatch]) -> list[Any]:
    return [dispatch_of(each) for each in dispatches]
