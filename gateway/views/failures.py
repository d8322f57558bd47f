"""The error messages of failed generations: what happened, what happened to the credits, and what to do."""

from __future__ import annotations

from gateway.domain import FailureCode, format_credits
from gateway.ledger import outcomes

_WHAT_AND_WHAT_TO_DO: dict[FailureCode, tuple[str, str]] = {
    FailureCode.PROVIDER_REJECTED: (
        "The model's provider rejected the request.",
        "Change the prompt, the settings or the inputs, or choose another model.",
    ),
    FailureCode.PROVIDER_FAILED: (
        "The model's provider failed to generate the output.",
        "Retry, or choose another model.",
    ),
    FailureCode.PROVIDER_TIMEOUT: (
        "The model's provider did not return a result in time.",
        "Retry later, or choose another model.",
    ),
    FailureCode.OUTPUT_UNUSABLE: (
        "The model's provider delivered something other than what was requested.",
        "Choose other settings or another model.",
    ),
    FailureCode.STORE_UNAVAILABLE: (
        "This generation's files could not be stored or read in time.",
        "Retry later.",
    ),
    FailureCode.MODERATED: (
        "The model provider's content policy rejected the prompt, an input or the result.",
        "Change the prompt or the inputs.",
    ),
    FailureCode.WORKER_LOST: (
        "The worker processing this generation was lost, and no further attempt succeeded.",
        "Retry.",
    ),
    FailureCode.QUEUE_TIMEOUT: (
        "The generation was not started in time: no worker was free.",
        "Retry later.",
    ),
    FailureCode.WAITING_TIMEOUT: (
        "The generation waited too long behind this account's other generations.",
        "Retry, or send fewer generations at a time.",
    ),
    FailureCode.INTERNAL: (
        "Something went wrong on our side.",
        "Retry; if it fails again, contact the operator and quote this generation's id.",
    ),
}


def failure_message(generation: outcomes.Generation) -> str:
    """The message for a failure; it never contains the provider's own text."""
    if generation.error is None:
        return ""
    what, what_to_do = _WHAT_AND_WHAT_TO_DO[generation.error]
    return f"{what} {_credits_sentence(generation)} {what_to_do}"


def _credits_sentence(generation: outcomes.Generation) -> str:
    refunded = format_credits(generation.refunded_millicredits)
    if generation.committed_millicredits:
        charged = format_credits(generation.committed_millicredits)
        delivered = f"{len(generation.outputs)} of {generation.request.outputs} outputs"
        return f"{delivered} were delivered and charged ({charged} credits); {refunded} credits were returned."
    if generation.refunded_millicredits:
        return f"Nothing was charged: all {refunded} credits were returned."
    return "Nothing was charged."
