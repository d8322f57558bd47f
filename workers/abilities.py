"""Which providers a worker can call, of those that its tool's models need; what it lacks for the others, it says."""

from __future__ import annotations

from collections import defaultdict

import structlog

from workers.provider_desk import ProviderDesk

log = structlog.get_logger(__name__)


class Abilities:
    """Of one worker. The rate card is followed: what comes with a new one is said too, and each lack once."""

    def __init__(self, desk: ProviderDesk, tool: str) -> None:
        self._desk = desk
        self._tool = tool
        self._said: set[tuple[str, str]] = set()

    @property
    def providers(self) -> list[str]:
        """The providers that the worker can call."""
        return self._desk.callable_providers

    def say_lacks(self) -> None:
        """Log what this worker cannot make, and why, unless it was said before."""
        models: defaultdict[str, list[str]] = defaultdict(list)
        for name, model in self._desk.card.models.items():
            if model.tool == self._tool:
                models[model.provider].append(name)
        for provider, names in models.items():
            lack = self._desk.lack(provider)
            if lack is None or (provider, lack) in self._said:
                continue
            self._said.add((provider, lack))
            log.warning(
                "provider_not_here",
                provider=provider,
                lack=lack,
                models=names,
                consequence="this worker leaves their generations to workers that can call it",
            )
