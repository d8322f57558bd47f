"""Checks secrets that operators choose: long enough, and without an obvious pattern."""

from __future__ import annotations

from itertools import pairwise

SECRET_CHARACTERS_MIN = 32  # 32 hex digits are 128 bits
MAKE_ONE = "python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
_DISTINCT_MIN = 10  # 32 random hex digits have fewer than 10 distinct ones once in 10,000
_PREFIXES = ("fbx_", "whsec_")


def check_strength(secret: str) -> None:
    """ValueError, with how to generate a better one, if a secret is short or has a pattern."""
    found = weakness(secret)
    if found is not None:
        msg = f"{found}. To generate one: {MAKE_ONE}"
        raise ValueError(msg)


def weakness(secret: str) -> str | None:
    """Why a secret is weak; None if no weakness is found."""
    if len(secret) < SECRET_CHARACTERS_MIN:
        return f"is too short: {len(secret)} characters, but at least {SECRET_CHARACTERS_MIN} random ones are required"
    rest = next((secret.removeprefix(prefix) for prefix in _PREFIXES if secret.startswith(prefix)), secret)
    if len(set(rest)) < _DISTINCT_MIN:
        return f"is not random: it has only {len(set(rest))} different characters"
    if any(rest[period:] == rest[:-period] for period in range(1, len(rest) // 2 + 1)):
        return "is not random: it repeats itself"
    steps = [abs(ord(after) - ord(before)) for before, after in pairwise(rest)]
    if sum(step <= 1 for step in steps) > len(steps) // 2:
        return "is not random: it counts up or down"
    return None
