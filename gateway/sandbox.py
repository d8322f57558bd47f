"""The controls that a test-mode request may carry for the `sandbox` provider (DESIGN section 6).

Pure data, so that the gateway can validate what the sandbox will obey. Providers may import this module.
"""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from gateway.domain import FailureCode

DELAY_SECONDS_MAX = 600
_GIVEN: dict[str, JsonValue] = {"not": {"type": "null"}}


class SandboxControls(BaseModel):
    """How the sandbox is to misbehave; without any it renders at once and delivers everything.

    With `deliver` and `fail` (or `hang`) together the first k outputs are delivered, then it fails (or falls silent).
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={  # what `_one_ending` says
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
        default=0, ge=0, le=DELAY_SECONDS_MAX, allow_inf_nan=False, description="Seconds to take before rendering."
    )
    deliver: int | None = Field(
        default=None, ge=0, description="Deliver only the first k outputs, then end; none is a `provider_failed`."
    )
    fail: FailureCode | None = Field(default=None, description="Fail with this code.")
    fail_attempts: int | None = Field(
        default=None, ge=1, description="Fail only the first n attempts; those after them deliver everything."
    )
    hang: bool = Field(default=False, description="Never answer.")

    @model_validator(mode="after")
    def _one_ending(self) -> Self:
        if self.hang and self.fail is not None:
            raise ValueError("`hang` never answers and `fail` does: give one of them")
        if self.fail_attempts is not None and self.fail is None:
            raise ValueError("`fail_attempts` says how often to fail: give `fail` beside it")
        return self

    def fails(self, attempt: int) -> bool:
        """Whether attempt number `attempt` is one of those that fail."""
        return self.fail is not None and (self.fail_attempts is None or attempt <= self.fail_attempts)

    def delivers(self, index: int, attempt: int) -> bool:
        """Whether output `index` is delivered: one of the first k, or any once the attempts that fail are over."""
        if self.fail is not None:
            return not self.fails(attempt) or index < (self.deliver or 0)
        if self.deliver is None:
            return not self.hang
        return index < self.deliver
