"""What an archivist measures of itself."""

from __future__ import annotations

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge


class ArchivistFigures:
    """The archivist's metrics."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.lag = Gauge(
            "farebox_archive_lag_seconds",
            "Age of the oldest change in the ledger that is not in the archive; 0 if there is none.",
            registry=registry,
        )
        self.entries = Counter("farebox_archived_entries", "Journal entries copied to the archive.", registry=registry)
        self.generations = Counter(
            "farebox_archived_generations", "Copies of generations to the archive.", registry=registry
        )
        self.accounts = Counter("farebox_archived_accounts", "Copies of accounts to the archive.", registry=registry)
        self.gaps = Counter(
            "farebox_archive_gaps",
            "Accounts found with entries that neither ledger nor archive has.",
            registry=registry,
        )
        self.taken_back = Counter(
            "farebox_archive_taken_back",
            "Journal entries taken out of the archive, because the ledger was set back and no longer has them.",
            registry=registry,
        )
        self.writes = Gauge(
            "farebox_archivist_writes",
            "1 if this archivist is the one that copies, 0 if it stands by.",
            registry=registry,
        )
