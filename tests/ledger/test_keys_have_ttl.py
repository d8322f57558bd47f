"""Every key is on the permanent list or has a TTL, and is spelled as `gateway.ledger.keys` spells it."""

from __future__ import annotations

import re
from pathlib import Path

import gateway.ledger
from gateway.domain import Bucket, FailureCode, Input, OwnWebhook, Scope, member_id, partition_of_account
from gateway.ledger import keys
from gateway.ledger.accounts import key_id_of
from gateway.ledger.audit import audit, remember
from gateway.ledger.audit_log import OperatorCall
from gateway.ledger.bulk import Bulk
from gateway.ledger.client_calls import ClientCall, ClientCalls
from gateway.ledger.idempotency import Request, Requests
from gateway.ledger.ledger import Ledger
from gateway.ledger.promotable import confirming_write
from tests.ledger.world import DAY, PARTITIONS, World
from tests.payments.shop import buy

ACCOUNT = r"[A-Za-z0-9_.@-]{1,64}"
GENERATION = r"gen_[0-9a-f]{2}[a-z2-7]{24}"
OWNER = rf"(?:\*|{ACCOUNT})"
WEBHOOK = r"(?:whk_[a-z2-7]{24}|default)"
TAG = r"\{fb[0-9a-f]{2}\}"

PERMANENT = {
    "meta": r"fb:meta",
    "key": r"fb:key:key_[0-9a-f]{32}",
    "email": r"fb:email:[0-9a-f]{64}",
    "operators": r"fb:operators",
    "signing_key": r"fb:signing_key",
    "audit": r"fb:audit",
    "account": rf"{TAG}:account:{ACCOUNT}",
    "journal": rf"{TAG}:journal:{ACCOUNT}",
    "recent": rf"{TAG}:recent:{ACCOUNT}",
    "waiting": rf"{TAG}:waiting:{ACCOUNT}:[a-z0-9_-]+",
    "deadlines": rf"{TAG}:deadlines",
    "unarchived": rf"{TAG}:unarchived",
    "archiving": rf"{TAG}:archiving",
    "outputs": rf"{TAG}:outputs",
    "totals": rf"{TAG}:totals",
    "policy": rf"{TAG}:policy",
    "webhook": rf"{TAG}:webhook:{OWNER}:{WEBHOOK}",
    "webhooks": rf"{TAG}:webhooks",
}
"""Keys without a TTL. Lists and sets among them are bounded by what is open, or trimmed when they are written."""

EXPIRING = {
    "generation": rf"{TAG}:generation:{GENERATION}",
    "failed": rf"{TAG}:failed",
    "made_by": rf"{TAG}:made_by:{ACCOUNT}:mem_[a-z2-7]{{24}}",
    "usage": rf"{TAG}:usage:{ACCOUNT}:\d{{4}}-\d\d-\d\d",
    "usage_keys": rf"{TAG}:usage_keys:{ACCOUNT}:\d{{4}}-\d\d-\d\d",
    "usage_tags": rf"{TAG}:usage_tags:{ACCOUNT}:\d{{4}}-\d\d-\d\d",
    "margin": rf"{TAG}:margin:\d{{4}}-\d\d-\d\d",
    "idempotency": rf"{TAG}:idempotency:{ACCOUNT}:[^:]+",
    "client_call": rf"{TAG}:client_call:{ACCOUNT}:[0-9a-f]{{64}}",
    "bulk": r"fb:bulk:blk_[a-z2-7]{26}",
    "sign_in": r"fb:sign_in:[0-9a-f]{32}",
    "person": r"fb:person:[0-9a-f]{16}\.[0-9a-f]{32}",
    "signed_out": r"fb:signed_out:(?:root|key_[0-9a-f]{32})",
    "taken_in": rf"fb:taken_in:{ACCOUNT}",
    "confirmed": r"fb:confirmed:\d{1,4}",
    "rate": r"fb:rate:key_[0-9a-f]{32}",
    "audit:claim": r"fb:audit:claim",
    "token": rf"{TAG}:token:{ACCOUNT}:tok_[0-9a-f]{{32}}",
    "client_token": r"fb:client_token:tok_[0-9a-f]{32}",
    "audit_log": r"fb:audit_log",
    "unapplied": r"fb:unapplied",
    "checkout": rf"{TAG}:checkout:{ACCOUNT}:chk_\w+",
    "checkout_owner": r"fb:checkout_owner:chk_\w+",
    "purchases": rf"{TAG}:purchases:{ACCOUNT}",
    "delivery": rf"{TAG}:delivery:{OWNER}:{WEBHOOK}:evt_[0-9a-f]{{26}}",
    "deliveries": rf"{TAG}:deliveries:{OWNER}:{WEBHOOK}",
    "pending": rf"{TAG}:pending:{OWNER}:{WEBHOOK}",
}
"""Keys with a TTL; a generation gets its when it ends."""


A_BULK = Bulk(
    id=f"blk_{'a' * 26}", action="cancel", digest="", reason="", generations=(), accounts=0, millicredits=0, more=False,
    expires_at=0,
)  # fmt: skip


async def a_busy_time(world: World) -> None:
    """Everything that writes, at least once."""
    ledger = world.ledger
    await ledger.put_account(account="ann", email="ann@example.com", metadata={"a": 1})
    assert await ledger.keep_event("evt_1", "{}")
    assert await ledger.claim_signing_key("0" * 16) == "0" * 16
    await world.account("b.o-b_@", top_up=50_000, plan="standard")
    member = member_id()
    await ledger.add_member(account="ann", member=member, name="Ann")
    await ledger.add_key(key="fbx_a", scope=Scope.ACCOUNT, account="ann", label=None, member=member)
    await ledger.sign_in_person(account="ann", person=f"{'0' * 16}.{'0' * 32}", by_email=member)
    await ledger.add_token(
        token="fbt_t", parent=key_id_of("fbx_a"), account="ann", keys_version=0, millicredits=5, lifetime_ms=60_000
    )
    await ledger.add_key(key="fbx_o", scope=Scope.OPS, account=None, label=None)
    await ledger.use_sign_in_link(nonce="0" * 32, seconds=3600)
    await ledger.sign_out(key_id="root", session="s", began_at=await world.now() // 1000, kept_seconds=8 * 86_400)
    await ledger.admit(key_id=f"key_{'0' * 32}", per_minute=1)
    await ledger.take_in(account="ann", per_day=100, size=100)
    await Requests(ledger).claim(Request("admin", "digest", "request"))
    await Requests(ledger).finish(Request("ann", "digest-2", "request"), "{}")
    await ClientCalls(ledger).key_of(ClientCall("ann", "0" * 64, 600), 0)
    for owner in ("ann", None):
        await world.listen(owner)
    for account in ("ann", "b.o-b_@"):
        await world.finish(
            await world.spend(
                1_000,
                account,
                idempotency=("k", "b"),
                key=key_id_of("fbx_a"),
                tags={"project": "apollo"},
                inputs=(Input("image", "in/1"),),
                webhook=OwnWebhook("https://a.example"),
            )
        )
        await world.fail(await world.spend(1_000, account))
        for _ in range(4):
            await world.spend(1_000, account, tool="video")
        await world.parked(1_000, account=account)
        await world.settle(await world.running(1_000, account=account), FailureCode.PROVIDER_FAILED)
        await world.advance(3 * DAY, account)
        await ledger.adjust(account=account, operation="x", bucket=Bucket.TOP_UP, millicredits=5, reason="r")
    await world.ledger.cancel(generation=await world.spend(1_000, "b.o-b_@"))
    await buy(world, "b.o-b_@")
    await ledger.log_call(OperatorCall(request="req_1", key="root", address="::1", action="grantCredits"))
    await ledger.keep_bulk(A_BULK)
    await remember(ledger, await audit(ledger))
    await write_the_rest(ledger)


async def write_the_rest(ledger: Ledger) -> None:
    """What some settings write: an archive, and FAREBOX_WAIT_REPLICAS on a cluster."""
    await ledger.command(*confirming_write(0))
    await ledger.switch_archive(on=True)
    await ledger.put_account(account="ann")
    await ledger.take_changes(partition=partition_of_account("ann", PARTITIONS), marks_max=1, entries_max=1)
    await ledger.put_account(account="ann")


def kind_of(name: str) -> str:
    kinds = [kind for kind, pattern in {**PERMANENT, **EXPIRING}.items() if re.fullmatch(pattern, name)]
    assert len(kinds) == 1, f"{name} is no key of the ledger that anybody described"
    return kinds[0]


async def test_every_key_has_a_ttl_or_is_on_the_permanent_list(world: World) -> None:
    await a_busy_time(world)
    contents = await world.contents()
    seen = set()
    for name, stored in contents.items():
        kind = kind_of(name)
        ended = "finished_at" in stored.value if kind == "generation" else kind in EXPIRING
        assert (stored.expires_at > 0) == ended, f"{name} {'needs a TTL' if ended else 'must stay'}"
        seen.add(kind)
    assert seen == {*PERMANENT, *EXPIRING}, "the busy time must write every kind of key"


async def test_ttls_are_those_of_the_design(world: World) -> None:
    await a_busy_time(world)
    days = {"generation": 30, "usage": 400, "idempotency": 1, "sign_in": 1 / 24, "rate": 1 / 1440, "audit:claim": 1}
    days |= {"failed": 30, "made_by": 40, "client_call": 1 / 144, "bulk": 1 / 144}
    days |= dict.fromkeys(("unapplied", "checkout", "checkout_owner", "purchases", "audit_log"), 400)
    days |= {"token": 2 / 1440, "client_token": 1 / 1440}  # of a minute, here
    days |= {"confirmed": 1 / 24, "usage_keys": 400, "usage_tags": 400, "person": 400, "margin": 402}
    days |= {"signed_out": 8, "taken_in": 1} | dict.fromkeys(("delivery", "deliveries", "pending"), 31)
    now = await world.redis_now()
    for name, stored in (await world.contents()).items():
        if stored.expires_at > 0 and not name.endswith(":admin:digest"):  # a claim that a crash leaves: one minute
            left = stored.expires_at - now
            assert days[kind_of(name)] * DAY - DAY // 24 < left <= days[kind_of(name)] * DAY, name


async def test_the_waiting_rooms_go_when_they_are_empty(world: World) -> None:
    made = [await world.spend(1_000) for _ in range(4)]
    for generation in made:
        await world.ledger.cancel(generation=generation)
    assert not [name for name in await world.contents() if ":waiting:" in name]


def test_the_readme_describes_every_key() -> None:
    readme = (Path(gateway.ledger.__file__).parent / "README.md").read_text()
    for kind in (*PERMANENT, *EXPIRING):
        assert re.search(rf"^\| `(?:fb:)?{kind}\b", readme, re.MULTILINE), f"README.md lacks `{kind}`"


def test_python_spells_keys_as_lua_does() -> None:
    libraries = Path(gateway.ledger.__file__).parent / "lua" / "lib"
    lua = (libraries / "keys.lua").read_text() + (libraries / "webhook_keys.lua").read_text()
    spelled = re.findall(r"^function (?:webhook_)?keys\.(\w+)\(", lua, re.MULTILINE)
    python = {name for name in vars(keys) if callable(getattr(keys, name)) and not name.startswith("_")}
    assert set(spelled) == python - {
        "tag",
        "key",
        "email",
        "bulk",
        "checkout_owner",
        "client_token",
        "client_call",
        "confirmed",
        "never",
        "person",
        "sign_in",
        "rate",
        "signed_out",
        "subject",
        "taken_in",
    }
    for name in spelled:
        words = re.search(rf"^function (?:webhook_)?keys\.{name}\((.*?)\)", lua, re.MULTILINE)
        assert words
        count = len([word for word in words.group(1).split(",") if word])
        assert getattr(keys, name)(7, *"xyz"[:count]) == ":".join(["{fb07}", name, *"xyz"[:count]])
