"""`Ordering`: a generation or a refusal from values alone, no request anywhere."""

from __future__ import annotations

import pytest

from gateway.api.access.auth import AccountCaller, KeysStale
from gateway.api.errors import IdempotencyKeyReused, InsufficientCredits, PriceAboveCeiling, UnknownModel
from gateway.api.ordering.ordering import IdempotencyDigests, Ordering
from gateway.api.services import ORDERING
from gateway.domain import Scope, State, operation_id
from gateway.ledger.outcomes import Account
from gateway.schemas.generations import GenerationIn
from tests.api.visitor import SKETCH, Visitor

DIGESTS = IdempotencyDigests(key="k" * 64, request="r" * 64)


@pytest.fixture
async def caller(gateway: Visitor) -> AccountCaller:
    await gateway.account()
    account = await gateway.ledger.account(account="acme")
    assert isinstance(account, Account)
    return AccountCaller(Scope.ACCOUNT, "key_1", "acme", account.keys_version)


@pytest.fixture
def ordering(gateway: Visitor) -> Ordering:
    return gateway.app[ORDERING]


def body(**wishes: object) -> GenerationIn:
    return GenerationIn.model_validate(SKETCH | wishes)


async def test_an_order_is_priced_held_and_queued(ordering: Ordering, caller: AccountCaller) -> None:
    price = ordering.price(caller, body()).price_millicredits
    ordered = await ordering.order(caller, body(), None)
    assert (ordered.replay, ordered.generation.state) == (False, State.QUEUED)
    assert ordered.generation.held_millicredits == price > 0


async def test_the_same_order_again_is_the_first_one(ordering: Ordering, caller: AccountCaller) -> None:
    first = await ordering.order(caller, body(), DIGESTS)
    again = await ordering.order(caller, body(), DIGESTS)
    assert (again.replay, again.generation.id) == (True, first.generation.id)
    with pytest.raises(IdempotencyKeyReused):
        await ordering.order(caller, body(), IdempotencyDigests(DIGESTS.key, "s" * 64))


async def test_what_was_accepted_before_is_not_refused_now(ordering: Ordering, caller: AccountCaller) -> None:
    """R11: the second time the model is unknown, as after a change of the card; the answer is the first one."""
    first = await ordering.order(caller, body(), DIGESTS)
    again = await ordering.order(caller, body(model="gone"), DIGESTS)
    assert again.generation.id == first.generation.id


async def test_a_refusal_holds_nothing(gateway: Visitor, ordering: Ordering, caller: AccountCaller) -> None:
    before = await gateway.ledger.account(account="acme")
    with pytest.raises(UnknownModel):
        await ordering.order(caller, body(model="gone"), None)
    with pytest.raises(PriceAboveCeiling):
        await ordering.order(caller, body(max_credits=0.001), None)
    after = await gateway.ledger.account(account="acme")
    assert isinstance(before, Account)
    assert isinstance(after, Account)
    assert after.held_millicredits == before.held_millicredits


async def test_without_credits_it_says_what_is_needed(
    gateway: Visitor, ordering: Ordering, caller: AccountCaller
) -> None:
    account = await gateway.ledger.account(account="acme")
    assert isinstance(account, Account)
    for bucket, millicredits in account.available_millicredits.items():
        await gateway.ledger.adjust(
            account="acme",
            operation=operation_id(),
            bucket=bucket,
            millicredits=-millicredits,
            reason="spent",
        )
    with pytest.raises(InsufficientCredits):
        await ordering.order(caller, body(), None)


async def test_a_caller_whose_keys_have_changed_is_authenticated_again(
    ordering: Ordering, caller: AccountCaller
) -> None:
    with pytest.raises(KeysStale):
        await ordering.order(
            AccountCaller(Scope.ACCOUNT, "key_1", "acme", (caller.keys_version or 0) + 1), body(), None
        )
