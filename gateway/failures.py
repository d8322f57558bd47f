"""What a failed generation's error says: what happened, what became of the credits, what to do."""

from __future__ import annotations

from gateway.domain import FailureCode, format_credits
from gateway.ledger import outcomes as o

_WHAT_AND_WHAT_TO_DO: dict[FailureCode, tuple[str, str]] = {
    FailureCode.PROVIDER_REJECTED: (
        "The provider of this model did not accept the request.",
        "Change the prompt, the settings or the inputs, or choose another model.",
    ),
    FailureCode.PROVIDER_FAILED: (
        "The provider of this model tried and failed.",
        "Send the request again, or choose another model.",
    ),
    FailureCode.PROVIDER_TIMEOUT: (
        "The provider of this model gave no result in time.",
        "Send the request again later, or choose another model.",
    ),
    FailureCode.OUTPUT_UNUSABLE: (
        "The provider of this model delivered something other than what was ordered.",
        "Choose other settings or another model.",
    ),
    FailureCode.STORE_UNAVAILABLE: (
        "The files of this generation could not be stored or read in time.",
        "Send the request again later.",
    ),
    FailureCode.MODERATED: (
        "The content rules of this model's provider refused the prompt, an input or the result.",
        "Change the prompt or the inputs.",
    ),
    FailureCode.WORKER_LOST: (
        "The machine that worked on it was lost, and no further attempt succeeded.",
        "Send the request again.",
    ),
    FailureCode.QUEUE_TIMEOUT: (
        "It could not be started in time: the queue was too long.",
        "Send the request again later.",
    ),
    FailureCode.WAITING_TIMEOUT: (
        "It waited too long behind this account's other generations.",
        "Send fewer at a time, or this one again now.",
    ),
    FailureCode.INTERNAL: (
        "Something went wrong on our side.",
        "Send the request again; if it fails again, give this generation's id to whoever runs this gateway.",
    ),
}


def failure_message(generation: o.Generation) -> str:
    """What a person needs to know of a failure; the provider's own words are never in it."""
    if generation.error is None:
        return ""
    what, what_to_do = _WHAT_AND_WHAT_TO_DO[generation.error]
    return f"{what} {_credits_sentence(generation)} {what_to_do}"


def _credits_sentence(generation: o.Generation) -> str:
    refunded = format_credits(generation.refunded_millicredits)
    if generation.committed_millicredits:
        charged = format_credits(generation.committed_millicredits)
        delivered = f"{len(generation.outputs)} of {generation.request.outputs} outputs"
        return f"{delivered} were delivered and charged with {charged} credits; {refunded} were returned."
    if generation.refunded_millicredits:
        return f"Nothing was charged: all {refunded} credits were returned."
    return "Nothing was charged."
