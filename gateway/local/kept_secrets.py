"""The secrets that Farebox generates and stores as files in the data folder: `admin-key` and `signing-key`.

Server processes generate them at their first start. Commands never do: in the wrong folder, a command would generate a
useless key, and then report that the gateway rejects it.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from gateway.errors import SettingsError
from gateway.local import data_folder
from gateway.outside.secret_strength import check_strength


def read_or_make(path: Path, prefix: str) -> str:
    """The secret at `path`, generated if it is missing; two processes that race agree on one."""
    data_folder.make(path.parent)
    made = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    if not path.exists():
        made.touch(mode=data_folder.FILE_MODE)
        made.write_text(prefix + secrets.token_urlsafe(32))
        try:
            path.hardlink_to(made)
        except FileExistsError:
            pass
        finally:
            made.unlink()
    return read(path)


def read(path: Path) -> str:
    """The secret at `path`; FileNotFoundError, or SettingsError if it is another user's, unreadable or guessable."""
    try:
        if path.stat().st_uid not in {os.geteuid(), 0}:
            raise SettingsError(
                f"FAREBOX_DATA: {path} belongs to another user, who can read it: remove it and find out who created it."
            )
        kept = path.read_text().strip()
    except PermissionError as error:
        raise SettingsError(f"FAREBOX_DATA: {path} cannot be read: {error.strerror}") from None
    try:
        check_strength(kept)
    except ValueError as error:
        raise SettingsError(f"{path}: {error}; or delete the file to have one generated") from None
    return kept
