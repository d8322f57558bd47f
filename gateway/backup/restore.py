"""Restores a backup into a data folder that does not exist yet."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from gateway.backup.folders import check_free, copy_file, made_whole, write_file
from gateway.backup.manifest import Manifest, ManifestFile, Progress
from gateway.backup.take import CARD, KEYS, LEDGER, OUTPUTS, local_store
from gateway.errors import BackupFailed
from gateway.local.embedded import find_redis
from gateway.outputs.cloud import bucket_of
from gateway.pricing.load import FILE_NAME
from gateway.settings import Settings
from gateway.startup.signing_key import mark_of


@dataclass(slots=True)
class Restored:
    """The rate card in use after the restore, and the remaining manual steps."""

    card: Path
    to_do: list[str] = field(default_factory=list)


def check_place(settings: Settings, manifest: Manifest) -> None:
    """BackupFailed, or SettingsError, if the backup cannot be restored here; nothing is changed."""
    check_free(settings.data)
    outputs = _own_store(settings)
    if outputs is not None:
        check_free(outputs)
    if settings.embedded and manifest.has_ledger:
        find_redis()
    if settings.signing_key is not None:
        _check_given_key(settings, manifest)


def put_back(settings: Settings, source: Path, manifest: Manifest, progress: Progress) -> Restored:
    """Copy everything to its place, and give the data folder its name once it is complete."""
    outputs = _own_store(settings)
    with ExitStack() as places:  # both are renamed once everything is copied, or neither
        folder = places.enter_context(made_whole(settings.data.absolute()))
        store = folder / OUTPUTS if outputs is None else places.enter_context(made_whole(outputs))
        _copy(source, manifest, OUTPUTS, store, progress)
        _copy(source, manifest, KEYS, folder, progress)
        if settings.embedded:
            _copy(source, manifest, LEDGER, folder / "redis", progress)
        _copy(source, manifest, CARD, folder / CARD, progress)
        _set_time(folder / manifest.rate_card, manifest)
    return _finished(settings, source, manifest)


def _finished(settings: Settings, source: Path, manifest: Manifest) -> Restored:
    kept = settings.data / manifest.rate_card
    wanted = settings.rate_card or Path(FILE_NAME)
    there = wanted.exists()
    if not there:
        for entry in _of(manifest, CARD):
            part = Path(entry.path).relative_to(CARD)
            name = wanted.name if entry.path == manifest.rate_card else part
            target = wanted.parent / name
            if not target.exists():
                write_file(target, (source / entry.path).read_bytes())
        _set_time(wanted, manifest)
    done = Restored(wanted)
    if there and wanted.read_bytes() != kept.read_bytes():
        done.to_do.append(f"{wanted} differs from the backup's rate card, {kept}: to use that one, copy it there")
    if manifest.has_ledger and not settings.embedded:
        done.to_do.append(
            f"the ledger's Redis: stop it, copy {source / LEDGER / 'appendonlydir'} into its `dir`, replacing the one "
            "there, and set `appendonly yes` before you start it"
        )
    if local_store(settings.outputs_address) is None and _of(manifest, OUTPUTS):
        done.to_do.append(
            f"outputs, inputs and uploads: they are in {settings.data / OUTPUTS}, and FAREBOX_OUTPUTS_URL is "
            f"{bucket_of(settings.outputs_address)}: copy them there with the bucket's tools"
        )
    if not manifest.has_ledger:
        done.to_do.append("the ledger: it is not in this backup; restore its Redis with its own tools")
    return done


def _copy(source: Path, manifest: Manifest, part: str, place: Path, progress: Progress) -> None:
    for entry in _of(manifest, part):
        copied = copy_file(source / entry.path, place / Path(entry.path).relative_to(part), entry.path, progress)
        if copied != entry:
            raise BackupFailed(f"{entry.path} changed while it was being copied: nothing was restored")


def _of(manifest: Manifest, part: str) -> list[ManifestFile]:
    return [entry for entry in manifest.files if Path(entry.path).parts[0] == part]


def _own_store(settings: Settings) -> Path | None:
    """A local store outside of the data folder."""
    store = local_store(settings.outputs_address) if settings.outputs_url else None
    if store is None or store.is_relative_to(settings.data.resolve()):
        return None
    return store


def _set_time(path: Path, manifest: Manifest) -> None:
    """Keep the card's file time, which decides which card is in force: it must not look newer than it is."""
    os.utime(path, ns=(manifest.rate_card_time_ns, manifest.rate_card_time_ns))


def _check_given_key(settings: Settings, manifest: Manifest) -> None:
    mine = mark_of(settings.secret("signing-key"))
    if mine != manifest.signing_key_mark:
        raise BackupFailed(
            f"FAREBOX_SIGNING_KEY ({mine}) is not the backup's key ({manifest.signing_key_mark}): with it, the "
            "restored ledger would not start. Set it to the backup's key, or unset it"
        )
