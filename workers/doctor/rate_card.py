"""The rate card, and whether this machine can call the providers of its models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import aiohttp
from yarl import URL

from gateway.errors import RateCardError
from gateway.outside.addresses import AddressGuard
from gateway.outside.outgoing import Outgoing
from gateway.pricing.card import RateCard
from gateway.pricing.load import default_card_path, load_proved_card
from gateway.pricing.providers import ProviderTable
from gateway.settings import Settings, environment_secret
from workers.doctor.findings import Finding
from workers.providers import vendor_address

_PATIENCE_SECONDS = 10


def read_card(settings: Settings) -> tuple[RateCard | None, list[Finding]]:
    """The rate card after its proof, and what was found; None if it is refused."""
    path = default_card_path(settings.rate_card)
    try:
        card, _ = load_proved_card(path)
    except RateCardError as error:
        return None, [Finding("rate card", "error", f"{path} is refused: {error}", "see `farebox pricing check`")]
    return card, [Finding("rate card", "ok", f"{path}: {len(card.models)} models, each combination has one price")]


async def check_providers(card: RateCard, settings: Settings) -> AsyncIterator[Finding]:
    """For each provider that a model names: its key, and whether its address responds."""
    used = {provider for model in card.models.values() for provider in model.offers}
    tables = {name: table for name, table in card.providers.items() if name in used}
    for finding in (one for name, table in tables.items() for one in _keys(name, table)):
        yield finding
    addresses = {name: table.base_url or vendor_address(table.kind) for name, table in tables.items()}
    known = {name: address for name, address in addresses.items() if address is not None}
    for finding in await asyncio.gather(*(_reach(name, address) for name, address in known.items())):
        yield finding
    if not known:
        yield _only_the_sandbox(settings)


def _only_the_sandbox(settings: Settings) -> Finding:
    """Fine to try it; customers would pay for pictures that say they are none."""
    if settings.in_test_mode or settings.reached_by is None:
        return Finding("providers", "ok", "only the sandbox makes models, and it needs nothing")
    fix = "name providers on the rate card before you sell: docs/providers.md"
    return Finding(
        "providers", "warning", "only the sandbox makes models: customers get samples, labelled as such", fix
    )


def _keys(name: str, table: ProviderTable) -> Iterator[Finding]:
    """Only that a variable is set: its value is never shown, or sent."""
    for variable in (table.key_env, table.callback_secret_env):
        if variable is not None and environment_secret(variable) is None:
            fix = f"set {variable} where the workers of its models run"
            yield Finding("providers", "warning", f"{name} needs {variable}, which is not set here", fix)


async def _reach(name: str, address: str) -> Finding:
    """Any response counts: without the key, which is not sent, most refuse the call."""
    url = URL(address)
    calls = Outgoing(AddressGuard(), own=url)
    where = url.origin()
    try:
        async with calls.request("GET", url, timeout=aiohttp.ClientTimeout(total=_PATIENCE_SECONDS)) as response:
            return Finding("providers", "ok", f"{name} responds at {where} ({response.status})")
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        reason = str(error) or type(error).__name__
        fix = "check the firewall, DNS and `base_url`; generations of its models wait meanwhile"
        return Finding("providers", "warning", f"{name} cannot be reached at {where}: {reason}", fix)
    finally:
        await calls.close()
