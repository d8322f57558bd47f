"""R31, from the raw keys: margin is what generations committed, less what was given back, and what they cost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping

COSTS = ("generations", "cost", "reported", "compared", "beside", "losses", "unknown")
OTHER = "other"

Rows = Mapping[str, Mapping[str, str]]
"""By day."""


def check_margin(generations: Mapping[str, Mapping[str, str]], days: Rows) -> None:
    """Credits by day, model, provider, bucket and worth; costs by model and provider, over all days.

    How a cost is divided among buckets is the model's to know.
    """
    booked = {name: g for name, g in generations.items() if "booked" in g}
    rounded = any(name.endswith(f"|{OTHER}") or name.startswith(f"{OTHER}|") for rows in days.values() for name in rows)
    found, expected = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
    for day, rows in days.items():
        for name, text in rows.items():
            place = tuple(name.split("|"))
            if len(place) > len(("model", "provider", "bucket")):
                found[day, *place] += int(text.split(",")[0])
    for g in booked.values():
        for earned, amount in _earned(g):
            expected[earned] += amount
    unlike = rounded or any(g.get("given_back", g["committed"]) != g["committed"] for g in booked.values())
    if unlike:  # rows of others, or a purchase's share that nobody was given back: by day only
        found, expected = _by_day(found), _by_day(expected)
    assert _some(found) == _some(expected), f"margin: {_some(found)}, and not {_some(expected)}"
    if not rounded:
        assert _some(_costs_in(days)) == _some(_costs_of(generations)), "what was booked as costs"


def _earned(g: Mapping[str, str]) -> Iterator[tuple[tuple[str, ...], int]]:
    """What each share of the allocation earned on which day: the first drawn is committed first."""
    left, of = int(g["committed"]), (g["model"], _provider(g))
    worths = g.get("worth", "").split(",")
    for index, share in enumerate(part.split(":") for part in g["allocation"].split(",") if part):
        bucket, grant, amount = share
        kept = min(int(amount), left)
        left -= kept
        usual = "0" if grant[0] in "do" or (grant[0], bucket) == ("r", "f") else "?"
        worth = (worths[index] if index < len(worths) else "") or usual
        yield (g["booked"], *of, bucket, worth), kept
        if g.get("given_back") == g["committed"]:
            yield (g["given_back_on"], *of, bucket, worth), -kept
    if "given_back" in g and g["given_back"] != g["committed"]:
        yield (g["given_back_on"], *of, "", ""), -int(g["given_back"])


def _costs_in(days: Rows) -> Counter[tuple[str, ...]]:
    found = Counter[tuple[str, ...]]()
    for rows in days.values():
        for name, text in rows.items():
            model, provider, *rest = name.split("|")
            if len(rest) == 1:
                for count, number in zip(COSTS, text.split(","), strict=True):
                    found[model, provider, count] += int(number)
    return found


def _costs_of(generations: Mapping[str, Mapping[str, str]]) -> Counter[tuple[str, ...]]:
    found = Counter[tuple[str, ...]]()
    for g in generations.values():
        of, unknown, ended = (g["model"], _provider(g)), 0, "booked" in g
        found[*of, "generations"] += ended
        for name, text in g.items():
            kind = name.partition(":")[0]
            if not ended and kind != "late":
                continue
            unknown += kind == "output" and name.replace("output", "cost") not in g
            if kind in {"cost", "lost", "late"}:
                for one in filter(None, text.split(";")):  # empty: what the job cost is not known
                    provider, *amounts = one.split(",")
                    found.update(_counts((g["model"], provider), *amounts, lost=kind != "cost"))
        if "given_back" in g:
            for provider, cost in _delivered(g).items():
                found[g["model"], provider, "losses"] += cost * int(g["given_back"]) // int(g["committed"])
        found[*of, "unknown"] += bool(unknown)
    return found


def _delivered(g: Mapping[str, str]) -> Counter[str]:
    found = Counter[str]()
    for name, text in g.items():
        if name.startswith("cost:"):
            provider, assumed, reported = text.split(",")
            found[provider] += int(reported or assumed)
    return found


def _counts(of: tuple[str, str], assumed: str, reported: str, *, lost: bool) -> dict[tuple[str, ...], int]:
    cost = int(reported or assumed)
    both = bool(assumed and reported)
    return {
        (*of, "cost"): cost,
        (*of, "losses"): cost * lost,
        (*of, "reported"): int(reported or 0),
        (*of, "compared"): int(reported) if both else 0,
        (*of, "beside"): int(assumed) if both else 0,
    }


def _provider(g: Mapping[str, str]) -> str:
    provider: str = json.loads(g["request"])["provider"]
    return provider


def _by_day(amounts: Counter[tuple[str, ...]]) -> Counter[tuple[str, ...]]:
    found = Counter[tuple[str, ...]]()
    for (day, *_), amount in amounts.items():
        found[day,] += amount
    return found


def _some(amounts: Counter[tuple[str, ...]]) -> dict[tuple[str, ...], int]:
    return {name: amount for name, amount in amounts.items() if amount}
