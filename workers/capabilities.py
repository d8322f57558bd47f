"""Which providers a worker can call; logs what is missing for the others that its tool's models need."""

from __future__ import annotations

from collections import defaultdict

import structlog

from workers.provider_registry import ProviderRegistry

log = structlog.get_logger(__name__)


class Capabilities:
    """Of one worker. Follows changes of the rate card; each missing provider is logged once."""

    def __init__(self, providers: ProviderRegistry, tool: str) -> None:
        self._providers = providers
        self._tool = tool
        self._logged: set[tuple[str, str]] = set()

    @property
    def providers(self) -> list[str]:
        """The providers that the worker can call."""
        return self._providers.callable_providers

    def log_missing(self) -> None:
        """Log which models this worker cannot run, and why, unless already logged."""
        models: defaultdict[str, list[str]] = defaultdict(list)
        for name, model in self._providers.card.models.items():
            if model.tool == self._tool:
                for provider in model.offers:
                    models[provider].append(name)
        for provider, names in models.items():
            missing = self._providers.missing(provider)
            if missing is None or (provider, missing) in self._logged:
                continue
            self._logged.add((provider, missing))
            log.warning(
                "provider_not_here",
                provider=provider,
                lack=missing,
                models=names,
                consequence="this worker leaves their generations to workers that can call it",
            )
