"""The addresses of the queue's Redis, and of tools that have one of their own: a part of `gateway/settings.py`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings

from gateway.local.urls import with_scheme
from gateway.queue.variables import OF_A_TOOL, name_in_variables

QUEUE_SCHEMES = frozenset({"redis", "rediss", "redis+sentinel", "rediss+sentinel"})


def _of_tools() -> dict[str, str]:
    return {name.removeprefix(OF_A_TOOL): url for name, url in os.environ.items() if name.startswith(OF_A_TOOL)}


class QueueSettings(BaseSettings):
    """Where jobs are queued. `queue_urls` has the tools with a Redis of their own, by their names as in variables."""

    queue_url: str | None = None
    queue_urls: dict[str, str] = Field(default_factory=_of_tools)

    @field_validator("queue_url")
    @classmethod
    def _known_queue_scheme(cls, url: str | None) -> str | None:
        return url if url is None else with_scheme(url, QUEUE_SCHEMES)

    @model_validator(mode="after")
    def _known_schemes_of_tools(self) -> Self:
        for name, url in self.queue_urls.items():
            try:
                with_scheme(url, QUEUE_SCHEMES)
            except ValueError as error:
                raise ValueError(f"{OF_A_TOOL}{name}: {error}") from None
        return self

    def queues_without_a_tool(self, tools: Iterable[str]) -> list[str]:
        """The variables that belong to none of these tools: misspelt, or of a tool that is no longer in the card."""
        known = {name_in_variables(tool) for tool in tools}
        return sorted(OF_A_TOOL + name for name in self.queue_urls if name not in known)
