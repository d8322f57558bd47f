"""Messages at start about who can reach the gateway: test mode, and where links point."""

from __future__ import annotations

from typing import Any

from gateway.pricing.load import default_card_path, is_the_example
from gateway.settings import Settings
from gateway.startup.misspelt import misspelt


def mode_in_words(settings: Settings) -> str:
    """Whether test mode is on, and why."""
    if settings.in_test_mode and settings.reached_by is not None:
        return f"ON, AND OTHERS CAN REACH THIS GATEWAY ({settings.reached_by}): {_test_mode_means(settings)}"
    if settings.in_test_mode:
        allows = "payments use a test page" if _pays_at_a_click(settings) else "accounts can advance their clocks"
        return f"on: {allows}. FAREBOX_TEST_MODE=0 turns it off"
    if _turned_off(settings):
        return f"off, because others can reach this gateway ({settings.reached_by}). FAREBOX_TEST_MODE=1 turns it on"
    return "off"


def links_in_words(settings: Settings) -> str | None:
    """Where links point, if FAREBOX_PUBLIC_URL is not set."""
    if not settings.public_address_is_guessed:
        return None
    return f"point to {settings.public_address}, which is a guess: set FAREBOX_PUBLIC_URL"


def warnings(settings: Settings) -> list[tuple[str, dict[str, Any]]]:
    """The log events at start, with their fields."""
    found: list[tuple[str, dict[str, Any]]] = []
    if settings.in_test_mode and settings.reached_by is not None:
        found.append(
            ("TEST_MODE_IN_PUBLIC", {"reached_by": settings.reached_by, "consequence": _test_mode_means(settings)})
        )
    if _turned_off(settings):
        fix = "FAREBOX_TEST_MODE=1 turns it on; only use it without real customers"
        found.append(("TEST_MODE_OFF", {"because": settings.reached_by, "fix": fix}))
    if settings.public_address_is_guessed:
        fix = "set FAREBOX_PUBLIC_URL to the address clients use"
        found.append(("PUBLIC_URL_GUESSED", {"links_lead_to": settings.public_address, "fix": fix}))
    if settings.reached_by is not None and settings.metrics_key is None and settings.metrics_port is None:
        fix = "set FAREBOX_METRICS_KEY, or FAREBOX_METRICS_PORT for a separate address"
        found.append(("METRICS_IN_PUBLIC", {"reached_by": settings.reached_by, "fix": fix}))
    if settings.reached_by is not None and is_the_example(default_card_path(settings.rate_card)):
        fix = "`farebox init` writes it as pricing.toml for you to edit; or set FAREBOX_RATE_CARD"
        found.append(("PRICES_ARE_THE_EXAMPLE", {"reached_by": settings.reached_by, "fix": fix}))
    found.extend(
        ("SETTING_UNKNOWN", {"variable": variable, "did_you_mean": meant}) for variable, meant in misspelt().items()
    )
    return found


def _turned_off(settings: Settings) -> bool:
    """Whether test mode is off only because others can reach the gateway."""
    return settings.test_mode is None and settings.embedded and settings.reached_by is not None


def _pays_at_a_click(settings: Settings) -> bool:
    return settings.payments in {None, "local"}


def _test_mode_means(settings: Settings) -> str:
    pays = " and get plans and credits without paying" if _pays_at_a_click(settings) else ""
    return f"anyone with an account's key can advance its clock{pays}"
