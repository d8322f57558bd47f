"""How much is done of what could be repeated for hours: a short form, or with `make test LONG=1` all of it.

The short form runs each of these checks over fewer examples. Beside a test marked `long` there is a shorter one.
"""

from __future__ import annotations

import os

LONG = os.environ.get("LONG", "") not in {"", "0"}
