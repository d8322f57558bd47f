"""What makes a start cheaper: no garbage is collected while modules are imported.

What they make stays; to look through it again and again took a tenth of a start. `gateway/__main__.py` begins this
before all other imports, the command line ends it.
"""

from __future__ import annotations

import gc


def begin() -> None:
    """Before anything else is imported."""
    gc.disable()


def imported() -> None:
    """Collect garbage again, but never look again through what is there by now: modules, classes, functions."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
