"""Every error response of the API: one class per code, with its status.

```
ApiError
├── 400  InvalidJson · InvalidHttp
├── 401  InvalidKey
├── 402  InsufficientCredits · LimitReached
├── 403  Forbidden · KeyRestricted · SubscriptionRequired · PlanLimitExceeded
├── 404  NotFound
├── 405  MethodNotAllowed
├── 408  BodyTooSlow
├── 409  PriceAboveCeiling · QuoteExpired
├── 413  BodyTooLarge
├── 416  RangeNotSatisfiable
├── 422  InvalidRequest · SettingsRefused · UnknownModel · IdempotencyKeyReused · QuoteMismatch
├── 429  WaitingRoomFull · RateLimited
├── 431  HeadersTooLarge
├── 500  InternalError
└── 503  LedgerDown · QueueDown · NoWorker · Paused · StoreDown · PaymentsDown · ProviderDown · Overloaded
```

The class docstring is what `/docs` says about the code. The message is written where the error is raised, for the
person who has to do something about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar, Generic, TypeVar

from gateway.api import limits
from gateway.errors import FieldProblem
from gateway.outside.visible import visible
from gateway.schemas.base import Answer
from gateway.schemas.errors import (
    InsufficientCreditsDetails,
    InvalidRequestDetails,
    KeyRestrictedDetails,
    LimitReachedDetails,
    PausedDetails,
    PlanLimitDetails,
    PriceAboveCeilingDetails,
    RateLimitedDetails,
    SubscriptionRequiredDetails,
    WaitingRoomFullDetails,
)

D = TypeVar("D", bound=Answer)
Fields = Sequence[FieldProblem]

RETRY_AFTER_SECONDS = 2
PAUSED_RETRY_SECONDS = 60  # until an operator acts
STORE_RETRY_SECONDS = 30  # room comes back when an operator acts or files expire, not in a moment


class ApiError(Exception):
    """An error response.

    `fields_omitted`: how many more fields are invalid than `fields` lists. Those beyond the limit are added to it.
    """

    status: ClassVar[int]
    code: ClassVar[str]
    shape: ClassVar[type[Answer] | None] = None
    retry_after_seconds: ClassVar[int] = RETRY_AFTER_SECONDS  # of a 503
    details: Answer | None = None

    def __init__(
        self,
        message: str,
        *,
        fields: Fields = (),
        fields_omitted: int = 0,
        headers: Mapping[str, str] | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.fields = tuple(fields)
        self.fields_omitted = fields_omitted
        self.headers = dict(headers or {})
        if self.status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.headers["Retry-After"] = str(retry_after_seconds or self.retry_after_seconds)

    def envelope(self, request_id: str) -> dict[str, Any]:
        """The body: `{"error": {"code", "message", "request_id", "fields"?, "fields_omitted"?, …}}`."""
        error: dict[str, Any] = {"code": self.code, "message": _said(self.message), "request_id": request_id}
        if self.fields:
            error["fields"] = [_shown(problem) for problem in self.fields[: limits.FAULTS_MAX]]
        omitted = self.fields_omitted + max(0, len(self.fields) - limits.FAULTS_MAX)
        if omitted:
            error["fields_omitted"] = omitted
        if self.details is not None:
            error |= self.details.model_dump(mode="json", exclude_unset=True)
        return {"error": error}


class DetailedError(ApiError, Generic[D]):
    """An error whose code has members of its own: its class says which, as `shape`."""

    def __init__(
        self, message: str, details: D, *, fields: Fields = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, fields=fields, headers=headers)
        self.details = details


class InvalidJson(ApiError):
    """The body is not valid JSON, or repeats a key. Nothing was done; fix the body and send it again."""

    status = 400
    code = "invalid_json"


class InvalidHttp(ApiError):
    """The request is not valid HTTP/1.1: its request line, a header, or the encoding of its body."""

    status = 400
    code = "invalid_http"


class InvalidKey(ApiError):
    """The API key is missing, invalid or revoked. Send `Authorization: Bearer fbx_…` with a valid key."""

    status = 401
    code = "invalid_key"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"WWW-Authenticate": 'Bearer realm="farebox"'})


class InsufficientCredits(DetailedError[InsufficientCreditsDetails]):
    """The account does not have enough credits available. `ways_out` says how to get more; nothing was reserved."""

    status = 402
    code = "insufficient_credits"
    shape = InsufficientCreditsDetails


class LimitReached(DetailedError[LimitReachedDetails]):
    """The price exceeds what is left of the key's or its member's limit until `resets_at`. Nothing was reserved."""

    status = 402
    code = "limit_reached"
    shape = LimitReachedDetails


class Forbidden(ApiError):
    """The key is valid but may not make this call. The message says which kind of key or which setting it needs."""

    status = 403
    code = "forbidden"


class KeyRestricted(DetailedError[KeyRestrictedDetails]):
    """The key may not be used for this tool or model, or from this network. `allowed` lists the tools or models."""

    status = 403
    code = "key_restricted"
    shape = KeyRestrictedDetails


class SubscriptionRequired(ApiError):
    """This requires an active subscription. Subscribe, or choose another model; nothing was reserved."""

    status = 403
    code = "subscription_required"
    shape = SubscriptionRequiredDetails

    def __init__(self, message: str, details: SubscriptionRequiredDetails | None = None) -> None:
        super().__init__(message)
        self.details = details


class PlanLimitExceeded(DetailedError[PlanLimitDetails]):
    """The account's plan does not allow this value of a setting. `allowed` lists the values it allows."""

    status = 403
    code = "plan_limit"
    shape = PlanLimitDetails


class NotFound(ApiError):
    """The resource does not exist, or belongs to another account."""

    status = 404
    code = "not_found"


class MethodNotAllowed(ApiError):
    """The path exists but does not support this method. The `Allow` header lists the methods it supports."""

    status = 405
    code = "method_not_allowed"


class BodyTooSlow(ApiError):
    """The body did not arrive within a minute, or the time allowed for its size. Nothing was done; reconnect."""

    status = 408
    code = "body_too_slow"


class PriceAboveCeiling(DetailedError[PriceAboveCeilingDetails]):
    """The price is above the request's `max_credits`. `price` is the actual price; nothing was reserved."""

    status = 409
    code = "price_above_ceiling"
    shape = PriceAboveCeilingDetails


class QuoteExpired(ApiError):
    """The quote has expired: quotes are valid for ten minutes. Request a new one; nothing was reserved."""

    status = 409
    code = "quote_expired"


class BodyTooLarge(ApiError):
    """The body is over 1 MiB (64 KiB without a key; uploads 50 MiB). Upload large inputs, or pass `https:` URLs."""

    status = 413
    code = "body_too_large"


class RangeNotSatisfiable(ApiError):
    """The `Range` lies outside the output. `Content-Range` gives its size."""

    status = 416
    code = "range_not_satisfiable"


class InvalidRequest(ApiError):
    """The body, the query or a header is invalid. `fields` lists what to change."""

    status = 422
    code = "invalid_request"
    shape = InvalidRequestDetails

    def __init__(
        self,
        message: str,
        details: InvalidRequestDetails | None = None,
        *,
        fields: Fields = (),
        fields_omitted: int = 0,
    ) -> None:
        super().__init__(message, fields=fields, fields_omitted=fields_omitted)
        self.details = details


class SettingsRefused(ApiError):
    """The model does not accept these settings, inputs or number of outputs. `fields` says what it accepts."""

    status = 422
    code = "invalid_settings"


class UnknownModel(ApiError):
    """No such tool or model. `GET /v1/rate-card` lists all of them."""

    status = 422
    code = "unknown_model"


class IdempotencyKeyReused(ApiError):
    """This `Idempotency-Key` was already used for a different request. Use a new key for a new request."""

    status = 422
    code = "idempotency_key_reused"


class QuoteMismatch(ApiError):
    """The quote is for a different request. `fields` lists the differences; request a new quote."""

    status = 422
    code = "quote_mismatch"


class WaitingRoomFull(DetailedError[WaitingRoomFullDetails]):
    """The plan's limit of waiting generations is reached. Retry after `Retry-After`; nothing was reserved."""

    status = 429
    code = "waiting_room_full"
    shape = WaitingRoomFullDetails


class RateLimited(ApiError):
    """Too many requests, streams, uploads, invalid keys, or connections from one address. Retry after `Retry-After`."""

    status = 429
    code = "rate_limited"
    shape = RateLimitedDetails

    def __init__(self, message: str, details: RateLimitedDetails | None = None, *, headers: Mapping[str, str]) -> None:
        super().__init__(message, headers=headers)
        self.details = details


class HeadersTooLarge(ApiError):
    """The request line or a header is longer than 8,190 bytes, or there are more than 128 headers."""

    status = 431
    code = "headers_too_large"


class InternalError(ApiError):
    """An unexpected error on our side. Quote the `request_id` when you contact the operator."""

    status = 500
    code = "internal"


class LedgerDown(ApiError):
    """The ledger did not respond. The request may have taken effect: retry it with the same `Idempotency-Key`."""

    status = 503
    code = "ledger_unavailable"


class QueueDown(ApiError):
    """The queue did not respond. The request may have taken effect: retry it with the same `Idempotency-Key`."""

    status = 503
    code = "queue_unavailable"


class StoreDown(ApiError):
    """Files cannot be stored or read right now: the object store is full or unavailable. Retry after `Retry-After`."""

    status = 503
    code = "store_unavailable"
    retry_after_seconds = STORE_RETRY_SECONDS


class PaymentsDown(ApiError):
    """The payment provider is not responding. Nothing was bought or changed; retry after `Retry-After`."""

    status = 503
    code = "payments_unavailable"


class NoWorker(ApiError):
    """No worker for this model is running, and none has been for a while. Nothing was reserved; retry later."""

    status = 503
    code = "no_worker"
    retry_after_seconds = STORE_RETRY_SECONDS


class Paused(ApiError):
    """The operator has paused this tool, model or account. Nothing was reserved; retry later."""

    status = 503
    code = "paused"
    shape = PausedDetails
    retry_after_seconds = PAUSED_RETRY_SECONDS

    def __init__(self, message: str, details: PausedDetails, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)
        self.details = details


class ProviderDown(ApiError):
    """A provider's signing keys cannot be fetched, so its callback cannot be verified. The provider may retry."""

    status = 503
    code = "provider_unavailable"


class Overloaded(ApiError):
    """The gateway has too many open connections. Nothing was done; retry after `Retry-After`."""

    status = 503
    code = "overloaded"


def _shown(problem: FieldProblem) -> dict[str, str]:
    return {"path": _said(problem.path, limits.FAULT_PATH_MAX_CHARACTERS), "message": _said(problem.message)}


def _said(text: str, most: int = limits.FAULT_MAX_CHARACTERS) -> str:
    text = visible(text)
    return text if len(text) <= most else f"{text[:most]}…"


def internal_error() -> InternalError:
    """The response for a bug of ours."""
    return InternalError(
        "Something went wrong on our side. Try again; if it persists, contact the operator and quote the request_id."
    )


def error_classes() -> tuple[type[ApiError], ...]:
    """Every error class, by status, for `/openapi.json` and the tests."""
    classes = [*ApiError.__subclasses__(), *DetailedError.__subclasses__()]
    classes.remove(DetailedError)
    return tuple(sorted(classes, key=lambda error: (error.status, error.code)))
