"""What is told on the queue's channels, and what is made of a message that is not as it should be.

Gateways and workers of several versions share a Redis during an upgrade, and anyone with its password can publish. So a
message is never trusted: what is odd is dropped and counted, and costs whoever waits for it five seconds, no more.

| channel | message, JSON |
|---|---|
| `farebox:hints` | `[["*", "hints", version], [account, generation, generation's version], …]` |
| `farebox:looks` | `[generation]` |

The version stands where gateways that do not know of it read a notice about nobody. A message without it is version 1.
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
"""A batch of 64 notices is 8 KB. To parse a message of megabytes would hold every stream up."""

_VERSION_MAX = 2**53
_NOBODY = "*"  # no account can have this id
_HEAD = (_NOBODY, "hints", VERSION)


class ChangeNotice(NamedTuple):
    """A generation has changed: read it again. `version` is 0 where the sender did not know it."""

    account: str
    generation: str
    version: int = 0


class SubscriptionState(Enum):
    """What became of a subscription. After `MADE`, whatever was told before is not known."""

    MADE = auto()
    LOST = auto()


def change_message(notices: Sequence[ChangeNotice]) -> list[tuple[str, str, int]]:
    """A message that tells all of these."""
    return [_HEAD, *notices]


def change_notices_in(message: bytes) -> tuple[list[ChangeNotice], int]:
    """The notices of a message, and how many odd things there were in it."""
    told = _list_in(message)
    if told is None:
        return [], 1
    if told and isinstance(told[0], list) and told[0][:2] == [_NOBODY, "hints"]:
        if told[0] != list(_HEAD):
            return [], 1
        told = told[1:]
    notices = list(_change_notices(told))
    return notices, len(told) - len(notices)


def check_requests_in(message: bytes) -> tuple[list[str], int]:
    """The generations of a message that are to be looked at, and how many odd things there were in it."""
    told = _list_in(message)
    if told is None:
        return [], 1
    generations = [one for one in told if isinstance(one, str) and is_generation_id(one)]
    return generations, len(told) - len(generations)


def unreadable_messages(odd: Mapping[str, int]) -> Metric:
    """What Prometheus is told of what could not be read, by channel."""
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
        told = json.loads(message)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, list) else None


def _change_notices(told: Sequence[Any]) -> Iterator[ChangeNotice]:
    for words in told:
        match words:
            case [str(account), str(generation)]:
                version = 0
            case [str(account), str(generation), int(version)]:
                pass
            case _:
                continue
        if (
            is_account_id(account)
            and (not generation or is_generation_id(generation))
            and not isinstance(version, bool)
            and 0 <= version <= _VERSION_MAX
        ):
            yield ChangeNotice(account, generation, version)
