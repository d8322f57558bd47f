"""Recognizes moderation in vendors' responses: by a code, the presence of a field, or a message.

Many of these arrive through another vendor's API: Google's codes in a job of fal, through an OpenAI-compatible gateway,
or passed on by an operator's own server. So all providers use this module. An unrecognized refusal would be retried,
and some vendors count refusals.

Sources: Google's `FinishReason`, `BlockedReason` and `raiMediaFiltered…` (Gemini, Veo, Imagen), OpenAI's and Azure's
error codes, fal's error types, Replicate's E005, Runway's `SAFETY.…`, Black Forest Labs' statuses, ByteDance's and
Alibaba's codes.
"""

from __future__ import annotations

import re

from workers.providers.values import nodes

MODERATED = re.compile(
    r"""
    \bnsfw\b | \bsafety\b | \bE005\b | flagged | moderat(?:ed|ion|or)\b | sensitive[ ](?:content|words?|information)
    | content[ _-]?(?:policy|filter) | \bcontent[ ]filtered\b | responsible[ ]ai\b | SensitiveContentDetected
    | DataInspectionFailed | prohibited[ _]content | filtered[ ]out[ ]because
    | violat\w*\b[^.]{0,80}\b(?:polic(?:y|ies)|guidelines|practices)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""For messages. Does not match settings such as `safety_tolerance`."""

_CODES = frozenset(
    {
        *("safety", "imagesafety", "prohibitedcontent", "imageprohibitedcontent", "recitation", "imagerecitation"),
        *("blocklist", "spii", "jailbreak", "modelarmor", "rai"),
        *("moderated", "moderationblocked", "moderation", "modelmoderated", "contentmoderation", "contentmoderated"),
        *("requestmoderated", "contentpolicyviolation", "contentpolicy", "contentfilter", "contentfiltered"),
        *("responsibleaipolicyviolation", "datainspectionfailed", "sensitivewordsdetected", "nsfw", "nsfwcontent"),
    }
)
_CODE = re.compile(r"safety\.|input_preprocessing\.safety|\w*sensitivecontentdetected", re.IGNORECASE)
_CODE_CHARACTERS_MAX = 100
_CODE_NAMES = frozenset({"code", "type", "errortype", "status", "reason", "finishreason", "failurecode", "innererror"})
_BLOCKED_NAMES = frozenset({"blockreason", "raifilteredreason", "raimediafilteredreasons"})
_NO_REASON = frozenset({"", "blockreasonunspecified", "blockedreasonunspecified", "none"})


def is_moderated(document: object) -> bool:
    """Whether the codes and fields of a response without outputs say that a filter refused it.

    Messages are not searched: callers that know which text is a message use `MODERATED`.
    """
    return any(_says_so(_plain(name), value) for name, value in nodes(document))


def _says_so(name: str, value: object) -> bool:
    if name in _BLOCKED_NAMES:
        return isinstance(value, str) and _plain(value) not in _NO_REASON
    if name == "raimediafilteredcount":
        return isinstance(value, int) and value > 0
    if name == "respectmoderation":
        return value is False  # xAI: with 200, and without an image
    if name not in _CODE_NAMES or not isinstance(value, str) or len(value) > _CODE_CHARACTERS_MAX:
        return False
    return _plain(value).removeprefix("finishreason") in _CODES or _CODE.match(value) is not None


def _plain(word: str) -> str:
    """A code or field name without case and separators, which differ by vendor: `IMAGE_SAFETY`, `imageSafety`."""
    return re.sub(r"[^a-z0-9]", "", word[: 2 * _CODE_CHARACTERS_MAX].casefold())
