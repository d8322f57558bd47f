"""What schemathesis has to know of this API beyond its description."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import uuid4

import schemathesis
from hypothesis import strategies

from tests.lengths import LONG
from tests.made_media import film, picture

HEADER = "Idempotency-Key"

# What would spoil all later calls with acme's key, or with spare's members, and the account to do it to instead: orders
# of a paused account are refused with 503, an erased one has neither keys nor members, and who hands over may not buy.
ELSEWHERE = {"/pause": "spare", "/person": "erased", "/owner": "spare"}

# What the coverage of a description makes for each field and path again: half of all cases. The short form sends a
# third of each. Odd texts and numbers are sent in each field by tests/api, too.
OFTEN = {
    "incorrect_type",
    "invalid_pattern",
    "object_unexpected_properties",
    "string_above_max_length",
    "unspecified_http_method",
}
SENT_OF = 1 if LONG else 3
made: Counter[str] = Counter()

# The schema of a body that is a file does not say what is in one.
WHOLE = (
    *(picture(kind) for kind in ("PNG", "JPEG", "WEBP", "GIF")),
    film(),
    film("webm", "libvpx-vp9"),
    film("mov"),
)
schemathesis.openapi.media_type(
    "application/octet-stream",
    strategies.sampled_from([*WHOLE, *(whole[: len(whole) // 2] for whole in WHOLE), b"", b"words"]),
)


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Close the shapes of answers, which leave room for members of later versions: this one sends what it says."""
    del context
    for schema in raw_schema["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)


@schemathesis.hook
def filter_case(context: Any, case: schemathesis.Case[Any]) -> bool:
    """Leave out most of what is made often."""
    del context
    scenario = None if case.meta is None else getattr(case.meta.phase.data, "scenario", None)
    if scenario not in OFTEN:
        return True
    made[scenario] += 1
    return made[scenario] % SENT_OF == 0


@schemathesis.hook
def before_call(context: Any, case: schemathesis.Case[Any], kwargs: Any) -> None:
    """Give each call that is valid an idempotency key of its own: a made-up one repeats, and the call is refused.

    And leave the accounts alone that others need.
    """
    del context, kwargs
    other = ELSEWHERE.get(case.path[case.path.rfind("/") :])
    if other is not None and case.path_parameters.get("account") in {"acme", "spare"}:
        case.path_parameters["account"] = other
    if case.meta is not None and case.meta.generation.mode.is_positive and HEADER in (case.headers or {}):
        case.headers[HEADER] = uuid4().hex


@schemathesis.hook
def filter_failure(context: Any, failure: Exception, case: Any, response: schemathesis.Response) -> bool:
    """Keep a failure, unless valid data was refused for what the gateway holds: a plan that is not sold, a balance.

    No description can say that. What the reading of a body or a query refuses is in the description, or it is a fault.
    """
    del context, case
    if type(failure).__name__ != "RejectedPositiveData":
        return True
    error = response.json()["error"]
    if "must be after created_after" in error["message"]:  # two parameters, which no schema compares
        return False
    return error["code"] == "invalid_json" or " is invalid: " in error["message"]
