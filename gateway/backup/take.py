"""Takes a backup. The ledger is copied first: every file that it names exists by then, and is copied afterwards.

A file that expires and is deleted in between is left out, just as the ledger would drop it a moment later.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from redis.asyncio import Redis

from gateway.backup.folders import copy_file, make_folders, write_file
from gateway.backup.manifest import Manifest, ManifestFile, Progress, digest_of
from gateway.backup.snapshot import copy_snapshot
from gateway.errors import BackupFailed, RateCardError, SettingsError
from gateway.ledger.keys import SIGNING_KEY
from gateway.ledger.ledger import SCHEMA_VERSION
from gateway.local.secret_settings import SecretName
from gateway.outputs.cloud import bucket_of
from gateway.outputs.names import checked
from gateway.pricing.card import RateCard
from gateway.pricing.load import default_card_path, load_card
from gateway.redis_link.connections import connect_ledger
from gateway.settings import Settings
from gateway.startup.signing_key import difference, mark_of

LEDGER, KEYS, CARD, OUTPUTS = "ledger", "keys", "rate-card", "outputs"
_FILES_IN_FORCE = "file appendonly.aof.1.base.rdb seq 1 type b\n"
_SECRETS: tuple[SecretName, ...] = ("admin-key", "signing-key")

Begin = Callable[[str, int | None], Progress]
"""Called with the next part and its size, if known; returns the function to call with each piece's size."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where everything is; determined before anything is created."""

    keys: dict[SecretName, str]
    card: Path
    workflows: list[str]
    outputs: Path | None
    left_out: list[str]


def sources(settings: Settings, *, ledger: bool) -> Sources:
    """What to copy; BackupFailed, or SettingsError, if there is no Farebox data here."""
    keys = {name: found for name in _SECRETS if (found := settings.existing_secret(name)) is not None}
    if "signing-key" not in keys:
        raise BackupFailed(
            f"no signing key: FAREBOX_SIGNING_KEY is not set, and {settings.secret_source('signing-key')} does not "
            "exist. Run this in the folder where `farebox up` runs, or set FAREBOX_DATA to its data folder"
        )
    card = default_card_path(settings.rate_card)
    outputs, left_out = local_store(settings.outputs_address), []
    if outputs is None:
        bucket = bucket_of(settings.outputs_address)  # without any credentials in the URL
        left_out.append(f"outputs, inputs and uploads: they are in {bucket}; back them up with its own tools")
    if not ledger:
        left_out.append("the ledger (--without-ledger): back up its Redis with its own tools, just before this backup")
    elif {settings.queue_address, *settings.queue_urls.values()} != {settings.ledger_address}:
        left_out.append("the queue's Redis, and those of tools: the caretaker queues open generations again")
    if "admin-key" not in keys:
        left_out.append("an admin key: none is stored here")
    workflows: list[str] = []
    try:
        loaded = load_card(card)
    except RateCardError:
        left_out.append(f"workflows of {card}: the rate card is invalid (`farebox pricing check`)")
    else:
        workflows = _workflows(loaded)
        left_out += _variables(loaded)
    left_out.append("settings (FAREBOX_…), including Stripe's keys: they are in the environment")
    return Sources(keys, card, workflows, outputs, left_out)


async def copy_ledger(settings: Settings, folder: Path, begin: Begin) -> tuple[str, list[ManifestFile]]:
    """Copy the ledger in the form that Redis reads; returns the server's version, and the files."""
    redis = connect_ledger(settings.ledger_address)
    try:
        if not isinstance(redis, Redis):
            raise BackupFailed(
                "the ledger is a cluster, whose nodes have no common snapshot: back it up with its own tools, and "
                "everything else with `farebox backup --without-ledger`"
            )
        await _check_signing_key(redis, settings)
        server = await redis.info("server")
        files = folder / LEDGER / "appendonlydir"
        base = files / "appendonly.aof.1.base.rdb"
        make_folders(files)
        copied = begin("ledger", None)
        with os.fdopen(os.open(base, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:

            def write(piece: bytes) -> None:
                file.write(piece)
                copied(len(piece))

            await copy_snapshot(redis, write)
            file.flush()
            os.fsync(file.fileno())
    finally:
        await redis.aclose()
    write_file(files / "appendonly.aof.manifest", _FILES_IN_FORCE.encode())
    return str(server["redis_version"]), [_entry(folder, path) for path in sorted(files.iterdir())]


async def _check_signing_key(redis: Redis, settings: Settings) -> None:
    """Check the key: with another one than its ledger's, a restored backup would not start."""
    known, mine = await redis.get(SIGNING_KEY), mark_of(settings.secret("signing-key"))
    if known is not None and known.decode() != mine:
        raise SettingsError(difference(settings, mine, known.decode()))


def copy_files(found: Sources, folder: Path, begin: Begin) -> list[ManifestFile]:
    """Copy keys, rate card and the files of a local store."""
    for secret, key in found.keys.items():
        write_file(folder / KEYS / secret, key.encode() + b"\n")
    for path in (found.card, *(found.card.parent / name for name in found.workflows)):
        write_file(folder / CARD / path.relative_to(found.card.parent), path.read_bytes())
    small = [path for part in (KEYS, CARD) for path in sorted((folder / part).rglob("*")) if path.is_file()]
    entries = [_entry(folder, path) for path in small]
    if found.outputs is None:
        return entries
    stored = list(_stored(found.outputs))
    copied = begin("outputs", sum(size for _, size in stored))
    for name, _ in stored:
        try:
            entries.append(copy_file(found.outputs / name, folder / OUTPUTS / name, f"{OUTPUTS}/{name}", copied))
        except FileNotFoundError:
            continue  # it has expired in the meantime
    return entries


def manifest(found: Sources, redis: str | None, files: list[ManifestFile]) -> Manifest:
    """The manifest of what was copied."""
    return Manifest(
        farebox=version("farebox"),
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        schema_version=SCHEMA_VERSION,
        redis=redis,
        signing_key_mark=mark_of(found.keys["signing-key"]),
        rate_card=f"{CARD}/{found.card.name}",
        rate_card_time_ns=found.card.stat().st_mtime_ns,
        left_out=found.left_out,
        files=files,
    )


def local_store(address: str) -> Path | None:
    """The folder of a local object store; None for another kind."""
    parts = urlsplit(address)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None


def _stored(folder: Path) -> Iterator[tuple[str, int]]:
    """The objects of a local store; unfinished ones have other names."""
    for top, _, names in os.walk(folder):
        for name in names:
            path = Path(top) / name
            key = path.relative_to(folder).as_posix()
            try:
                yield checked(key), path.stat().st_size
            except (ValueError, FileNotFoundError):
                continue


def _workflows(card: RateCard) -> list[str]:
    files = {
        offer.provider_model
        for model in card.models.values()
        for provider, offer in model.offers.items()
        if provider in card.providers and card.providers[provider].has_workflows and offer.provider_model
    }
    return sorted(files)


def _variables(card: RateCard) -> list[str]:
    names = {
        name
        for provider in card.providers.values()
        for name in (provider.key_env, provider.callback_secret_env)
        if name is not None
    }
    return [f"the providers' keys: {', '.join(sorted(names))} in the environment"] if names else []


def _entry(folder: Path, path: Path) -> ManifestFile:
    size, digest = digest_of(path, lambda _: None)
    return ManifestFile(path.relative_to(folder).as_posix(), size, digest)
