"""Finds misspelt settings: a variable such as `FAREBOX_PROT` should not be ignored silently."""

from __future__ import annotations

import os
from collections.abc import Mapping

from gateway.client.settings import ClientSettings
from gateway.local.supervisor import PARENT_VARIABLE
from gateway.pricing.values import did_you_mean
from gateway.queue.variables import OF_A_TOOL
from gateway.settings import Settings

_PREFIX = "FAREBOX_"
_OURS = frozenset(
    {PARENT_VARIABLE, "FAREBOX_WEBHOOK_SECRET"}
)  # set for children of `up`; used by the receiver in docs/webhooks.md


def misspelt(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables that are close to a setting's name, with the name that was probably meant.

    Others are left alone, such as a provider's key.
    """
    known = {name.upper() for of in (Settings, ClientSettings) for name in of.model_fields}
    found = {}
    for variable in sorted(environment):
        name = variable.removeprefix(_PREFIX)
        if not variable.startswith(_PREFIX) or variable.startswith(OF_A_TOOL) or variable in _OURS or name in known:
            continue
        meant = did_you_mean(name, known).partition('"')[2].partition('"')[0]
        if meant:
            found[variable] = _PREFIX + meant
    return found
