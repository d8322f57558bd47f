"""The process's limit of open files and connections, raised at start as far as the system allows."""

from __future__ import annotations

import resource
import sys

from gateway.errors import SettingsError

FILES_MIN = 256  # half of them for clients; with fewer the ledger's own connections may not fit
_FILES_MAX = 1_048_576  # if there is no hard limit; some systems refuse more
_FILES_EVERYWHERE = 10_240  # the maximum on macOS, whatever its hard limit


def raise_limit() -> int:
    """Raise the soft limit to the hard one and return it. SettingsError if that is too low to start."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (_FILES_MAX if hard == resource.RLIM_INFINITY else hard, _FILES_EVERYWHERE):
        if soft == resource.RLIM_INFINITY or soft >= wanted:
            break
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            continue
        break
    files = allowed()
    if files < FILES_MIN:
        raise SettingsError(
            f"This process is limited to {files} open files, and Farebox needs at least {FILES_MIN}. Raise the limit "
            "with `ulimit -n 4096`, LimitNOFILE=4096 in systemd, or --ulimit nofile=4096 for a container."
        )
    return files


def allowed() -> int:
    """How many files this process may have open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if files == resource.RLIM_INFINITY else files
