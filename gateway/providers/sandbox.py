"""The test-mode controls of a request for the `sandbox` provider (docs/design.md, section 6).

Pure data, so that the gateway can validate them. Providers may import this module.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from gateway.domain import FailureCode
from gateway.metering import Unit

DELAY_SECONDS_MAX = 600
COUNT_MAX = 1_000  # more than a request has outputs, or a generation attempts
_GIVEN: dict[str, JsonValue] = {"not": {"type": "null"}}


ReportedFigure = Annotated[float, Field(allow_inf_nan=False, strict=True)] | Annotated[str, Field(max_length=40)]


class SandboxControls(BaseModel):
    """How the sandbox should misbehave; without controls it renders at once and delivers everything.

    With `deliver` and `fail` (or `hang`), the first k outputs are delivered, then it fails (or hangs).
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={  # the rule of `_one_ending`
            "allOf": [
                {"not": {"required": ["hang", "fail"], "properties": {"hang": {"const": True}, "fail": _GIVEN}}},
                {
                    "if": {"required": ["fail_attempts"], "properties": {"fail_attempts": _GIVEN}},
                    "then": {"required": ["fail"], "properties": {"fail": _GIVEN}},
                },
            ]
        },
    )

    delay_seconds: float = Field(
        default=0,
        strict=True,
        ge=0,
        le=DELAY_SECONDS_MAX,
        allow_inf_nan=False,
        description="Seconds to wait before rendering.",
    )
    deliver: int | None = Field(
        default=None,
        strict=True,
        ge=0,
        le=COUNT_MAX,
        description="Deliver only the first k outputs, then end; 0 fails with `provider_failed`.",
    )
    fail: FailureCode | None = Field(default=None, description="Fail with this code.")
    fail_attempts: int | None = Field(
        default=None,
        strict=True,
        ge=1,
        le=COUNT_MAX,
        description="Fail only the first n attempts; later ones deliver everything.",
    )
    hang: bool = Field(default=False, strict=True, description="Never respond.")
    reported: dict[Unit, ReportedFigure | Annotated[tuple[ReportedFigure, ...], Field(max_length=100)]] = Field(
        default_factory=dict,
        description=(
            "What the provider reports of each output, by unit: a number, or one for each output; a text stands for "
            "what is not an amount. Without it, the sandbox reports nothing."
        ),
    )

    cost: ReportedFigure | Annotated[tuple[ReportedFigure, ...], Field(max_length=100)] | None = Field(
        default=None,
        description=(
            "What the provider reports that each output cost, in the rate card's currency: a number, or one for each "
            "output; a text stands for what is not an amount. Without it, the sandbox reports no cost."
        ),
    )

    @field_validator("delay_seconds", "deliver", "fail_attempts", mode="before")
    @classmethod
    def _written_as_a_number(cls, number: Any) -> Any:
        """JSON has one type of number, so 1.0 is accepted as 1; `-0.0` is rejected."""
        if not isinstance(number, float) or not number.is_integer():
            return number
        if number == 0 and math.copysign(1, number) < 0:
            raise ValueError("must not be -0.0")
        return int(number)

    @model_validator(mode="after")
    def _one_ending(self) -> Self:
        if self.hang and self.fail is not None:
            raise ValueError("`hang` and `fail` exclude each other: set only one")
        if self.fail_attempts is not None and self.fail is None:
            raise ValueError("`fail_attempts` is how often to fail: set `fail` as well")
        return self

    def reports(self, index: int) -> dict[Unit, object]:
        """What is reported of output `index`."""
        reports: dict[Unit, object] = {}
        for unit, figure in self.reported.items():
            if not isinstance(figure, tuple):
                reports[unit] = figure
            elif index < len(figure):
                reports[unit] = figure[index]
        return reports

    def costs(self, index: int) -> object:
        """What output `index` is reported to cost."""
        if not isinstance(self.cost, tuple):
            return self.cost
        return self.cost[index] if index < len(self.cost) else None

    def fails(self, attempt: int) -> bool:
        """Whether attempt number `attempt` should fail."""
        return self.fail is not None and (self.fail_attempts is None or attempt <= self.fail_attempts)

    def delivers(self, index: int, attempt: int) -> bool:
        """Whether output `index` is delivered: the first k, or any once the failing attempts are over."""
        if self.fail is not None:
            return not self.fails(attempt) or index < (self.deliver or 0)
        if self.deliver is None:
            return not self.hang
        return index < self.deliver
