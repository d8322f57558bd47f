"""`Ordering`: a generation or a refusal from values alone, no request anywhere."""

from __future__ import annotations

import pytest

from gateway.api.access.auth import AccountCaller, KeysStale
from gateway.api.errors import IdempotencyKeyReused
from gateway.api.ordering.ordering import IdempotencyDigests, Ordering
from gateway.api.services import ORDERING
from gateway.domain import Scope, State
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
    _, quote = ordering.prices.price(caller, body(), caller.priced_for)
    ordered = await ordering.order(caller, body(), None)
    assert (ordered.replay, ordered.generation.state) == (False, State.QUEUED)
    assert ordered.generation.held_millicredits == quote.price_millicredits > 0


async def test_the_same_order_again_is_the_first_one(ordering: Ordering, caller: AccountCaller) -> None:
    first = await ordering.order(caller, body(), DIGESTS)
    again = await ordering.order(caller, body(), DIGESTS)
    assert (again.replay, again.generation.id) == (True, first.generation.id)
    with pytest.raises(IdempotencyKeyReused):
        await ordering.order(caller, body(), IdempotencyDigests(DIGESTS.key, "s" * 64))


async def test_a_caller_whose_keys_have_changed_is_authenticated_again(
    ordering: Ordering, caller: AccountCaller
) -> None:
    with pytest.raises(KeysStale):
        await ordering.order(
            AccountCaller(Scope.ACCOUNT, "key_1", "acme", (caller.keys_version or 0) + 1), body(), None
        )
