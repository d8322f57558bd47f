"""Who makes a generation: provider, job, attempts."""

from __future__ import annotations

from pydantic import Field

from gateway.schemas.base import Answer, Time


class WorkOut(Answer):
    """Who makes a generation: for operators, who look for what a provider did with it."""

    provider: str
    provider_job: str | None = Field(description="The provider's own id of its current job.")
    submitted_at: Time | None = Field(description="When this job was submitted.")
    failures: int = Field(description="Failed attempts so far.")
    gives_up_at: Time | None = Field(description="When it is ended and refunded if nothing happens until then.")
