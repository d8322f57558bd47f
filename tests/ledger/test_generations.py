"""Reading generations: one of anybody's or of one's own, and an account's, newest first, filtered, page by page."""

from __future__ import annotations

from gateway.domain import State, partition_of_account
from gateway.ledger import keys, outcomes
from tests.ledger.world import PARTITIONS, World, the


async def pages(world: World, limit: int, **filters: object) -> list[list[str]]:
    found: list[list[str]] = []
    before: str | None = None
    while True:
        page = await world.ledger.generations(
            account="ann",
            keys_version=None,
            limit=limit,
            before=before,
            **filters,  # type: ignore[arg-type]
        )
        read = the(outcomes.Page, page)
        found.append([generation.id for generation in read.data])
        if read.next is None:
            return found
        before = read.next


async def listed(world: World, limit: int, **filters: object) -> list[str]:
    return [generation for page in await pages(world, limit, **filters) for generation in page]


async def test_newest_first_page_by_page(world: World) -> None:
    made = [await world.spend(1_000) for _ in range(7)]
    newest = made[::-1]
    assert await pages(world, 3) == [newest[:3], newest[3:6], newest[6:]]
    assert await pages(world, 7) == [newest]
    assert await pages(world, 100) == [newest]


async def test_the_order_is_that_of_making_also_within_a_millisecond(bare: World) -> None:
    await bare.publish(daily_millicredits=9_000_000)
    await bare.account()
    made = [await bare.spend(1_000) for _ in range(20)]
    recent = keys.recent(partition_of_account("ann", PARTITIONS), "ann")
    scores = [await bare.redis.zscore(recent, generation) for generation in made]
    assert scores == sorted(set(scores))


async def test_filters_combine_and_page_on(world: World) -> None:
    films = [await world.spend(1_000, tool="video", model="wan-2.2") for _ in range(3)]
    pictures = [await world.spend(1_000) for _ in range(3)]
    await world.finish(pictures[0])
    assert await pages(world, 2, tool="video") == [films[:0:-1], films[:1]]
    assert await pages(world, 9, state=State.SUCCEEDED) == [pictures[:1]]
    assert await pages(world, 9, model="wan-2.2", state=State.WAITING) == [films[:0:-1]]
    assert await pages(world, 9, model="wan-2.2", tool="image") == [[]]


async def test_a_period_is_half_open_and_found_however_long_the_list_is(bare: World) -> None:
    await bare.publish(daily_millicredits=9_000_000)
    await bare.account()
    made = [await bare.spend(1_000) for _ in range(9)]
    at = {one: (await bare.generation(one)).created_at for one in made}
    for edge in sorted({*at.values(), min(at.values()) - 1, max(at.values()) + 1}):
        earlier = [one for one in reversed(made) if at[one] < edge]
        later = [one for one in reversed(made) if at[one] >= edge]
        assert await listed(bare, 2, created_before=edge) == earlier
        assert await listed(bare, 2, created_after=edge) == later
        assert await listed(bare, 4, created_after=edge, created_before=edge + 1) == [
            one for one in reversed(made) if at[one] == edge
        ]
    bare.holds = False  # it goes while it is open
    # What has expired meanwhile is the oldest, and in nobody's way.
    await bare.redis.delete(keys.generation(partition_of_account("ann", PARTITIONS), made[0]))
    assert await listed(bare, 100, created_before=max(at.values()) + 1) == made[:0:-1]


async def test_metadata_is_matched_by_value_and_all_of_it(bare: World) -> None:
    await bare.publish(daily_millicredits=9_000_000)
    await bare.account()
    one = await bare.spend(1_000, metadata={"order": "A-17", "count": 3, "paid": True})
    two = await bare.spend(1_000, metadata={"order": "A-18", "count": 3.5})
    await bare.spend(1_000)
    for wanted, found in (
        ({"order": "A-17"}, [one]),
        ({"count": "3"}, [one]),
        ({"count": "3.5"}, [two]),
        ({"paid": "true"}, [one]),
        ({"paid": "True"}, []),
        ({"count": "0x3"}, []),
        ({"count": " 3"}, []),
        ({"order": "A-17", "count": "3"}, [one]),
        ({"order": "A-17", "count": "4"}, []),
        ({"other": "A-17"}, []),
    ):
        assert await listed(bare, 2, metadata=wanted) == found, wanted


async def test_every_word_is_in_the_prompt_or_in_a_tag(bare: World) -> None:
    await bare.publish(daily_millicredits=9_000_000)
    await bare.account()
    fox = await bare.spend(1_000, prompt='A red "Fox" in\nthe snow: ÜBER 100 %', tags={"project": "Apollo"})
    bike = await bare.spend(1_000, prompt="a red bicycle")
    await bare.spend(1_000, prompt="")
    for words, found in (
        (["red"], [bike, fox]),
        (["RED", "fox"], [fox]),
        (["red", "cat"], []),
        (['"fox"'], [fox]),
        (["%"], [fox]),
        (["project:apollo"], [fox]),
        (["apollo", "snow"], [fox]),
        (["ÜBER"], [fox]),
        (["über"], []),
        ([], [bike, fox]),
    ):
        assert await listed(bare, 2, words=words) == found if words else len(await listed(bare, 2)) == 3, words


async def test_words_are_looked_for_in_200_at_a_time(bare: World) -> None:
    await bare.publish(daily_millicredits=9_000_000)
    await bare.account()
    oldest = await bare.spend(1_000, prompt="a red bicycle")
    recent = keys.recent(partition_of_account("ann", PARTITIONS), "ann")
    newest = await bare.redis.zscore(recent, oldest)
    await bare.redis.zadd(recent, {f"gen_{number}": (newest or 0) + number for number in range(1, 201)})
    assert await pages(bare, 5, words=["bicycle"]) == [[], [oldest]]


async def test_one_generation_for_anybody_or_for_its_account_only(world: World) -> None:
    await world.account("bob")
    generation = await world.spend()
    assert the(outcomes.Generation, await world.ledger.generation(generation=generation)).id == generation
    own = await world.ledger.generation(generation=generation, account="ann", keys_version=0)
    assert the(outcomes.Generation, own).account == "ann"
    assert isinstance(await world.ledger.generation(generation=generation, account="bob"), outcomes.NotFound)
    changed = await world.ledger.generation(generation=generation, account="ann", keys_version=9)
    assert isinstance(changed, outcomes.KeysChanged)
    for unknown in ("gen_00aaaaaaaaaaaaaaaaaaaaaaaa", "gen_", "../etc/passwd", ""):
        assert isinstance(await world.ledger.generation(generation=unknown), outcomes.NotFound)


async def test_lists_of_unknown_accounts_cursors_and_old_keys(world: World) -> None:
    await world.account("bob")
    bobs = await world.spend(account="bob")
    ledger = world.ledger
    assert isinstance(await ledger.generations(account="nobody", keys_version=None, limit=3), outcomes.NotFound)
    assert isinstance(await ledger.generations(account="ann", keys_version=5, limit=3), outcomes.KeysChanged)
    strange = await ledger.generations(account="ann", keys_version=None, limit=3, before=bobs)
    assert isinstance(strange, outcomes.NotFound)


async def test_every_change_that_can_be_seen_is_a_new_version(world: World) -> None:
    """An event's id is the generation's version."""
    generation = await world.spend(outputs=2)
    versions = [(await world.generation(generation)).version]
    await world.begin(generation)
    versions.append((await world.generation(generation)).version)
    await world.ledger.renew(generation=generation, attempt=1, progress_thousandths=10)
    versions.append((await world.generation(generation)).version)
    await world.deliver(generation, 0)
    versions.append((await world.generation(generation)).version)
    await world.ledger.cancel(generation=generation)
    versions.append((await world.generation(generation)).version)
    await world.settle(generation)
    versions.append((await world.generation(generation)).version)
    assert versions == sorted(set(versions))


async def test_what_has_not_changed_since_it_was_read_is_answered_as_it_was_read(world: World) -> None:
    generation = await world.spend()
    read = await world.generation(generation)
    assert await world.ledger.generation(generation=generation, known=read) is read
    assert await world.ledger.generation(generation=generation, account="ann", known=read) is read
    assert isinstance(
        await world.ledger.generation(generation=generation, account="bob", known=read), outcomes.NotFound
    )
    await world.ledger.cancel(generation=generation)
    changed = the(outcomes.Generation, await world.ledger.generation(generation=generation, known=read))
    assert (read.state, changed.state) == ("queued", "cancelled")


async def test_what_has_not_changed_is_still_kept_from_whom_it_is_none_of(world: World) -> None:
    """For an account's key an unchanged one is found out without a script, which must refuse as the script does."""
    generation = await world.spend()
    read, ledger = await world.generation(generation), world.ledger
    assert await ledger.generation(generation=generation, account="ann", keys_version=0, known=read) is read
    revoked = await ledger.generation(generation=generation, account="ann", keys_version=9, known=read)
    assert isinstance(revoked, outcomes.KeysChanged)
    for account, member in (("bob", None), ("ann", "mem_" + "a" * 24)):
        other = await ledger.generation(
            generation=generation, account=account, keys_version=0, member=member, known=read
        )
        assert isinstance(other, outcomes.NotFound)
    await ledger.cancel(generation=generation)
    changed = await ledger.generation(generation=generation, account="ann", keys_version=0, known=read)
    assert the(outcomes.Generation, changed).version > read.version


async def test_a_generation_that_was_just_reserved_reads_as_reserve_answered_it(world: World) -> None:
    for price in (1_000, 0):
        reserved = the(outcomes.Reserved, await world.reserve(price=price))
        assert await world.generation(reserved.generation.id) == reserved.generation
        known = await world.ledger.generation(generation=reserved.generation.id, known=reserved.generation)
        assert known is reserved.generation
