"""The keys of the queue's Redis, defined only here; the README of this package says what they hold.

arq's own keys are in `jobs.py`. Scripts get all keys as KEYS: no Lua file names one.
"""

from __future__ import annotations

CHANGES_CHANNEL = "farebox:hints"
CHECKS_CHANNEL = "farebox:looks"
CARETAKERS = "farebox:caretakers"
SERIES_LAST = "farebox:series:last"


def queue_key(tool: str) -> str:
    """Arq's sorted set of a tool's jobs."""
    return f"farebox:queue:{tool}"


def queued_key(tool: str) -> str:
    """When the generations of a tool's jobs were queued."""
    return f"farebox:queued:{tool}"


def wakeup_key(tool: str) -> str:
    """The list that idle workers of a tool block on."""
    return f"farebox:bell:{tool}"


def rerouted_key(tool: str, provider: str) -> str:
    """The sorted set of a tool's jobs that were rerouted to workers that can call a provider."""
    return f"farebox:queue:{tool}:{provider}"


def rerouted_wakeup_key(tool: str, provider: str) -> str:
    """The list that those workers block on as well."""
    return f"farebox:bell:{tool}:{provider}"


def workers_key(tool: str) -> str:
    """The workers of a tool, each with when it was last seen."""
    return f"farebox:workers:{tool}"


def callable_key(tool: str) -> str:
    """The providers that workers of a tool can call, each with when such a worker was last seen."""
    return f"farebox:callable:{tool}"


def waits_key(tool: str) -> str:
    """How long a tool's generations were queued."""
    return f"farebox:waits:{tool}"


def series_key(step_ms: int) -> str:
    """The samples of one step."""
    return f"farebox:series:{step_ms}"


def slots_key(provider: str) -> str:
    """The slots in use at a provider."""
    return f"farebox:slots:{provider}"


def provider_queue_key(provider: str) -> str:
    """The generations waiting for a slot of a provider."""
    return f"farebox:line:{provider}"


def provider_dispatches_key(provider: str) -> str:
    """What to dispatch when they get a slot."""
    return f"farebox:lined:{provider}"


def breaker_key(provider: str) -> str:
    """Whether a provider's breaker is open, and the failures that may open it."""
    return f"farebox:breaker:{provider}"


def requests_key(provider: str) -> str:
    """How many jobs a provider was given in each second of the last minute."""
    return f"farebox:requests:{provider}"


def provider_key(provider: str) -> str:
    """When a provider last succeeded and failed."""
    return f"farebox:provider:{provider}"


def provider_outcomes_key(provider: str, step: int) -> str:
    """Results of a provider in one step of time."""
    return f"farebox:provider:{provider}:{step}"


def took_key(provider: str, model: str) -> str:
    """How long the last jobs of a provider's model took."""
    return f"farebox:took:{provider}:{model}"


def stray_key(digest: str) -> str:
    """Marks a provider job without a generation as stopped, so that it is stopped once."""
    return f"farebox:stray:{digest}"
