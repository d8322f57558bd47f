"""Which replicas could be promoted, as Sentinels say: each of these has to confirm."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.errors import ReplicasMissing
from gateway.ledger.promotable import OfSentinels, Replication, Said, promotable

MASTER = ("10.0.0.1", 6379)
OTHER = ("10.0.0.9", 6379)
THERE = {"flags": "slave", "role-reported": "slave", "slave-repl-offset": "100", "slave-priority": "100"}
DOWN = THERE | {"flags": "s_down,slave"}
GONE = THERE | {"flags": "slave,disconnected"}
NEVER = THERE | {"slave-priority": "0"}
UNTOLD = THERE | {"role-reported": "master", "slave-repl-offset": "0"}
PROMOTED = THERE | {"role-reported": "master"}
CHOSEN = GONE | {"flags": "slave,disconnected,promoted"}
FORMER = GONE | {"slave-repl-offset": "0"}


def flat(*replicas: dict[str, str]) -> list[list[bytes]]:
    """As SENTINEL REPLICAS says it."""
    return [
        [word.encode() for pair in {"name": f"10.0.0.{number}:6379", **replica}.items() for word in pair]
        for number, replica in enumerate(replicas, 2)
    ]


def says(*replicas: dict[str, str], master: tuple[str, int] = MASTER) -> Said:
    return Said([master[0].encode(), str(master[1]).encode()], flat(*replicas))


@pytest.mark.parametrize(
    ("said", "count"),
    [
        ([says(THERE, THERE)] * 3, 2),
        ([says(THERE, DOWN)] * 3, 1),
        ([says(THERE, GONE)] * 3, 1),
        ([says(THERE, GONE)] * 2 + [says(THERE, DOWN)], 1),
        ([says(THERE, DOWN)] + [says(THERE, THERE)] * 2, 2),  # only one of three has found it away
        ([says(THERE, DOWN)], 2),  # the others are not heard: they might promote it
        ([says(THERE, NEVER)] * 3, 1),
        ([says(THERE, FORMER)] * 2, 1),  # the master before, whose machine is gone with its Sentinel
        ([says(THERE, UNTOLD)] * 3, 1),  # a former master that is back: the other one is preferred
        ([says(THERE, PROMOTED)] * 3, 2),  # a failover is under way: the one that has been promoted will not confirm
        ([says(THERE)] * 2 + [says(THERE, THERE)], 1),  # two have never heard of the second
        ([says(DOWN, THERE, master=OTHER)] + [says(THERE, THERE)] * 2, 2),
    ],
)
def test_each_replica_that_could_be_promoted_is_counted(said: list[Said], count: int) -> None:
    assert len(promotable(said, MASTER, sentinels=3)) == count


@pytest.mark.parametrize(
    "said",
    [
        [says(THERE, CHOSEN)] + [says(THERE, GONE)] * 2,  # one is promoting it
        [says(THERE, GONE, master=OTHER)] + [says(THERE, GONE)] * 2,  # one has promoted somebody
        [says(THERE, CHOSEN, master=("10.0.0.3", 6379))] + [says(THERE, UNTOLD)] * 2,  # others have not asked it
        [says(THERE, GONE)] * 2 + [says(THERE, THERE)],  # the one that sees it was asked before it promoted it
        [says(THERE, GONE)] * 2,  # the one that is not heard may have
    ],
)
def test_one_that_is_being_promoted_is_not_taken_for_gone(said: list[Said]) -> None:
    """`make chaos TOPOLOGY=sentinel` found it: a replica loses its connections when it is told to be a master.

    The Sentinels called it disconnected, and for a moment the former master, which was well (an operator had asked for
    the failover), was confirmed by its other replica. A grant and a generation were acknowledged, and lost.
    """
    assert len(promotable(said, MASTER, sentinels=3)) == 2


class Sentinel:
    """One that says what it is told to say of its master's two replicas."""

    def __init__(self) -> None:
        self.sees: tuple[dict[str, str], ...] = (THERE, UNTOLD)

    async def execute_command(self, *words: str) -> Any:
        if words[1] == "GET-MASTER-ADDR-BY-NAME":
            return [MASTER[0].encode(), str(MASTER[1]).encode()]
        return flat(*self.sees)


async def master(*words: str | int) -> bytes:
    """The master, which has both replicas."""
    return b"" if words[0] == "PUBLISH" else b"role:master\r\nmaster_repl_offset:107\r\n"


async def test_one_is_left_out_only_by_what_is_said_after_the_write() -> None:
    """`make chaos TOPOLOGY=sentinel` found it: a former master was back, and had been told to follow.

    What the Sentinels had said a second before still left it out when one of them promoted it again, by an operator's
    wish: two generations were acknowledged, and lost.
    """
    sentinels = [Sentinel(), Sentinel(), Sentinel()]
    pool = SimpleNamespace(sentinel_manager=SimpleNamespace(sentinels=sentinels), service_name="ledger")
    replicas = OfSentinels(cast("Any", pool))
    await replicas.write(master)
    assert await replicas.names(MASTER, master) == {"10.0.0.2:6379"}
    for sentinel, sees in zip(sentinels, (CHOSEN, GONE, GONE), strict=True):
        sentinel.sees = THERE, sees
    await replicas.write(master)
    assert await replicas.names(MASTER, master) == {"10.0.0.2:6379", "10.0.0.3:6379"}


async def test_one_sentinel_is_no_majority_however_often_it_is_asked() -> None:
    """`make chaos TOPOLOGY=sentinel` found it: of three, redis-py had lost one and asked another twice.

    It stood beside a master that was parted from its replicas, and had found them away. So the master was confirmed by
    the first one that was back, while the other had been promoted.
    """
    parted, there = Sentinel(), Sentinel()
    parted.sees, there.sees = (THERE, DOWN), (THERE, THERE)
    manager = SimpleNamespace(sentinels=[parted, parted, there])
    replicas = OfSentinels(cast("Any", SimpleNamespace(sentinel_manager=manager, service_name="ledger")))
    await replicas.write(master)
    assert await replicas.names(MASTER, master) == {"10.0.0.2:6379", "10.0.0.3:6379"}


@pytest.mark.parametrize(
    ("said", "count"),
    [
        ([says(THERE, UNTOLD)] * 3, 2),  # it has been told since they asked it
        ([says(THERE)] * 2 + [says(THERE, THERE)], 2),  # two have not heard of it yet
        ([says(THERE, DOWN)] * 2 + [says(THERE, UNTOLD)], 1),  # it is gone again, and its connection still open
        ([says(THERE, NEVER)] * 3, 1),
    ],
)
def test_a_replica_that_follows_has_to_confirm_before_the_sentinels_know_it(said: list[Said], count: int) -> None:
    """They ask for its state every ten seconds, and one may ask, and promote it, before the others."""
    assert len(promotable(said, MASTER, sentinels=3, online={"10.0.0.2:6379", "10.0.0.3:6379"})) == count


def test_a_replica_that_has_become_the_master_need_not_confirm_itself() -> None:
    """The Sentinel that promoted it has it among the replicas until the others follow it."""
    promoting = says(CHOSEN, THERE, master=("10.0.0.2", 6379))
    others = [says({"name": "10.0.0.3:6379", **THERE}, master=("10.0.0.2", 6379))] * 2
    assert promotable([promoting, *others], ("10.0.0.2", 6379), sentinels=3) == {"10.0.0.3:6379"}


def test_without_a_majority_of_the_sentinels_nobody_is_left_out() -> None:
    """`make chaos TOPOLOGY=sentinel` found it: on a busy machine none answered in time, and no replica was named."""
    known = {"10.0.0.2:6379", "10.0.0.3:6379", "10.0.0.1:6379"}
    both = known - {"10.0.0.1:6379"}
    assert promotable([], MASTER, 3, known=known) == both
    assert promotable([says(DOWN)], MASTER, 3, known=known) == both
    with pytest.raises(ReplicasMissing, match="no Sentinel says"):
        promotable([], MASTER, 3)


def test_a_master_that_most_sentinels_have_replaced_confirms_nothing() -> None:
    with pytest.raises(ReplicasMissing, match="have another master"):
        promotable([says(THERE, THERE, master=OTHER)] * 2 + [says(THERE, THERE)], MASTER, sentinels=3)


def test_others_do_not_confirm_for_those_that_could_be_promoted() -> None:
    """`make chaos TOPOLOGY=sentinel` found it: a master was frozen, and one of its replicas promoted.

    The other one, which the Sentinels had found away, came back just then and joined the former master. One of one
    replicas had confirmed: not the one that counted.
    """
    replication = Replication(
        b"role:master\r\nconnected_slaves:3\r\n"
        b"slave0:ip=10.0.0.2,port=6379,state=online,offset=107,lag=0\r\n"
        b"slave1:ip=10.0.0.3,port=6379,state=online,offset=95,lag=1\r\n"
        b"slave2:ip=10.0.0.4,port=6379,state=send_bulk,offset=0,lag=0\r\n"
        b"master_replid:0123456789abcdef0123456789abcdef01234567\r\nmaster_repl_offset:107\r\n"
    )
    assert replication.have({"10.0.0.2:6379"}, 100)
    assert not replication.have({"10.0.0.3:6379"}, 100), "it lags behind"
    assert not replication.have({"10.0.0.9:6379"}, 100), "it follows another master by now"
    assert replication.have({"10.0.0.2:6379", "10.0.0.3:6379"}, 95)
    assert replication.offset == 107
    assert replication.copying == frozenset({"10.0.0.4:6379"})
    assert replication.history.startswith(b"0123")
