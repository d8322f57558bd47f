"""A generation's life: reserve, begin, renew, deliver, settle, cancel, rescue and the transitions between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.domain import OwnWebhook, is_generation_id
from gateway.json_text import to_json
from gateway.ledger import outcomes
from gateway.ledger.core import LedgerCore, texts
from gateway.ledger.generation_records import (
    decode_dispatch,
    decode_generation,
    encode_output,
    encode_request,
    encode_terms,
    first_fields,
    new_generation,
)
from gateway.ledger.limits import LimitReached, limit_reached
from gateway.ledger.margin_records import encode_costs
from gateway.ledger.metering_records import encode_reports
from gateway.ledger.pause_records import Paused, decode_pause
from gateway.ledger.price_basis import PriceBasis, PricedOtherwise, encode_basis, priced_otherwise
from gateway.ledger.records import canonical, clean_reason, decode_account, pairs
from gateway.ledger.tried import encode_tried
from gateway.ledger.volumes import encode_volume

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gateway.domain import Cost, FailureCode, GenerationRequest, Output, Volume
    from gateway.ledger.policy import Terms
    from gateway.ledger.tried import Tried
    from gateway.redis_link.calls import Reply

Reservation = (
    outcomes.KeysChanged
    | outcomes.NotFound
    | outcomes.Replayed
    | outcomes.KeyReused
    | outcomes.SubscriptionRequired
    | outcomes.PlanLimit
    | PricedOtherwise
    | outcomes.VolumeMoved
    | outcomes.InsufficientCredits
    | LimitReached
    | Paused
    | outcomes.WaitingRoomFull
    | outcomes.Reserved
)

_REFUSALS: Mapping[str, Callable[..., Reservation]] = {
    "subscription_required": outcomes.SubscriptionRequired,
    "key_reused": outcomes.KeyReused,
    "keys_changed": outcomes.KeysChanged,
    "not_found": outcomes.NotFound,
    "limit_reached": limit_reached,
    "waiting_room_full": lambda plan, limit: outcomes.WaitingRoomFull(plan, int(limit)),
    "plan_limit": lambda plan, setting, *allowed: outcomes.PlanLimit(plan, setting, allowed),
    "priced_otherwise": priced_otherwise,
    "volume_moved": lambda ordered: outcomes.VolumeMoved(int(ordered)),
}
"""What `reserve` may refuse, made from the texts of its reply."""


_NO_DIGESTS = ("", "")  # of a request without an idempotency key


class GenerationOperations(LedgerCore):
    """One method per script that moves a generation."""

    async def reserve(
        self,
        *,
        account: str,
        generation: str,
        operation: str,
        request: GenerationRequest,
        terms: Terms,
        pro: bool,
        keys_version: int | None,
        key: str | None = None,
        member: str | None = None,
        token: str | None = None,
        idempotency: tuple[str, str] | None = None,
        webhook: OwnWebhook | None = None,
        retry_of: str | None = None,
        priced: PriceBasis | None = None,
        volume: Volume | None = None,
    ) -> Reservation:
        """Check everything, then hold the price and create the generation, or change nothing (R8).

        `idempotency`: digests of the caller's key, and of method, path and body; `operation` is new for each request;
        `key`, `token`: their ids; `member`: of a retry, whose key may be gone; `priced`: what the price was made for,
        None if it is agreed; `volume`, for a model with graduated prices: count its outputs, and hold nothing if the
        price is another. In order of precedence: NotFound, KeysChanged, Replayed, KeyReused, Paused,
        SubscriptionRequired, PlanLimit, PricedOtherwise, VolumeMoved, InsufficientCredits, LimitReached,
        WaitingRoomFull, Reserved.
        """
        fields = first_fields(request, operation, webhook, terms, key=key, token=token, retry_of=retry_of)
        word, rest = await self.run(
            "reserve",
            self.account_key(account),
            generation=generation,
            operation=operation,
            keys_version=keys_version,
            key=key,
            retried_member=member,
            token=token,
            key_digest=(idempotency or _NO_DIGESTS)[0],
            request_digest=(idempotency or _NO_DIGESTS)[1],
            basis=encode_basis(priced),
            volume=volume and encode_volume(volume, request.outputs),
            pro=pro,
            **_asked(request),
            terms=encode_terms(terms),
            kept_ms=self.outputs_kept_ms,
            fields=to_json([text for pair in fields.items() for text in pair]).decode(),
            dispatch_ms=self.dispatch_ms,
        )
        return self._reservation(word, rest, account, request, fields)

    def _reservation(
        self, word: str, rest: Reply, account: str, request: GenerationRequest, fields: Mapping[str, str]
    ) -> Reservation:
        if word in _REFUSALS:
            return _REFUSALS[word](*texts(rest))
        match word:
            case "reserved":
                return self.moved(_reserved(rest, fields, request))
            case "paused":
                return Paused(decode_pause(rest))
            case "resent":
                return self.moved(outcomes.Reserved(_generation(rest[0]), decode_dispatch(rest[1])))
            case "replayed":
                return outcomes.Replayed(_generation(rest[0]))
            case "insufficient_credits":
                return outcomes.InsufficientCredits(request.price_millicredits, decode_account(account, rest[0]))
            case _:
                raise self.unexpected("reserve", word)

    async def replay(
        self, *, account: str, keys_version: int | None, idempotency: tuple[str, str]
    ) -> outcomes.KeysChanged | outcomes.NotFound | outcomes.Replayed | outcomes.KeyReused | None:
        """Look up what `reserve` would replay, for a request that would be refused before it gets there (R11)."""
        key_digest, request_digest = idempotency
        word, rest = await self.run(
            "replay",
            self.account_key(account),
            keys_version=keys_version,
            key_digest=key_digest,
            request_digest=request_digest,
        )
        match word:
            case "replayed":
                return outcomes.Replayed(_generation(rest[0]))
            case "key_reused":
                return outcomes.KeyReused()
            case "keys_changed":
                return outcomes.KeysChanged()
            case "not_found":
                return outcomes.NotFound()
            case _:
                return None

    async def begin(
        self, *, generation: str, attempt: int, operation: str
    ) -> outcomes.Begun | Paused | outcomes.TooEarly | outcomes.Ended | outcomes.Stale:
        """Give attempt number `attempt` the lease, if it is the one that the generation expects.

        Paused: it stays queued, and is dispatched again when the pause has ended.
        """
        key = self.generation_key(generation)
        word, rest = await self.run(
            "begin", key, attempt=attempt, operation=operation, lease_ms=self.lease_ms, dispatch_ms=self.dispatch_ms
        )
        match word:
            case "begun":
                return self.moved(outcomes.Begun(_generation(rest[0]), attempt, self.lease_ms))
            case "paused":
                return Paused(decode_pause(rest))
            case "too_early":
                return outcomes.TooEarly(int(rest[0]))
            case "ended":
                return self.ended(rest)
            case _:
                return outcomes.Stale()

    async def note(self, *, generation: str, attempt: int, ref: str) -> outcomes.Noted | outcomes.Stale:
        """Store the provider's job id before waiting for the job, so that the next attempt can resume it (R17)."""
        word, _ = await self.run("note", self.generation_key(generation), attempt=attempt, ref=ref)
        return outcomes.Noted() if word == "noted" else outcomes.Stale()

    async def renew(
        self, *, generation: str, attempt: int, progress_thousandths: int | None = None
    ) -> outcomes.Renewed | outcomes.Ended | outcomes.Stale:
        """Renew the lease and record progress; Ended past `give_up_at`."""
        word, rest = await self.run(
            "renew",
            self.generation_key(generation),
            attempt=attempt,
            progress=progress_thousandths,
            lease_ms=self.lease_ms,
            dispatch_ms=self.dispatch_ms,
        )
        match word:
            case "renewed":
                return outcomes.Renewed(cancel_requested=rest[0] == b"1")
            case "ended":
                return self.ended(rest)
            case _:
                return outcomes.Stale()

    async def deliver(self, *, generation: str, attempt: int, output: Output) -> outcomes.Noted | outcomes.Stale:
        """Record one finished output: from now on it can be downloaded, and will be charged (R9).

        What was reported of it is recorded with it, once: the first report stands (R29).
        """
        word, _ = await self.run(
            "deliver",
            self.generation_key(generation),
            attempt=attempt,
            index=output.index,
            output=encode_output(output),
            reported=encode_reports(output.reports),
            cost=encode_costs(output.cost),
        )
        return outcomes.Noted() if word == "noted" else outcomes.Stale()

    async def park(
        self,
        *,
        generation: str,
        attempt: int,
        operation: str,
        progress_thousandths: int | None = None,
        poll_ms: int | None = None,
    ) -> outcomes.Parked | outcomes.Ended | outcomes.Stale:
        """Leave the generation with its provider (R17), without a lease, until its next poll.

        The poll interval starts at 30 s and doubles up to 5 min; `poll_ms` is an upper limit.
        """
        word, rest = await self.run(
            "park",
            self.generation_key(generation),
            attempt=attempt,
            operation=operation,
            dispatch_ms=self.dispatch_ms,
            progress=progress_thousandths,
            poll_ms=poll_ms,
        )
        if word == "ended":
            return self.ended(rest)
        return (
            self.moved(outcomes.Parked(int(rest[0]), decode_dispatch(rest[1])))
            if word == "parked"
            else outcomes.Stale()
        )

    async def hand_back(
        self,
        *,
        generation: str,
        attempt: int,
        operation: str,
        free: bool = False,
        tried: Sequence[Tried] = (),
        not_before: int | None = None,
    ) -> outcomes.Requeued | outcomes.Ended | outcomes.Stale:
        """Return the generation to the queue; not a failure: its worker is stopping, or its provider refused the job.

        `free`: the provider has no job of it, and no answer to a submit was lost: another one may be chosen for the
        next attempt, which begins at `not_before`. With `tried`, the time at providers that `begin` set stands (R30).
        """
        reply = await self.run(
            "hand_back",
            self.generation_key(generation),
            attempt=attempt,
            operation=operation,
            dispatch_ms=self.dispatch_ms,
            free=free,
            tried=encode_tried(tried),
            not_before=not_before,
        )
        return self._queued_or_ended(*reply)

    async def settle(
        self,
        *,
        generation: str,
        attempt: int,
        operation: str,
        failure: FailureCode | None,
        tried: Sequence[Tried] = (),
        untried: int = 0,
        lost: Sequence[Cost] = (),
    ) -> outcomes.Ended | outcomes.Requeued | outcomes.Stale:
        """End the attempt: commit the delivered share and refund the rest (R9), or queue the next attempt.

        `tried`, with `provider_failed`: its job has ended, so another provider may be chosen. `untried` of them
        have not been tried yet: so many more attempts are made than `attempts_max` (R30). `lost`: the cost of what it
        made and did not deliver (R31).
        """
        reply = await self.run(
            "settle",
            self.generation_key(generation),
            attempt=attempt,
            operation=operation,
            failure=failure,
            dispatch_ms=self.dispatch_ms,
            tried=encode_tried(tried),
            untried=untried,
            lost=encode_costs(*lost),
        )
        return self._queued_or_ended(*reply, job_is_over=failure is None)

    async def book_loss(self, *, generation: str, job: str, lost: Sequence[Cost]) -> outcomes.Noted | outcomes.NotFound:
        """Book what a job cost whose outputs nobody gets, once for each job (R30, R31).

        `job` is the provider's id of it. NotFound: the generation's record is gone, and nothing was booked.
        """
        word, _ = await self.run("book_loss", self.generation_key(generation), job=job, cost=encode_costs(*lost))
        return outcomes.Noted() if word == "booked" else outcomes.NotFound()

    def _queued_or_ended(
        self, word: str, rest: Reply, *, job_is_over: bool = False
    ) -> outcomes.Ended | outcomes.Requeued | outcomes.Stale:
        if word == "ended":
            return self.ended(rest, job_is_over=job_is_over)
        return self.requeued(rest) if word == "requeued" else outcomes.Stale()

    async def cancel(
        self,
        *,
        generation: str,
        account: str | None = None,
        keys_version: int | None = None,
        member: str | None = None,
        reason: str | None = None,
    ) -> outcomes.KeysChanged | outcomes.NotFound | outcomes.Unchanged | outcomes.CancelRequested | outcomes.Ended:
        """Refund immediately if nothing is running, else ask the worker to stop (R18).

        With `account`, and `member`, NotFound if it is not theirs. `reason` is an operator's, for the journal.
        """
        if not is_generation_id(generation):
            return outcomes.NotFound()
        key = self.generation_key(generation)
        word, rest = await self.run(
            "cancel",
            key,
            account=account,
            keys_version=keys_version,
            member=member,
            reason=reason and clean_reason(reason),
            dispatch_ms=self.dispatch_ms,
        )
        match word:
            case "ended":
                return self.ended(rest)
            case "cancel_requested":
                return self.moved(outcomes.CancelRequested(_generation(rest[0]), decode_dispatch(rest[1])))
            case "unchanged":
                return outcomes.Unchanged(_generation(rest[0]))
            case "keys_changed":
                return outcomes.KeysChanged()
            case _:
                return outcomes.NotFound()


def _asked(request: GenerationRequest) -> dict[str, str | int]:
    """A request's own text, and what `reserve` checks of it."""
    return {
        "price": request.price_millicredits,
        "tool": request.tool,
        "model": request.model,
        "providers": ",".join(request.providers or (request.provider,)),
        "settings": to_json({name: canonical(value) for name, value in request.settings.items()}).decode(),
        "request": encode_request(request),
    }


def _generation(item: Reply) -> outcomes.Generation:
    return decode_generation(item[0].decode(), item[1])


def _reserved(rest: Reply, fields: Mapping[str, str], request: GenerationRequest) -> outcomes.Reserved:
    """The requested generation, completed with what the script decided."""
    generation, deadline, score = texts(rest[:3])
    made = new_generation(generation, {**fields, **pairs(rest[3])}, request)
    if not score:
        return outcomes.Reserved(made, None)
    dispatch = outcomes.Dispatch(
        generation, request.tool, 1, int(score), made.created_at, 0, int(deadline), made.account, request.provider
    )
    return outcomes.Reserved(made, dispatch)
