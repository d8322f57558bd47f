"""`farebox pause`, `resume` and `ops` against a running gateway."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from tests.api.test_support_commands import as_json, command, run
from tests.api.visitor import Visitor


async def test_a_provider_is_paused_and_resumed_with_a_reason(gateway: Visitor, key: str) -> None:
    words = ("pause", "provider", "sandbox", "--reason", "down until noon", "--wait", "--until", "2099-01-01T00:00:00Z")
    said = await run(gateway, *words)
    assert said == (
        "Paused the provider sandbox. What is new is accepted and waits; what runs goes on. It is resumed by itself at "
        "2099-01-01T00:00:00Z."
    )
    held = await gateway.made(key)
    assert "provider sandbox" in await run(gateway, "ops", "pauses")
    assert f"{held} acme sketch sandbox paused" in await run(gateway, "ops", "list")
    assert "What was held starts now." in await run(gateway, "resume", "provider", "sandbox", "--reason", "it's back")
    entry = (await gateway.call("GET", "/v1/admin/audit-log?limit=1", gateway.admin)).body["data"][0]
    assert (entry["action"], entry["reason"]) == ("resume", "it's back")
    await run(gateway, "pause", "account", "acme", "--reason", "a chargeback")
    assert (await gateway.create(key)).code == "paused"
    code, _, complained = await command(gateway, "resume", "model", "sketch")
    assert (code, "The model sketch is not paused." in complained) == (1, True)


async def test_an_invoice_is_checked_against_what_the_gateway_has(gateway: Visitor, key: str, tmp_path: Path) -> None:
    """A model without a cost in the card: it is counted, and said to be missing."""
    await gateway.finished(key)
    file = tmp_path / "invoice.csv"
    file.write_text(f"date,amount\n{datetime.now(UTC).date()},0.25\n")
    words = ("invoice", "check", "--file", str(file), "--provider")
    code, said, _ = await command(gateway, *words, "sandbox")
    assert (code, "0.2500" in said, "1 of our generations have no known cost" in said) == (1, True, True)
    code, said, _ = await command(gateway, *words, "fal", "--tolerance", "0.25")
    assert (code, "We have no generations at 'fal' on these days." in said) == (0, True)


async def test_a_bulk_refund_is_shown_first_and_done_with_yes(gateway: Visitor, key: str) -> None:
    generation = await gateway.finished(key)
    words = ("ops", "refund", "--account", "acme", "--reason", "charged twice")
    said = await run(gateway, *words)
    assert generation in said
    assert "Give back 5 credits, charged for 1 generation of 1 account. Nothing was done. Add --yes to do it." in said
    assert "Done: 1 refunded; 5 credits." in await run(gateway, *words, "--yes")
    assert await run(gateway, *words, "--yes") == "No generation matches."
    made = await gateway.made(key)
    done = await as_json(gateway, "ops", "cancel", "--older-than", "0s", "--reason", "x", "--yes")
    assert (done["results"], done["complete"]) == ({"cancelled": 1}, True)
    assert (await gateway.call("GET", f"/v1/generations/{made}", key)).body["status"] == "cancelled"
    code, _, complained = await command(gateway, "ops", "cancel", "--reason", "x")
    assert (code, "Give at least one filter" in complained) == (2, True)
