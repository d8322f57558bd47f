"""The messages on the queue's pub/sub channels.

Gateways and workers of several versions share a Redis during an upgrade, and anyone with its password can publish. So
messages are never trusted: invalid entries are dropped and counted, and cost a subscriber five seconds at most.

| channel | message, JSON |
|---|---|
| `farebox:hints` | `[["*", "hints", version], [account, generation, generation's version], …]` |
| `farebox:looks` | `[generation]` |

Gateways that do not know the version entry read it as a notice about an account that cannot exist. A message without
it is version 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto
from typing import Any, NamedTuple

from prometheus_client.core import CounterMetricFamily, Metric

from gateway.domain import is_account_id, is_generation_id
from gateway.queue.keys import CHANGES_CHANNEL, CHECKS_CHANNEL

VERSION = 1
MESSAGE_BYTES_MAX = 64 * 1024
"""A batch of 64 notices is 8 KB. Parsing a message of megabytes would delay every stream."""

_VERSION_MAX = 2**53
_WITH_VERSION = 3  # account, generation, version
_LENGTHS = {2, _WITH_VERSION}
_NOBODY = "*"  # no account can have this id
_HEAD = (_NOBODY, "hints", VERSION)


class ChangeNotice(NamedTuple):
    """A generation has changed: read it again. `version` is 0 where the sender did not know it.

    Only the account's balance has, if `generation` is "".
    """

    account: str
    generation: str
    version: int = 0


class SubscriptionState(Enum):
    """The state of a subscription. Messages published before `MADE` may have been missed."""

    MADE = auto()
    LOST = auto()


def change_message(notices: Sequence[ChangeNotice]) -> list[tuple[str, str, int]]:
    """A message with all of these."""
    return [_HEAD, *notices]


def change_notices_in(message: bytes) -> tuple[list[ChangeNotice], int]:
    """The notices of a message, and the number of invalid entries."""
    entries = _list_in(message)
    if entries is None:
        return [], 1
    if entries and isinstance(entries[0], list) and entries[0][:2] == [_NOBODY, "hints"]:
        if entries[0] != list(_HEAD):
            return [], 1
        entries = entries[1:]
    notices = list(_change_notices(entries))
    return notices, len(entries) - len(notices)


def check_requests_in(message: bytes) -> tuple[list[str], int]:
    """The generations to check according to a message, and the number of invalid entries."""
    entries = _list_in(message)
    if entries is None:
        return [], 1
    generations = [one for one in entries if isinstance(one, str) and is_generation_id(one)]
    return generations, len(entries) - len(generations)


def unreadable_messages(odd: Mapping[str, int]) -> Metric:
    """The metric of unreadable messages, by channel."""
    family = CounterMetricFamily(
        "farebox_odd_messages", "Unreadable messages on the queue's channels, dropped.", labels=["channel"]
    )
    for channel in (CHANGES_CHANNEL, CHECKS_CHANNEL):
        family.add_metric([channel], odd.get(channel, 0))
    return family


def _list_in(message: bytes) -> list[Any] | None:
    if len(message) > MESSAGE_BYTES_MAX:
        return None
    try:
        entries = json.loads(message)
    except (ValueError, RecursionError):
        return None
    return entries if isinstance(entries, list) else None


def _change_notices(entries: Sequence[Any]) -> Iterator[ChangeNotice]:
    """Every gateway reads every notice, so this is written for speed: `match` takes ten times as long."""
    for words in entries:
        if not isinstance(words, list) or len(words) not in _LENGTHS:
            continue
        account, generation, version = words if len(words) == _WITH_VERSION else (*words, 0)
        if (
            isinstance(account, str)
            and isinstance(generation, str)
            and type(version) is int  # True is one, too
            and 0 <= version <= _VERSION_MAX
            and is_account_id(account)
            and (not generation or is_generation_id(generation))
        ):
            yield ChangeNotice(account, generation, version)
