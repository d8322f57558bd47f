"""`farebox backup` and `farebox restore`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from gateway.backup import restore as back
from gateway.backup import take
from gateway.backup.folders import check_free, made_whole
from gateway.backup.manifest import Manifest, ManifestFile, faults
from gateway.backup.manifest import Progress as Advance
from gateway.cli.embedded_redis import redis_in_reach
from gateway.cli.say import say
from gateway.cli.terminal import Terminal
from gateway.errors import BackupFailed
from gateway.local import data_folder
from gateway.settings import Settings, load_settings

_FAULTS_SHOWN = 20
EXIT_INTERRUPTED = 130  # a shell's exit code after Ctrl-C


@click.command()
@click.argument("dest", type=click.Path(path_type=Path))
@click.option("--verify", is_flag=True, help="Read the finished backup back and verify it.")
@click.option("--without-ledger", is_flag=True, help="Skip the ledger, for a Redis that you back up yourself.")
def backup(dest: Path, *, verify: bool, without_ledger: bool) -> None:
    """Back up the ledger, the keys, the rate card and the files of a local store into the new folder DEST.

    Works whether or not Farebox is running. The ledger (FAREBOX_LEDGER_URL, or the embedded one in FAREBOX_DATA) is
    copied as of one moment, with everything acknowledged before it. At the end, the command lists what is not
    included. manifest.json has each file's size and SHA-256. A backup contains the keys: keep it as safe as them.

    \b
    Examples:
      farebox backup /mnt/backups/monday --verify
      FAREBOX_DATA=/var/lib/farebox farebox backup monday
    """
    settings = load_settings()
    with _cleanly("nothing was left behind"):
        check_free(dest)
        found = take.sources(settings, ledger=not without_ledger)
        with _bars() as bars, made_whole(dest.absolute()) as folder:
            redis: str | None = None
            files: list[ManifestFile] = []
            if not without_ledger:
                redis, files = asyncio.run(_copy_ledger(settings, folder, bars))
            files += take.copy_files(found, folder, bars)
            made = take.manifest(found, redis, files)
            made.write(folder)
            if verify:
                _check(folder, made, bars)
    say(f"{dest}: {len(made.files):,} files, {made.size:,} bytes{', read back and compared' if verify else ''}.")
    _say_left_out(made)


@click.command()
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--check", is_flag=True, help="Only verify SRC against its manifest; change nothing.")
def restore(source: Path, *, check: bool) -> None:
    """Restore the backup SRC into the data folder (FAREBOX_DATA), which must not exist yet.

    SRC is verified against its manifest first. pricing.toml (or FAREBOX_RATE_CARD) is written if it does not exist.
    Afterwards, start `farebox redis` or `farebox up` and run `farebox audit` to verify the ledger.

    \b
    Examples:
      farebox restore --check /mnt/backups/monday
      FAREBOX_DATA=restored farebox restore /mnt/backups/monday
    """
    settings = load_settings()
    with _cleanly("nothing was restored"):
        manifest = Manifest.read(source)
        if not check:
            back.check_place(settings, manifest)
        with _bars() as bars:
            _check(source, manifest, bars)
            done = None if check else back.put_back(settings, source, manifest, bars("restoring", manifest.size))
    if done is None:
        say(f"{source}: {len(manifest.files):,} files, {manifest.size:,} bytes, all matching the manifest.")
    else:
        _say_restored(settings, done)
    _say_left_out(manifest)


async def _copy_ledger(settings: Settings, folder: Path, bars: _BackupBars) -> tuple[str, list[ManifestFile]]:
    async with redis_in_reach(settings):
        return await take.copy_ledger(settings, folder, bars)


def _check(folder: Path, manifest: Manifest, bars: _BackupBars) -> None:
    found = list(faults(folder, manifest, bars("comparing", manifest.size)))
    if found:
        more = f"\n… and {len(found) - _FAULTS_SHOWN:,} more" if len(found) > _FAULTS_SHOWN else ""
        raise BackupFailed(f"{folder} does not match its manifest:\n" + "\n".join(found[:_FAULTS_SHOWN]) + more)


def _say_restored(settings: Settings, done: back.Restored) -> None:
    data = settings.data
    say(f"Restored to {data}. The rate card is {done.card}.")
    for one in done.to_do:
        say(f"To do: {one}.")
    given = "" if data == Path(".farebox") else f"FAREBOX_DATA={shlex.quote(str(data))} "
    say(f"Next: {given}farebox up, and in another terminal {given}farebox audit")


def _say_left_out(manifest: Manifest) -> None:
    say("Not included:")
    for one in manifest.left_out:
        say(f"  {one}")


class _BackupBars:
    """A progress bar for each part, once it begins."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __call__(self, what: str, total: int | None) -> Advance:
        task = self._progress.add_task(what, total=total)
        return lambda size: self._progress.advance(task, size)


@contextlib.contextmanager
def _bars() -> Iterator[_BackupBars]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Terminal(stderr=True), transient=True) as progress:
        yield _BackupBars(progress)


@contextlib.contextmanager
def _cleanly(consequence: str) -> Iterator[None]:
    """Files for their owner only; an error or a signal is printed as one line, with its consequence."""
    umask = os.umask(data_folder.UMASK)
    handler = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        say(f"Stopped: {consequence}.", error=True)
        sys.exit(EXIT_INTERRUPTED)
    except OSError as error:
        raise BackupFailed(f"{error.filename or ''}: {error.strerror or error}; {consequence}") from None
    finally:
        os.umask(umask)
        signal.signal(signal.SIGTERM, handler)
