"""What webhooks are told, proved from the generations: each end that one was there for, once."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.invariants.checks import Partition

OPEN = {"waiting", "queued", "running"}
KEPT = 500
"""So many events a webhook keeps."""


def check_events(partition: Partition) -> None:
    """Each webhook has one event of each end that it was there for, and what is pending is due or behind another."""
    by_webhook: defaultdict[str, dict[str, dict[str, str]]] = defaultdict(dict)
    for name, delivery in partition.deliveries.items():
        webhook, _, event = name.rpartition(":")
        by_webhook[webhook][event] = delivery
    for webhook, told in by_webhook.items():
        ends = Counter(
            one["subject"]
            for one in told.values()
            if one["type"].startswith("generation.") and one["type"] != "generation.running"
        )
        assert set(ends.values()) <= {1}, f"{webhook} is told of an end twice"
        for generation in ends:
            state = partition.generations.get(generation, {}).get("state")
            told_as = [one["type"] for one in told.values() if one["subject"] == generation]
            assert state is None or f"generation.{state}" in told_as, f"{webhook}: {generation} is {state}"
        behind = {one["behind"] for one in told.values() if "behind" in one and one["status"] == "pending"}
        pending = {event for event, one in told.items() if one["status"] == "pending"}
        assert pending == set(partition.due.get(webhook, {})) | (behind & pending), f"{webhook}: what is due"
    _check_heard(partition, by_webhook)


def _check_heard(partition: Partition, by_webhook: dict[str, dict[str, dict[str, str]]]) -> None:
    """Who listened when a generation ended has its end, unless so much came since that it is kept no longer."""
    for name, webhook in partition.webhooks.items():
        told = by_webhook.get(name, {})
        of = {one["subject"] for one in told.values()}
        for generation, g in partition.generations.items():
            mine = name.partition(":")[0] in {g["account"], "*"} and g["state"] not in OPEN
            heard = f"generation.{g['state']}" in webhook.get("events", "").split(",")
            since = int(webhook["created_at"]) < int(g.get("finished_at", 0))
            if mine and heard and since and len(told) < KEPT:
                assert generation in of, f"{name} was not told of {generation}"
