"""The proof of a rate card: every allowed combination has exactly one rate, and a price that the ledger can hold.

Proof, not hope: every combination is walked but those that the card forbids. Two that differ only in what no rate, no
add-on and no prohibition names have the same price by construction, so such settings (an aspect ratio, a seed) are left
out of the walk and cost nothing. What is measured is walked at nothing and at the most: its price only ever rises.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from itertools import product
from math import prod

from gateway.domain import AMOUNT_MAX_MILLICREDITS, SettingValue, format_credits
from gateway.errors import RateCardError
from gateway.pricing.card import Model, Rate, RateCard, Tables
from gateway.pricing.conditions import forbidding
from gateway.pricing.measures import INPUT_IMAGES, INPUT_VIDEOS, INPUTS_MAX, MEASURES
from gateway.pricing.messages import Fault, heading, message
from gateway.pricing.quote import price_steps, total_millicredits
from gateway.pricing.values import show_facts

COMBINATIONS_MAX = 100_000  # of one model: about two seconds of walking
_NAMED_MAX = 3  # a forgotten value leaves thousands of holes; the first few say which

Facts = dict[str, SettingValue]


@dataclass(frozen=True, slots=True)
class Priced:
    """One combination and what a single output of it costs."""

    millicredits: int
    facts: Mapping[str, SettingValue]


@dataclass(frozen=True, slots=True)
class ModelProof:
    """What walking a model showed. `combinations` are those that the price can tell apart."""

    combinations: int
    cheapest: Priced
    dearest: Priced


Proof = Mapping[str, ModelProof]
"""Model id → what walking it showed."""


def check(card: RateCard) -> Proof:
    """Walk a loaded card. RateCardError names the combinations that have no rate, two, or an impossible price."""
    proof, faults = prove(card)
    if faults:
        raise RateCardError([message(card.path, fault) for fault in faults])
    return proof


def prove(card: Tables) -> tuple[Proof, list[Fault]]:
    """Walk every model: what was shown, and what is wrong."""
    proof: dict[str, ModelProof] = {}
    faults: list[Fault] = []
    for model_id, model in card.models.items():
        walk = _CombinationWalk(model_id, model)
        proved = walk.prove()
        if proved is not None:
            proof[model_id] = proved
        faults.extend(Fault(("models", model_id, *fault.location), fault.text) for fault in walk.faults)
    return proof, faults


class _CombinationWalk:
    """One model's combinations: first those that select a rate, then within each those that only move its amount."""

    def __init__(self, model_id: str, model: Model) -> None:
        self.model = model
        self.forbidden_table = heading("models", model_id, "forbidden")
        self.faults: list[Fault] = []
        conditions = (*(rate.when for rate in model.rates), *(rule.when for rule in model.forbidden))
        named = {name for when in conditions for name in when}
        self.selecting = [name for name in model.distinguished_by if name in named]
        self.moving = [name for name in model.distinguished_by if name not in named]

    def prove(self) -> ModelProof | None:
        """The proof, or None with `faults` filled."""
        combinations = prod(self._count(name) for name in self.model.distinguished_by)
        if combinations > COMBINATIONS_MAX:
            self._refuse_to_walk(combinations)
            return None
        rates = list(self._rates())
        if not rates and not self.faults:
            self.faults.append(Fault(("forbidden",), "forbids every combination: this model could never be sold"))
        if self.faults:
            return None
        priced = [self._price(rate, facts) for rate, selected in rates for facts in self._within(selected)]
        if self.faults:
            self.faults = _shortened(self.faults, "more combinations with an impossible price")
            return None
        return ModelProof(
            combinations=len(priced),
            cheapest=min(priced, key=lambda one: one.millicredits),
            dearest=max(priced, key=lambda one: one.millicredits),
        )

    def _count(self, name: str) -> int:
        setting = self.model.settings.get(name)
        return setting.count if setting is not None else len(self._values(name))

    def _values(self, name: str) -> Sequence[SettingValue]:
        if name in MEASURES:
            return (0, self.model.most_of(name) or Decimal(0))
        setting = self.model.settings.get(name)
        return list(setting.each()) if setting is not None else range(self.model.inputs_of(name) + 1)

    def _refuse_to_walk(self, combinations: int) -> None:
        sizes = ", ".join(f"{name} has {self._count(name):,}" for name in self.model.distinguished_by)
        text = (
            f"has {combinations:,} combinations that its rates and add-ons distinguish; the check covers at most "
            f"{COMBINATIONS_MAX:,} ({sizes}): give the largest a bigger `step` or fewer values"
        )
        self.faults.append(Fault((), text))

    def _rates(self) -> Iterator[tuple[Rate, Facts]]:
        """Each selecting combination with its rate; `faults` gets those that have none or several.

        A bit per rate: which rates match a combination is the AND of which match each of its values. So the walk costs
        the same whether a model has three rates or three thousand.
        """
        every = (1 << len(self.model.rates)) - 1
        columns = [[(value, self._mask(name, value)) for value in self._values(name)] for name in self.selecting]
        holes: list[Fault] = []
        overlaps: list[Fault] = []
        for row in product(*columns):
            facts = dict(zip(self.selecting, (value for value, _ in row), strict=True))
            if _too_many_inputs(facts) or self._is_forbidden(facts):
                continue
            matching = every
            for _, mask in row:
                matching &= mask
            if matching == 0:
                holes.append(Fault(("rates",), self._no_rate(facts)))
            elif matching & (matching - 1):
                overlaps.append(Fault(("rates",), _two_rates(matching, facts)))
            else:
                yield self.model.rates[matching.bit_length() - 1], facts
        self.faults.extend(_shortened(holes, "more combinations without a rate"))
        self.faults.extend(_shortened(overlaps, "more combinations with several rates"))

    def _no_rate(self, facts: Facts) -> str:
        named = show_facts(facts.items())
        way = f"add one with when = {{ {named} }}, or forbid it in [{self.forbidden_table}] with that `when`"
        return f"has no rate for {named}: {way}"

    def _is_forbidden(self, facts: Facts) -> bool:
        """Whether no request may ask for this: each name of a prohibition is a selecting one, so `facts` has it."""
        return bool(self.model.forbidden) and forbidding(self.model, facts) is not None

    def _mask(self, name: str, value: SettingValue) -> int:
        return sum(
            1 << index
            for index, rate in enumerate(self.model.rates)
            if name not in rate.when or value in rate.when[name]
        )

    def _within(self, selected: Facts) -> Iterator[Facts]:
        """A selecting combination with every combination of what only moves the amount."""
        for values in product(*(self._values(name) for name in self.moving)):
            facts = {**selected, **dict(zip(self.moving, values, strict=True))}
            if not _too_many_inputs(facts):
                yield facts

    def _price(self, rate: Rate, facts: Facts) -> Priced:
        """What one output costs; a price is linear in the outputs, so the most outputs are the other end to look at."""
        one = most = 0
        try:
            one = most = total_millicredits(price_steps(self.model, rate, facts, 1))
            if self.model.outputs_max > 1:
                most = total_millicredits(price_steps(self.model, rate, facts, self.model.outputs_max))
        except DecimalException:
            self.faults.append(_impossible(facts, "cannot be computed exactly: its factors have too many decimals"))
        if max(one, most) > AMOUNT_MAX_MILLICREDITS:
            limit = format_credits(AMOUNT_MAX_MILLICREDITS)
            self.faults.append(_impossible(facts, f"costs {format_credits(max(one, most))} credits, more than {limit}"))
        if min(one, most) < 0:
            self.faults.append(_impossible(facts, f"costs {format_credits(min(one, most))} credits, which is negative"))
        return Priced(one, facts)


def _too_many_inputs(facts: Mapping[str, SettingValue]) -> bool:
    """Two counts that are each allowed may be too many together: no request has them, so no rate needs to."""
    return int(facts.get(INPUT_IMAGES, 0)) + int(facts.get(INPUT_VIDEOS, 0)) > INPUTS_MAX


def _two_rates(matching: int, facts: Facts) -> str:
    numbers = [f"#{index + 1}" for index in range(matching.bit_length()) if matching >> index & 1]
    listed = ", ".join(numbers[:-1]) + " and " + numbers[-1]
    which = f" for {show_facts(facts.items())}" if facts else ""
    return f"has {len(numbers)} rates{which}, {listed}: narrow their `when` so that exactly one matches"


def _impossible(facts: Facts, what: str) -> Fault:
    named = show_facts(facts.items())
    return Fault((), f"with {named} {what}" if named else what)


def _shortened(faults: Iterable[Fault], more: str) -> list[Fault]:
    """The first few of many faults of one kind, and how many are left out."""
    listed = list(faults)
    if len(listed) <= _NAMED_MAX:
        return listed
    rest = len(listed) - _NAMED_MAX
    return [*listed[:_NAMED_MAX], Fault(listed[0].location, f"has {rest:,} {more}")]
