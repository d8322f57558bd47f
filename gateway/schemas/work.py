"""Who makes a generation: provider, job, attempts."""

from __future__ import annotations

from pydantic import Field

from gateway.schemas.base import Answer, Time


class TriedOut(Answer):
    """A provider that did not make it."""

    provider: str
    result: str = Field(description="`refused`: it did not take the job; or the code of its failure.")
    times: int = Field(description="How often it was asked.")
    at: Time | None = Field(description="When last.")


class WorkOut(Answer):
    """Who makes a generation: for operators, who look for what a provider did with it."""

    provider: str
    provider_job: str | None = Field(description="The provider's own id of its current job.")
    submitted_at: Time | None = Field(description="When this job was submitted.")
    failures: int = Field(description="Failed attempts so far.")
    gives_up_at: Time | None = Field(description="When it is ended and refunded if nothing happens until then.")
    tried: list[TriedOut] = Field(description="The model's providers that did not make it, in order of the first try.")
