"""Were one line of the scripts wrong, the model would tell: each mutant below is caught, every time.

A mutant replaces one piece of Lua, in memory, and is then played with as `test_model.py` plays with the real scripts.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.invariants.examples import open_stage, play
from tests.invariants.metering import MUTANTS as METERING_MUTANTS
from tests.invariants.model.life import Model
from tests.invariants.patched import Mutant
from tests.invariants.scenes import Moves
from tests.invariants.soonest import SOONEST
from tests.invariants.stage import Difference, Stage
from tests.invariants.teams import MOVES

EXAMPLES = 150
"""How many are played at most before a mutant counts as missed; most are caught in the first few."""


MUTANTS = [
    Mutant(
        "what was drawn first is refunded first",
        "for index, share in ipairs(allocation) do\n    local kept",
        "for index = #allocation, 1, -1 do\n    local share = allocation[index]\n    local kept",
        rare=True,
    ),
    Mutant(
        "a refund of free credits returns as subscription credits",
        "local bucket, worth = share.bucket, make_worth()",
        'local bucket, worth = "s", make_worth()',
    ),
    Mutant(
        "a refund that cannot go back has no expiry",
        'grants.add(a, "r", bucket, amount, expires)',
        'grants.add(a, "r", bucket, amount, nil)',
    ),
    Mutant(
        "the grace is rounded down to the hour",
        'math.ceil((a.now + tonumber(policy.rule(p, "grace"))) / HOUR)',
        'math.floor((a.now + tonumber(policy.rule(p, "grace"))) / HOUR)',
    ),
    Mutant(
        "an expired refund lives again",
        'elseif string.sub(share.id, 1, 1) == "r" then',
        "elseif false then",
        rare=True,
    ),
    Mutant(
        "what lasts longest burns first",
        "return one_expires < other_expires end",
        "return one_expires > other_expires end",
    ),
    Mutant(
        "top-ups burn before the plan's credits",
        "return buckets.rank[one.bucket] < buckets.rank[other.bucket] end",
        'return string.find("fts", one.bucket) < string.find("fts", other.bucket) end',
    ),
    Mutant(
        "a partial commit is rounded up",
        "amounts.share(price, tonumber(g.delivered), tonumber(g.outputs))",
        "math.ceil(price * tonumber(g.delivered) / tonumber(g.outputs))",
    ),
    Mutant(
        "a grant's held credits are not counted down",
        "if grant then grant.held = grant.held - kept end",
        "",
    ),
    Mutant(
        "a grant lasts one millisecond too long",
        "if due > a.now then break end",
        "if due >= a.now then break end",
    ),
    Mutant(
        "the daily credits are added to what is left",
        'grants.add(a, "d", "f", amount, next_at, at).id',
        'grants.add(a, "d", "f", amount + left, next_at, at).id',
    ),
    Mutant(
        "the monthly credits roll over",
        "if old then grants.remove(a, old.id) end\n    local paid_for",
        "local paid_for",
    ),
    Mutant(
        "a cancelled plan renews once more",
        "if paid and cancelled then return math.min(paid, cancelled) end",
        "if paid and cancelled then return math.max(paid, cancelled) end",
        rare=True,
    ),
    Mutant(
        "the account may work on one generation too many",
        'accounts.count(a, "work:" .. tool) >= policy.concurrency(p, plan, tool)',
        'accounts.count(a, "work:" .. tool) > policy.concurrency(p, plan, tool)',
    ),
    Mutant(
        "nobody who waits is promoted",
        "plan.promoted = promotes and promotion.choose(a, p, g.tool, g.id) or {}",
        "plan.promoted = {}",
    ),
    Mutant(
        "a reserved generation has no deadline",
        'generations.set_deadline(id, deadline)\nredis.call("ZADD", keys.recent',
        'redis.call("ZADD", keys.recent',
    ),
    Mutant(
        "the end leaves the deadline behind",
        'redis.call("ZREM", keys.deadlines(), g.id)\n',
        "",
    ),
    Mutant(
        "begin takes what is running already",
        'if not (g.state == "queued" or (g.state == "running" and g.parked)) then return {"stale"} end',
        "",
    ),
    Mutant(
        "begin takes any attempt's number",
        'if tonumber(g.attempt) + 1 ~= tonumber(attempt) then return {"stale"} end',
        "",
    ),
    Mutant(
        "a stale worker is heard",
        'return g and g.state == "running" and g.attempt == attempt and not g.parked',
        'return g and g.state == "running" and not g.parked',
    ),
    Mutant(
        "an output delivered twice is charged twice",
        'if g["output:" .. index] then return {"noted"} end',
        "",
    ),
    Mutant(
        "the time in the queue runs on in a provider's line",
        'redis.call("HSET", KEYS[1], "in_line", "1")\n',
        "",
    ),
    Mutant(
        "a callback is slept through",
        "local pause = called_back and tonumber(dispatch_ms) or math.min(30000 * 2 ^ looks,",
        "local pause = math.min(30000 * 2 ^ looks,",
        rare=True,
    ),
    Mutant(
        "a callback about another job is heeded",
        "if g.ref ~= job and (g.ref or not generations.open(g)) then",
        "if g.ref ~= job and not generations.open(g) then",
    ),
    Mutant(
        "a rescue does not look whether the deadline has moved",
        'tonumber(due) ~= tonumber(deadline) or tonumber(due) > now then return {"not_due"} end',
        'tonumber(due) > now then return {"not_due"} end',
    ),
    Mutant(
        "a rescue does not wait for the lease to lapse",
        "or tonumber(due) > now then",
        "then",
    ),
    Mutant(
        "leases are judged by whoever comes",
        'if judge_leases ~= "1" then return {"not_due"} end',
        "",
        rare=True,
    ),
    Mutant(
        "one attempt too many",
        "failures >= generations.terms(g).attempts_max",
        "failures > generations.terms(g).attempts_max",
    ),
    Mutant(
        "an operation sent again is done again",
        'if done then return nil, {"applied", done, accounts.view(a), {}} end',
        "",
    ),
    Mutant(
        "an ended generation never expires",
        'redis.call("PEXPIRE", key, amounts.text(math.max(RECORD, kept)))',
        "",
    ),
    Mutant(
        "a day's usage is kept for 40 days",
        'amounts.text(policy.kept(p, "usage"))',
        "amounts.text(40 * 86400000)",
    ),
    Mutant(
        "usage by key is kept for ever",
        "keep(rows_key, kept)\n  end\n  if g.tags",
        "end\n  if g.tags",
    ),
    Mutant(
        "a row of usage forgets what was in it",
        'string.gmatch(sums or "0,0,0,0,0", "%d+")',
        'string.gmatch("0,0,0,0,0", "%d+")',
    ),
    Mutant(
        "usage by key is counted for the account's own keys only",
        "if g.key or g.member then",
        "if g.key and not g.member then",
    ),
    Mutant(
        "usage by key does not say whose key it is",
        'of .. (g.key or "") .. "|" .. member, of',
        'of .. (g.key or "") .. "|", of',
    ),
    Mutant(
        "of a generation's tags only the first is counted",
        r'string.gmatch(g.tags, "([^\t\n]+)\t([^\n]*)")',
        r'string.gmatch(string.match(g.tags, "[^\n]+"), "([^\t\n]+)\t([^\n]*)")',
    ),
    Mutant(
        "every value of a tag is counted as other",
        r'of .. name .. "\t" .. value, of',
        r'of .. name .. "\tother", of',
    ),
    Mutant(
        "a journal entry does not name the key",
        'return g.id .. "|" .. (g.key or "") .. ","',
        'return g.id .. "|" .. ","',
    ),
    Mutant(
        "a journal entry does not name the member",
        '"," .. (g.member or "") .. "|"',
        '"," .. "|"',
    ),
    Mutant(
        "an idempotency key is remembered for ever",
        '" generation " .. id, "PX", 86400000)',
        '" generation " .. id)',
    ),
    Mutant(
        "an operation is remembered for a minute",
        'note, "PX", 86400000)',
        'note, "PX", 60000)',
    ),
    Mutant(
        "a waiting generation expires",
        'generations.set_deadline(id, deadline)\nredis.call("ZADD", keys.recent',
        'generations.set_deadline(id, deadline)\nredis.call("PEXPIRE", keys.generation(id), 1000000)\n'
        'redis.call("ZADD", keys.recent',
    ),
    Mutant(
        "a refusal leaves its trace",
        'if not allocation then return {"insufficient_credits", accounts.view(a)} end',
        'if not allocation then accounts.save(a) return {"insufficient_credits", accounts.view(a)} end',
    ),
    Mutant(
        "the last generation of a period may be as large as it likes",
        "counter[period] + price > tonumber(limit)",
        "counter[period] > tonumber(limit)",
    ),
    Mutant(
        "what a key reserves is not counted",
        "counter[each] = counter[each] + price",
        "counter[each] = counter[each]",
    ),
    Mutant(
        "a new day has no new room",
        'if period == "daily" then return false end',
        'if period == "daily" then return true end',
    ),
    Mutant(
        "weeks begin on Sunday",
        "return math.floor((day + 3) / 7)",
        "return math.floor((day + 4) / 7)",
    ),
    Mutant(
        "a month is 30 days",
        "return year == other_year and month == other_month",
        "return math.floor(day / 30) == math.floor(other / 30)",
    ),
    Mutant(
        "a limit without a period begins anew with the month",
        'if period == "never" or day == other then',
        "if day == other then",
    ),
    Mutant(
        "a refund makes room in a period that the generation was not reserved in",
        "if limits.together(period, tonumber(day), counter.day) then",
        "if true then",
    ),
    Mutant(
        "a refund makes no room",
        "limits.give_back(a, g, price - plan.committed)",
        "",
    ),
    Mutant(
        "what was delivered makes room, too",
        "limits.give_back(a, g, price - plan.committed)",
        "limits.give_back(a, g, price)",
    ),
    Mutant(
        "a refund makes room twice",
        "math.max(0, counter[period] - refunded)",
        "math.max(0, counter[period] - 2 * refunded)",
    ),
    Mutant(
        "what a limit refuses is counted",
        "if not counted then return limited_by end",
        "if not counted then accounts.check(a) accounts.save(a) return limited_by end",
    ),
    Mutant(
        "a weekly limit begins anew after seven days",
        "weekly = 7 * (week(day) + 1) - 3",
        "weekly = day + 7",
    ),
    Mutant(
        "a revoked key leaves its count behind",
        ', "limit:" .. purse, "counted:" .. purse)',
        ', "limit:" .. purse)',
    ),
    Mutant(
        "what a key reserves is not counted for its member",
        'return {own, member and {whose = "member", id = member}}',
        "return {own}",
    ),
    Mutant(
        "a key of a member counts for the member only",
        'return {own, member and {whose = "member", id = member}}',
        'return {member and {whose = "member", id = member} or own}',
    ),
    Mutant(
        "the limit of a member is not looked at",
        "if limit and counter[period] + price > tonumber(limit) then",
        'if limit and level.whose == "key" and counter[period] + price > tonumber(limit) then',
    ),
    Mutant(
        "the limit of a member is called the key's",
        'return nil, {"limit_reached", level.whose, limit,',
        'return nil, {"limit_reached", "key", limit,',
    ),
    Mutant(
        "a refund makes room for the key and not for its member",
        'for id in string.gmatch(ids, "[^,]+") do',
        'for id in string.gmatch(string.match(ids, "^[^,]+"), "[^,]+") do',
    ),
    Mutant(
        "a removed member leaves their count behind",
        'f["limit:" .. member], f["counted:" .. member], f["email:" .. member] = nil, nil, nil',
        'f["limit:" .. member], f["email:" .. member] = nil, nil',
        rare=True,
    ),
    Mutant(
        "the first word on a dispute counts",
        "at < known_at or at == known_at and not larger",
        "at > known_at or at == known_at and not larger",
        rare=True,
    ),
    Mutant(
        "a refund takes again what a dispute has taken",
        "math.max(sum.parts - bounced, refunds) + disputed, whole)",
        "math.max(sum.parts - bounced, refunds) + 2 * disputed, whole)",
        rare=True,
    ),
]


@pytest.mark.parametrize(
    "mutant",
    [
        pytest.param(mutant, id=mutant.fault.replace(" ", "-"), marks=[pytest.mark.long] if mutant.rare else [])
        for mutant in (*MUTANTS, *METERING_MUTANTS)
    ],
)
def test_a_mutant_is_caught(mutant: Mutant, tmp_path: Path) -> None:
    check_is_caught(mutant, tmp_path)


def check_is_caught(mutant: Mutant, directory: Path, moves: Moves = MOVES, model_of: type[Model] = Model) -> None:
    """By a difference, or because a script found a contradiction itself."""
    with open_stage(directory, (mutant.was, mutant.becomes)) as stage:
        stage.model_of = model_of
        with pytest.raises(Difference) as caught:
            _play_all(stage, mutant, moves)
        assert stage.mutated, "no script has this text"
    assert "compiling" not in str(caught.value), "this is no mutant, it is a typing error"


def _play_all(stage: Stage, mutant: Mutant, moves: Moves) -> None:
    for example in (SOONEST.get(mutant.fault, 0), *range(EXAMPLES)):
        play(stage, Random(f"mutant/{example}"), moves=moves)
