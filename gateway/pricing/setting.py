"""A setting of a model: which values it accepts, and how they are shown."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Self

from pydantic import Field, model_validator

from gateway.domain import SettingValue
from gateway.pricing.fields import Exact, Positive, Value, Values
from gateway.pricing.table import Table
from gateway.pricing.values import ValueKind, canonical, kind_of, one_of, show


class Setting(Table):
    """A setting of a model: a list of `values` of one kind, or a number from `min` to `max` by `step`."""

    values: Values | None = None
    minimum: Exact | None = Field(None, alias="min")
    maximum: Exact | None = Field(None, alias="max")
    step: Positive = Decimal(1)
    given_default: Value | None = Field(None, alias="default")
    unit: Annotated[str, Field(strict=True, max_length=20)] = ""

    @model_validator(mode="after")
    def _one_way_of_saying_it(self) -> Self:
        range_fields = self.model_fields_set & {"minimum", "maximum", "step"}
        if self.values is not None and range_fields:
            msg = "has both `values` and a range: keep either `values` or `min`, `max` and `step`"
            raise ValueError(msg)
        if self.values is None:
            self._check_range()
        elif len(kinds := {kind_of(value) for value in self.values}) > 1:
            msg = f"mixes {' and '.join(sorted(kinds))} in `values`: all must have the same type"
            raise ValueError(msg)
        if self.given_default is not None and not self.takes(self.given_default):
            msg = f"`default` is {show(self.given_default)}, which it does not accept: it accepts {self.describe()}"
            raise ValueError(msg)
        return self

    def _check_range(self) -> None:
        if self.minimum is None or self.maximum is None:
            msg = "needs `values = […]`, or `min` and `max`"
            raise ValueError(msg)
        if self.minimum > self.maximum:
            msg = f"has a `min` of {self.minimum:f} above its `max` of {self.maximum:f}"
            raise ValueError(msg)
        if (self.maximum - self.minimum) % self.step:
            msg = f"cannot reach its `max` of {self.maximum:f} from {self.minimum:f} in steps of {self.step:f}"
            raise ValueError(msg)

    @property
    def kind(self) -> ValueKind:
        """The type of its values."""
        return ValueKind.NUMBER if self.values is None else kind_of(self.values[0])

    @property
    def default(self) -> SettingValue:
        """The value of a request that leaves the setting out: as written, else the first value or the minimum."""
        if self.given_default is not None:
            return self.given_default
        return self.values[0] if self.values is not None else canonical(self.minimum)

    @cached_property
    def count(self) -> int:
        """The number of accepted values."""
        if self.values is not None:
            return len(self.values)
        low, high = self._bounds
        return int((high - low) // self.step) + 1

    @property
    def _bounds(self) -> tuple[Decimal, Decimal]:
        return self.minimum or Decimal(0), self.maximum or Decimal(0)

    def each(self) -> Iterator[SettingValue]:
        """Every accepted value, in order."""
        if self.values is not None:
            yield from self.values
            return
        low, _ = self._bounds
        for index in range(self.count):
            yield canonical(low + self.step * index)

    def takes(self, value: SettingValue) -> bool:
        """Whether a canonical value is accepted. A flag is not a number, and text is neither."""
        if kind_of(value) is not self.kind:
            return False
        if self.values is not None:
            return value in self.values
        low, high = self._bounds
        number = Decimal(value)
        return low <= number <= high and (number - low) % self.step == 0

    def describe(self) -> str:
        """The accepted values, as text that completes "must be …"."""
        if self.values is not None:
            return one_of(show(value) for value in self.values)
        low, high = self._bounds
        whole = self.step == 1 and low == low.to_integral_value()
        steps = "" if whole else f" in steps of {self.step:f}"
        return f"a {'whole ' if whole else ''}number from {low:f} to {high:f}{steps}"

    def show(self, value: SettingValue) -> str:
        """A value for a label: `2K`, `5 s`."""
        text = value if isinstance(value, str) else show(value)
        return f"{text} {self.unit}" if self.unit and self.kind is ValueKind.NUMBER else text
