"""Proves a rate card: every allowed combination has exactly one rate, and a price that the ledger can hold.

The check enumerates every combination that the card does not forbid. Settings that no rate, add-on or prohibition names
(an aspect ratio, a seed) cannot affect the price, so they are left out. Measures are checked at zero and at their
maximum, because prices never fall as a measure rises. So are reported units (R29): a price has them at their ceilings,
and what it charges if nothing is reported must not be negative. Discounts only lower a price, never below zero; the
check makes sure that every product with them can be computed exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, DecimalException, localcontext
from itertools import product
from math import prod

from gateway.domain import AMOUNT_MAX_MILLICREDITS, SettingValue, format_credits
from gateway.errors import RateCardError
from gateway.metering import NANOCREDITS_PER_MILLICREDIT
from gateway.pricing.card import Model, RateCard, Tables
from gateway.pricing.conditions import forbidding
from gateway.pricing.fields import FACTOR_DECIMALS_MAX
from gateway.pricing.lines import Location
from gateway.pricing.measures import INPUT_COUNTS, INPUTS_MAX, MEASURES
from gateway.pricing.messages import Fault, heading, message
from gateway.pricing.quote import EXACT, exact_total, metering_of, price_steps, total_millicredits
from gateway.pricing.rates import Rate
from gateway.pricing.values import show_facts

COMBINATIONS_MAX = 100_000  # per model: takes about two seconds
_PER_UNIT_NANOCREDITS_MAX = 10**15
"""A million credits: so that what scripts multiply stays below 2^53 (`lua/lib/metering.lua`)."""
COST_MAX_THOUSANDTHS = 10_000_000_000
"""Ten million: sums of a day stay far below 2^53 micro-units."""
_FINEST_DISCOUNTS = (1 - Decimal(1).scaleb(-FACTOR_DECIMALS_MAX)) ** 2
"""0.999999 of a plan times 0.999999 of an account: no two discounts have more digits."""
_NAMED_MAX = 3  # one missing value causes thousands of faults; the first few tell which

Facts = dict[str, SettingValue]


@dataclass(frozen=True, slots=True)
class Priced:
    """A combination, and the price of one output."""

    millicredits: int
    facts: Mapping[str, SettingValue]


@dataclass(frozen=True, slots=True)
class ModelProof:
    """The result of checking a model. `combinations` counts those that the price distinguishes."""

    combinations: int
    cheapest: Priced
    dearest: Priced
    later: tuple[ModelProof, ...] = ()
    """The same of each list of its `prices`."""


Proof = Mapping[str, ModelProof]
"""Model id → the result of checking it."""


def check(card: RateCard) -> Proof:
    """Check a loaded card. RateCardError names the combinations that have no rate, several, or an impossible price."""
    proof, faults = prove(card)
    if faults:
        raise RateCardError([message(card.path, fault) for fault in faults])
    return proof


def prove(card: Tables) -> tuple[Proof, list[Fault]]:
    """Check every model: the proofs, and all faults."""
    proof: dict[str, ModelProof] = {}
    faults: list[Fault] = []
    for model_id, model in card.models.items():
        at: Location = ("models", model_id)
        proved = _prove_list(at, model_id, model, faults)
        later = [
            _prove_list((*at, "prices", index), model_id, model.priced_by_list(index), faults)
            for index in range(len(model.prices))
        ]
        if proved is not None:
            proof[model_id] = replace(proved, later=tuple(one for one in later if one is not None))
        if not any(fault.location[:2] == at for fault in faults):
            faults.extend(_cost_faults(model_id, model))
    return proof, faults


def proof_at(card: RateCard, proof: Proof, time_ms: int) -> Proof:
    """The proof of `card.at(time_ms)`: of each model, that of the list in force then."""
    models = card.at(time_ms).models
    return {model_id: _from_list(proved, len(models[model_id].prices)) for model_id, proved in proof.items()}


def _from_list(proved: ModelProof, to_come: int) -> ModelProof:
    begun = len(proved.later) - to_come
    return proved if begun == 0 else replace(proved.later[begun - 1], later=proved.later[begun:])


def _prove_list(at: Location, model_id: str, model: Model, faults: list[Fault]) -> ModelProof | None:
    """Check one price list of a model; its faults are added to `faults`."""
    walk = _CombinationWalk(model_id, model, PRICES)
    proved = walk.prove()
    faults.extend(Fault((*at, *fault.location), fault.text) for fault in walk.faults)
    return proved


def _cost_faults(model_id: str, model: Model) -> Iterator[Fault]:
    """A provider that has a cost has exactly one for every combination."""
    for provider, costs in model.costed.items():
        walk = _CombinationWalk(model_id, costs, COSTS)
        walk.prove()
        at = ("models", model_id) if model.short_provider is not None else ("models", model_id, "at", provider)
        yield from (Fault((*at, *fault.location), fault.text) for fault in walk.faults)


@dataclass(frozen=True, slots=True)
class Words:
    """What is proved of a model, for messages: its prices in credits, or its costs in money; both in thousandths."""

    rate: str
    amount: str
    table: str
    at: Location
    fixed: str
    unit: str
    most: int

    def shown(self, thousandths: int) -> str:
        """An amount with its unit."""
        return f"{format_credits(thousandths)}{self.unit}"


PRICES = Words("rate", "price", "rates", (), "credits", " credits", AMOUNT_MAX_MILLICREDITS)
COSTS = Words("cost", "cost", "cost", ("cost",), "amount", "", COST_MAX_THOUSANDTHS)


class _CombinationWalk:
    """Enumerates a model's combinations: those that select a rate, then those that only change its amount."""

    def __init__(self, model_id: str, model: Model, words: Words) -> None:
        self.model = model
        self.words = words
        self.forbidden_table = heading("models", model_id, "forbidden")
        self.faults: list[Fault] = []
        conditions = (*(rate.when for rate in model.rates), *(rule.when for rule in model.forbidden))
        named = {name for when in conditions for name in when}
        self.selecting = [name for name in model.distinguished_by if name in named]
        self.moving = [name for name in model.distinguished_by if name not in named]

    def prove(self) -> ModelProof | None:
        """The proof; None, with `faults` filled, if there is none."""
        combinations = prod(self._count(name) for name in self.model.distinguished_by)
        if combinations > COMBINATIONS_MAX:
            self._refuse_to_walk(combinations)
            return None
        rates = list(self._rates())
        if not rates and not self.faults:
            self.faults.append(Fault(("forbidden",), "forbids every combination: this model could never be sold"))
        if self.faults:
            return None
        distinguished = [(rate, facts) for rate, selected in rates for facts in self._within(selected)]
        priced = [
            self._price(rate, facts, before)
            for rate, facts in distinguished
            for before in (0, *(one.over for one in rate.graduated))
        ]
        if self.faults:
            self.faults = _shortened(self.faults, f"more combinations with an impossible {self.words.amount}")
            return None
        return ModelProof(
            combinations=len(distinguished),
            cheapest=min(priced, key=lambda one: one.millicredits),
            dearest=max(priced, key=lambda one: one.millicredits),
        )

    def _count(self, name: str) -> int:
        setting = self.model.settings.get(name)
        return setting.count if setting is not None else len(values_of(self.model, name))

    def _refuse_to_walk(self, combinations: int) -> None:
        sizes = ", ".join(f"{name} has {self._count(name):,}" for name in self.model.distinguished_by)
        text = (
            f"has {combinations:,} combinations that its {self.words.rate}s and add-ons distinguish; the check covers "
            f"at most {COMBINATIONS_MAX:,} ({sizes}): give the largest a bigger `step` or fewer values"
        )
        self.faults.append(Fault((), text))

    def _rates(self) -> Iterator[tuple[Rate, Facts]]:
        """Each selecting combination with its rate; those with none or several are added to `faults`.

        Uses one bit per rate: the rates that match a combination are the AND of those that match each of its values, so
        the check takes as long with three thousand rates as with three.
        """
        every = (1 << len(self.model.rates)) - 1
        columns = [
            [(value, self._mask(name, value)) for value in values_of(self.model, name)] for name in self.selecting
        ]
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
                holes.append(Fault((self.words.table,), self._no_rate(facts)))
            elif matching & (matching - 1):
                overlaps.append(Fault((self.words.table,), _two_rates(self.words.rate, matching, facts)))
            else:
                yield self.model.rates[matching.bit_length() - 1], facts
        self.faults.extend(_shortened(holes, f"more combinations without a {self.words.rate}"))
        self.faults.extend(_shortened(overlaps, f"more combinations with several {self.words.rate}s"))

    def _no_rate(self, facts: Facts) -> str:
        named = show_facts(facts.items())
        way = f"add one with when = {{ {named} }}, or forbid it in [{self.forbidden_table}] with that `when`"
        return f"has no {self.words.rate} for {named}: {way}"

    def _is_forbidden(self, facts: Facts) -> bool:
        """Whether this is forbidden: every name in a prohibition is a selecting one, so `facts` contains it."""
        return bool(self.model.forbidden) and forbidding(self.model, facts) is not None

    def _mask(self, name: str, value: SettingValue) -> int:
        return sum(
            1 << index
            for index, rate in enumerate(self.model.rates)
            if name not in rate.when or value in rate.when[name]
        )

    def _within(self, selected: Facts) -> Iterator[Facts]:
        """A selecting combination, with each combination of what only changes the amount."""
        for values in product(*(values_of(self.model, name) for name in self.moving)):
            facts = {**selected, **dict(zip(self.moving, values, strict=True))}
            if not _too_many_inputs(facts):
                yield facts

    def _price(self, rate: Rate, facts: Facts, before: int) -> Priced:
        """The price of one output. Prices are linear in the number of outputs, so only the maximum is checked too.

        So is each tier of a graduated rate, `before` it begins: a request across tiers lies between theirs.
        """
        one = most = 0
        try:
            one = most = self._computed(rate, facts, 1, before)
            if self.model.outputs_max > 1:
                most = self._computed(rate, facts, self.model.outputs_max, before)
        except DecimalException:
            self.faults.append(
                self._impossible(facts, "cannot be computed exactly: its factors have too many decimals")
            )
        if max(one, most) > self.words.most:
            limit, amount = format_credits(self.words.most), self.words.shown(max(one, most))
            self.faults.append(self._impossible(facts, f"costs {amount}, more than {limit}"))
        if min(one, most) < 0:
            self.faults.append(self._impossible(facts, f"costs {self.words.shown(min(one, most))}, which is negative"))
        elif rate.reported:
            self._check_metering(rate, facts)
        return Priced(one, facts)

    def _impossible(self, facts: Facts, what: str) -> Fault:
        named = show_facts(facts.items())
        return Fault(self.words.at, f"with {named} {what}" if named else what)

    def _computed(self, rate: Rate, facts: Facts, outputs: int, before: int) -> int:
        """The price on the card; DecimalException if it or its product with discounts has too many decimals."""
        steps = price_steps(self.model, rate, facts, outputs, before=before)
        with localcontext(EXACT):
            _ = exact_total(steps) * _FINEST_DISCOUNTS
        return total_millicredits(steps)

    def _check_metering(self, rate: Rate, facts: Facts) -> None:
        for outputs in {1, self.model.outputs_max}:
            metering = metering_of(self.model, rate, facts, outputs)
            if metering.fixed_nanocredits < 0:
                least = self.words.shown(metering.fixed_nanocredits // NANOCREDITS_PER_MILLICREDIT)
                text = f"costs {least} if 0 units are reported: its discounts must not exceed its `{self.words.fixed}`"
                self.faults.append(self._impossible(facts, text))
                return
            if dear := next((one for one in metering.meters if one.nanocredits > _PER_UNIT_NANOCREDITS_MAX), None):
                limit = self.words.shown(_PER_UNIT_NANOCREDITS_MAX // NANOCREDITS_PER_MILLICREDIT)
                text = f"charges more than {limit} for one of its {dear.unit}, the most a reported unit may cost"
                self.faults.append(self._impossible(facts, text))
                return


def values_of(model: Model, name: str) -> Sequence[SettingValue]:
    """The values of a setting or a count of inputs; of a measure, zero and its maximum."""
    if name in MEASURES:
        return (0, model.most_of(name) or Decimal(0))
    setting = model.settings.get(name)
    return list(setting.each()) if setting is not None else range(model.inputs_of(name) + 1)


def is_offered(model: Model, facts: Mapping[str, SettingValue]) -> bool:
    """Whether a request may have this combination. `facts` has all that the model's prohibitions name."""
    return not _too_many_inputs(facts) and forbidding(model, facts) is None


def _too_many_inputs(facts: Mapping[str, SettingValue]) -> bool:
    """Several counts, each allowed, may exceed the limit together: such requests are refused, so they need no rate."""
    return sum(int(facts.get(name, 0)) for name in INPUT_COUNTS) > INPUTS_MAX


def _two_rates(rate: str, matching: int, facts: Facts) -> str:
    numbers = [f"#{index + 1}" for index in range(matching.bit_length()) if matching >> index & 1]
    listed = ", ".join(numbers[:-1]) + " and " + numbers[-1]
    which = f" for {show_facts(facts.items())}" if facts else ""
    return f"has {len(numbers)} {rate}s{which}, {listed}: narrow their `when` so that exactly one matches"


def _shortened(faults: Iterable[Fault], more: str) -> list[Fault]:
    """The first few faults of one kind, and how many more there are."""
    listed = list(faults)
    if len(listed) <= _NAMED_MAX:
        return listed
    rest = len(listed) - _NAMED_MAX
    return [*listed[:_NAMED_MAX], Fault(listed[0].location, f"has {rest:,} {more}")]
