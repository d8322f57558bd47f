"""The model and the real ledger side by side: the same step is taken on both, and then everything is compared."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, TypeVar
from unittest.mock import patch

import redis

from gateway.errors import LedgerBroken
from gateway.ledger import keys
from gateway.ledger.ledger import Ledger
from gateway.ledger.outcomes import Generation
from gateway.redis_link.connections import connect_ledger
from tests.invariants.answers import answer_of, in_order
from tests.invariants.cards import CARDS, START
from tests.invariants.checks import check_invariants
from tests.invariants.lifetimes import kind_of, lifetime_of
from tests.invariants.model.life import Model
from tests.invariants.patched import CLOCKS
from tests.invariants.picture import Picture, forget, picture_of, stored
from tests.invariants.scenes import PARTITIONS

T = TypeVar("T")

HASHES_STAY_COMPACT = ("--hash-max-listpack-value", "65536", "--hash-max-listpack-entries", "4096")
"""Options of the stage's server: a hash that is not one piece of memory has no one DUMP."""

ANSWER_AGAIN = {"reserve", "begin", "settle", "park", "hand_back"}
"""What answers whoever sends it again with all that it answered before (R11); of others the model knows what.

Not beside pauses: what waits for the end of one is dispatched by a `reserve` that is sent again, and then held.
"""

EXPECTED = ("was not asked for", "cannot be parked", "cannot wait", "may have a job")
"""Of what a worker must not ask for, the ledger says why."""

NEVER = -1
"""What Redis says of a key without a TTL."""

_FINGERPRINTS = """
local time, looks = redis.call("TIME"), {}
looks[1] = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
for index, key in ipairs(KEYS) do
  looks[2 * index] = redis.sha1hex(redis.call("DUMP", key) or "")
  looks[2 * index + 1] = redis.call("PEXPIRETIME", key)
end
return looks
"""
"""Redis's own time, then of each key what is in it and when it expires."""


@dataclass(frozen=True)
class Step:
    """One call on both sides: a method of `Ledger`, or `pass_time`."""

    name: str
    arguments: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in self.arguments.items())})"


class Difference(AssertionError):
    """The ledger is not what the model says it should be."""


@dataclass
class Stage:
    """One example at a time: `begin`, some `take`, `end`. `mutated`: the scripts that are not as they are shipped."""

    url: str
    mutated: set[str]
    model_of: type[Model] = Model
    operations: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    answered_again: Counter[str] = field(default_factory=Counter)
    outcome: object = None
    """What the ledger answered the last step, whole."""

    def __post_init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.ledger = Ledger(connect_ledger(self.url), partitions=PARTITIONS)
        self.reader: Any = redis.Redis.from_url(self.url, decode_responses=True)
        self.fingerprints = self.reader.script_load(_FINGERPRINTS)

    def close(self) -> None:
        self._run(self.ledger.close())
        self.loop.close()
        self.reader.close()

    def begin(self) -> None:
        """An empty ledger, with the first rate card."""
        self.reader.flushall()
        self.reader.mset(dict.fromkeys(CLOCKS, START))
        self.model = self.model_of(replace(CARDS[0]), START)
        self.steps: list[Step] = []
        self._run(self.ledger.start())
        self._run(self.ledger.publish(self.model.policy))
        self.others = self.reader.dbsize()
        self.picture: Picture = {}
        self.prints: dict[str, str] = {}
        self.expiries: dict[str, int] = {}
        seconds, microseconds = self.reader.time()
        self.looked_at = seconds * 1000 + microseconds // 1000
        self._compare(Step("begin", {}))

    def take(self, step: Step) -> None:
        """Take a step on both sides; Difference unless the answers, and then all keys, are the same."""
        again = self.steps[-1:] == [step] and step.name in ANSWER_AGAIN and self.model_of is Model
        before = self.outcome if again else None
        self.steps.append(step)
        expected = in_order(self._model(step))
        answered = in_order(self._run(self._real(step)))
        if before is not None:
            self.answered_again[step.name] += 1
            if before != self.outcome:
                self._fail(step, [f"sent again, it was answered {self.outcome}", f"and before {before}"])
        self.operations[step.name] += 1
        self.outcomes[f"{step.name} {answered[0]}"] += 1
        if answered != expected:
            self._fail(step, [f"the ledger answered {answered}", f"the model says {expected}"])
        self._compare(step)

    def end(self) -> None:
        """Read every key once more, and prove the invariants from them."""
        end = Step("end", {})
        self._compare_stored(end, self.picture)
        try:
            self._run(check_invariants(self.ledger.redis, PARTITIONS))
        except AssertionError as contradiction:
            self._fail(end, [str(contradiction)])
        forget()

    def _run(self, call: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(call)

    def _model(self, step: Step) -> Any:
        if step.name == "pass_time":
            self.model.clock += step.arguments["milliseconds"]
            return "yes", None
        return getattr(self.model, step.name)(**step.arguments)

    async def _real(self, step: Step) -> Any:
        if step.name == "pass_time":
            self.reader.mset(dict.fromkeys(CLOCKS, self.model.clock))
            return "yes", None
        try:
            if step.name == "dispatched":
                generation = step.arguments["generation"]
                return answer_of(generation in await self.ledger.dispatched({generation: step.arguments["deadline"]}))
            if step.name == "add_token":  # the script: the token's own record expires by the machine's clock
                asked = {name: value for name, value in step.arguments.items() if name != "account"}
                key = self.ledger.account_key(step.arguments["account"])
                return (await self.ledger.run("add_token", key, **asked))[0], None
            if step.name in {"pause", "end_pause"}:
                with patch("gateway.ledger.pauses.now_ms", lambda: self.model.clock):  # it goes by the gateway's time
                    return answer_of(await getattr(self.ledger, step.name)(**step.arguments))
            call = self._assign if step.name == "assign" else getattr(self.ledger, step.name)
            self.outcome = await call(**step.arguments)
            return answer_of(self.outcome)
        except LedgerBroken as error:
            if any(words in str(error) for words in EXPECTED):
                self.outcome = None
                return "LedgerBroken", None
            self._fail(step, [str(error)])

    async def _assign(self, generation: str, attempt: int, provider: str, to: str) -> object:
        """By a worker that has read the generation before: with this attempt and provider."""
        found = await self.ledger.generation(generation=generation)
        if not isinstance(found, Generation):
            return found
        seen = replace(found, attempt=attempt, request=replace(found.request, provider=provider))
        return await self.ledger.assign(generation=seen, provider=to, provider_model=None)

    def _compare(self, step: Step) -> None:
        """What the model says has changed must be so, and of all other keys not one byte may have changed."""
        picture = picture_of(self.model, PARTITIONS)
        changed = {key: value for key, value in picture.items() if self.picture.get(key) != value}
        names = list(picture)
        now, *looks = self._look(step, names, changed, len(picture))
        prints = dict(zip(names, looks[::2], strict=True))
        touched = [key for key in names if prints[key] != self.prints.get(key) and key not in changed]
        if touched:
            self._compare_stored(step, {key: picture[key] for key in touched})
            self._fail(step, [f"{key} was written, and nothing of it should have changed" for key in touched])
        self._compare_lifetimes(step, picture, changed, dict(zip(names, looks[1::2], strict=True)), now)
        self.picture, self.prints = picture, prints

    def _compare_lifetimes(
        self, step: Step, picture: Picture, changed: Picture, expiries: dict[str, int], now: int
    ) -> None:
        """A key that is kept for ever has no TTL; any other's counts from its last change, which may be just now.

        Redis's own clock counts TTLs, whatever the model's says: they are compared with the time of the step.
        """
        problems = []
        for key, expires_at in expiries.items():
            lasts = lifetime_of(key, picture[key])
            if lasts is None:
                right = expires_at == NEVER
            elif (key not in changed or self._keeps_lifetime(key)) and expires_at == self.expiries.get(key):
                right = True
            else:
                right = self.looked_at <= expires_at - lasts <= now
            if not right:
                found = "has no TTL" if expires_at == NEVER else f"expires in {expires_at - now} ms"
                problems.append(f"{key} {found}, and should {'stay' if lasts is None else f'in {lasts} ms'}")
        if problems:
            self._fail(step, problems)
        self.expiries, self.looked_at = expiries, now

    def _keeps_lifetime(self, key: str) -> bool:
        """A member's list that is trimmed, a token that is spent, a day's margin, a generation that is corrected."""
        ended = "finished_at" in self.picture.get(key, {})
        return kind_of(key) in {"made_by", "token", "margin"} or (kind_of(key) == "generation" and ended)

    def _look(self, step: Step, names: list[str], changed: Picture, count: int) -> list[Any]:
        with self.reader.pipeline(transaction=False) as asking:
            asking.execute_command("EVALSHA", self.fingerprints, len(names), *names)
            asking.dbsize()
            _ask(asking, changed)
            looks, size, *values = asking.execute()
        self._match(step, changed, values)
        if size != count + self.others:
            known = {*names, *CLOCKS, keys.META, *(keys.policy(partition) for partition in range(PARTITIONS))}
            found = set(self.reader.keys())
            self._fail(step, [f"keys that should not be: {found - known}", f"keys that are missing: {known - found}"])
        return list(looks)

    def _compare_stored(self, step: Step, wanted: Picture) -> None:
        with self.reader.pipeline(transaction=False) as asking:
            _ask(asking, wanted)
            values = asking.execute()
        self._match(step, wanted, values)

    def _match(self, step: Step, wanted: Picture, values: list[Any]) -> None:
        problems = []
        for (key, value), read in zip(wanted.items(), values, strict=True):
            found = stored(key, read)
            if found != value:
                problems += _differences(key, found, value)
        if problems:
            self._fail(step, problems)

    def _fail(self, step: Step, problems: list[str]) -> NoReturn:
        taken = "\n  ".join(map(str, self.steps))
        raise Difference("\n".join([f"after {step.name}:", *problems, "the steps:", f"  {taken}"]))


def _ask(asking: Any, wanted: Picture) -> None:
    for key in wanted:
        match key.split(":")[1]:
            case "journal":
                asking.lrange(key, 0, -1)
            case "idempotency" | "key" | "checkout_owner":
                asking.get(key)
            case "deadlines" | "outputs" | "failed" | "purchases" | "waiting" | "recent" | "made_by":
                asking.zrange(key, 0, -1, withscores=True, score_cast_func=int)
            case _:
                asking.hgetall(key)


def _differences(key: str, found: Any, wanted: Any) -> list[str]:
    if not isinstance(found, dict) or not isinstance(wanted, dict):
        return [f"{key}: the ledger has {found!r}, the model {wanted!r}"]
    return [
        f"{key} {name}: the ledger has {found.get(name)!r}, the model {wanted.get(name)!r}"
        for name in sorted({*found, *wanted})
        if found.get(name) != wanted.get(name)
    ]
