"""How long things are kept, as far as the rate card says it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.pricing.fields import Whole
from gateway.pricing.table import Table

OutputDays = Annotated[Whole, Field(ge=1, le=3650)]
"""For how many days after its end a generation's outputs are kept; none: FAREBOX_OUTPUT_DAYS, with the same bounds."""


class Archive(Table):
    """`[archive]`: for how many days the ledger keeps what the archive has. Left out: as long as without an archive.

    Two days at least: idempotency keys and corrections of yesterday need the ledger's own copy.
    """

    keep_days: int | None = Field(None, ge=2, le=3650)
