"""The words of the product as frozen types: ids, enums, amounts, records.

It imports no other Farebox module but `gateway.kinds` and `gateway.metering`, the leaves of the import tree. Amounts
are integer millicredits everywhere inside (1 credit = 1000 millicredits); they become credits only at the edges, by the
two functions here. Times are integer milliseconds since the epoch, UTC.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeVar, dataclass_transform

from gateway.kinds import MediaKind, kind_asked
from gateway.metering import Metering, Reports

MILLICREDITS_PER_CREDIT = 1000

# Lua numbers are doubles, exact to 2^53 (about 9.0e15). The largest single amount is a thousandth of that, so that
# sums over a thousand of them stay exact: 9e12 millicredits, nine thousand million credits.
AMOUNT_MAX_MILLICREDITS = 9_000_000_000_000

_ACCOUNTS_KEPT = 4096  # cached partitions: each request needs its account's, some twice

# These patterns also go into the OpenAPI description, so `$` means what it means in JavaScript; Python's also matches
# before a trailing newline. To check an id, call the functions below.
ACCOUNT_PATTERN = (  # 1 to 64 of these characters, except `.` and `..`, which a URL path resolves
    r"^(?:[A-Za-z0-9_@-][A-Za-z0-9_.@-]{0,63}|\.[A-Za-z0-9_@-][A-Za-z0-9_.@-]{0,62}|\.\.[A-Za-z0-9_.@-]{1,62})$"
)
GENERATION_PATTERN = r"^gen_[0-9a-f]{2}[a-z2-7]{24}$"
ALL_ACCOUNTS = "*"
"""In place of an account's id: the owner of operators' webhooks."""
WEBHOOK_PATTERN = r"^whk_[a-z2-7]{24}$"
EVENT_PATTERN = r"^evt_[0-9a-f]{26}$"
MEMBER_PATTERN = r"^mem_[a-z2-7]{24}$"
_ACCOUNT, _GENERATION, _WEBHOOK, _EVENT, _MEMBER = map(
    re.compile, (ACCOUNT_PATTERN, GENERATION_PATTERN, WEBHOOK_PATTERN, EVENT_PATTERN, MEMBER_PATTERN)
)

# Of each six bits five: 24 letters and digits with 120 bits of the digest, in a twelfth of the time of `b32encode`.
_FIVE_BITS = bytes.maketrans(
    f"{string.ascii_uppercase}{string.ascii_lowercase}{string.digits}+/".encode(),
    2 * f"{string.ascii_lowercase}234567".encode(),
)

SettingValue = str | int | bool | Decimal
"""A setting's value in a request: `"2K"`, `5`, `True` or, for a fractional step, a Decimal."""

T = TypeVar("T")


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """A frozen dataclass of many fields that each create makes: mypy refuses to set them, Python does not.

    With `frozen=True` Python sets each field by a call, which takes two thirds of making a generation of 40.
    """
    return dataclass(slots=True, kw_only=True)(cls)


class Bucket(StrEnum):
    """The class of a credit, in burn order (R5)."""

    FREE = "free"
    SUBSCRIPTION = "subscription"
    TOP_UP = "top_up"


class State(StrEnum):
    """A generation's state; `gateway.transitions` has the legal moves."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN_STATES = frozenset({State.WAITING, State.QUEUED, State.RUNNING})
FINAL_STATES = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})


class FailureCode(StrEnum):
    """Why a generation failed. `gateway.transitions` says which are tried again, and why."""

    PROVIDER_REJECTED = "provider_rejected"
    PROVIDER_FAILED = "provider_failed"
    PROVIDER_TIMEOUT = "provider_timeout"
    OUTPUT_UNUSABLE = "output_unusable"
    STORE_UNAVAILABLE = "store_unavailable"
    MODERATED = "moderated"
    WORKER_LOST = "worker_lost"
    QUEUE_TIMEOUT = "queue_timeout"
    WAITING_TIMEOUT = "waiting_timeout"
    INTERNAL = "internal"


class EntryKind(StrEnum):
    """What happened to credits, as the journal records it."""

    RESERVE = "reserve"
    COMMIT = "commit"
    REFUND = "refund"
    GRANT = "grant"
    RESET = "reset"
    REFRESH = "refresh"
    EXPIRE = "expire"
    LAPSE = "lapse"
    REVOKE = "revoke"
    ADJUST = "adjust"
    CHANGE = "change"
    ALERT = "alert"


class Interval(StrEnum):
    """How often a subscription is billed: every 1, 3 or 12 monthly cycles."""

    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    YEARLY = "yearly"


class LimitPeriod(StrEnum):
    """How often the limit of a key or a member resets (R26): in the card's time zone, weeks on Mondays."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    NEVER = "never"


class PauseKind(StrEnum):
    """What operators can pause (R36)."""

    ACCOUNT = "account"
    TOOL = "tool"
    MODEL = "model"
    PROVIDER = "provider"


class NewOnes(StrEnum):
    """What happens to what is new while it is paused (R36)."""

    REFUSE = "refuse"
    WAIT = "wait"


class EventType(StrEnum):
    """The events that webhooks can subscribe to."""

    GENERATION_RUNNING = "generation.running"
    GENERATION_SUCCEEDED = "generation.succeeded"
    GENERATION_FAILED = "generation.failed"
    GENERATION_CANCELLED = "generation.cancelled"
    CREDITS_LOW = "credits.low"
    CREDITS_EXHAUSTED = "credits.exhausted"
    TOP_UP_PAID = "top_up.paid"
    SUBSCRIPTION_CHANGED = "subscription.changed"


class WebhookForm(StrEnum):
    """Whose webhooks a generation's own one looks like, if not ours."""

    REPLICATE = "replicate"
    FAL = "fal"


class Scope(StrEnum):
    """What a key may do: act for an account, a token little of it; or an operator's role (`api/access/roles.py`)."""

    ACCOUNT = "account"
    TOKEN = "token"  # noqa: S105 - its name
    OPS = "ops"
    VIEWER = "viewer"
    SUPPORT = "support"
    BILLING = "billing"
    WORKER = "worker"
    ADMIN = "admin"


class Role(StrEnum):
    """What a member of an account may do (R25), from least to most."""

    MEMBER = "member"
    ADMIN = "admin"
    OWNER = "owner"


@dataclass(frozen=True, slots=True)
class PriceLine:
    """One line of a quote. `credits` × `count` = `total`, exact credits (not yet rounded to millicredits)."""

    label: str
    credits: Decimal
    count: Decimal
    total: Decimal


class Cost(NamedTuple):
    """What something cost at a provider (R31), in micro-units of the card's currency: assumed, and as reported.

    None: unknown. What is reported counts; what is assumed beside it shows how far the card is off.
    """

    provider: str
    assumed: int | None = None
    reported: int | None = None

    @property
    def micro(self) -> int:
        """What counts; 0 if nothing is known."""
        return self.reported if self.reported is not None else self.assumed or 0


@dataclass(frozen=True, slots=True)
class Input:
    """An input image, video or audio: an `https:` URL, or the key of its bytes in the object store."""

    kind: str
    url: str


@record
class GenerationRequest:
    """What the client asked for and what it costs. Written once, at `reserve`; opaque to the scripts.

    `price_millicredits` is the firm price (R7); `rate_card` the version it came from; `sandbox` the test-mode
    controls of docs/design.md, section 6, or None. `settings` holds every setting of the model, defaults filled in.
    With `metering`, the price is the most that can be charged (R29). `output` is the kind of output that the tool named
    when it was reserved; None if it named none.
    """

    tool: str
    model: str
    provider: str
    prompt: str
    outputs: int
    price_millicredits: int
    rate_card: str
    settings: Mapping[str, SettingValue] = field(default_factory=dict)
    inputs: tuple[Input, ...] = ()
    lines: tuple[PriceLine, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    sandbox: Mapping[str, Any] | None = None
    provider_model: str | None = None
    metering: Metering | None = None
    providers: tuple[str, ...] = ()
    """All that may make it, if there are several (R30); `provider` is the one that makes it, or is next to."""
    output: MediaKind | None = None
    erased: bool = False
    """Whether what its account's person wrote was removed (R38)."""
    measures: Mapping[str, Decimal] = field(default_factory=dict)
    """What is known of the inputs, for measures that its cost depends on (R31)."""
    trace: str | None = None
    """The trace that it was ordered in, as `traceparent` has it; None: it was not traced."""

    @property
    def kind(self) -> MediaKind | None:
        """The kind of output requested; None if nothing tells."""
        return kind_asked(self.tool, self.settings, self.output)


class Volume(NamedTuple):
    """For how many outputs of its model, ordered before it in the month, a price holds; `most` None: no limit."""

    least: int
    most: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One delivered output. `object_key` says where in the object store.

    Images and videos have width and height, videos and audio a duration, text its number of characters.
    """

    index: int
    object_key: str
    content_type: str
    bytes: int
    sha256: str
    width: int | None = None
    height: int | None = None
    duration_seconds: Decimal | None = None
    reports: Reports = field(default_factory=dict)
    characters: int | None = None
    cost: Cost | None = None


@dataclass(frozen=True, slots=True)
class OwnWebhook:
    """A URL that receives the events of one generation; with `only`, just its start or just its end.

    `member` is what the caller knows the URL by, for a refusal.
    """

    url: str
    form: WebhookForm | None = None
    only: Literal["start", "end"] | None = None
    member: str = "webhook_url"


def credits_to_millicredits(amount: Decimal | int) -> int:
    """Turn credits into millicredits; ValueError unless it has at most three decimals."""
    scaled = Decimal(amount) * MILLICREDITS_PER_CREDIT
    if scaled != scaled.to_integral_value():
        msg = f"{amount} credits has more than three decimals"
        raise ValueError(msg)
    return int(scaled)


def millicredits_to_credits(millicredits: int | Decimal) -> Decimal:
    """Turn millicredits into credits, without trailing zeros: 73500 → Decimal('73.5'), 49000 → Decimal('49').

    A price on the card may have fractions of a millicredit, as a Decimal: they are kept.
    """
    whole, rest = divmod(millicredits, MILLICREDITS_PER_CREDIT)
    if rest == 0:
        return Decimal(whole)
    return (Decimal(millicredits) / MILLICREDITS_PER_CREDIT).normalize()


def format_credits(millicredits: int) -> str:
    """Credits as a person reads them: 15840000 → '15,840', 73500 → '73.5'."""
    return f"{millicredits_to_credits(millicredits):,f}"


def is_account_id(text: str) -> bool:
    """Whether a text is a valid account id."""
    return _ACCOUNT.fullmatch(text) is not None


def is_generation_id(text: str) -> bool:
    """Whether the whole text is a generation id."""
    return _GENERATION.fullmatch(text) is not None


def is_webhook_id(text: str) -> bool:
    """Whether a text is the id of a webhook."""
    return _WEBHOOK.fullmatch(text) is not None


def is_event_id(text: str) -> bool:
    """Whether a text is the id of an event."""
    return _EVENT.fullmatch(text) is not None


@lru_cache(maxsize=_ACCOUNTS_KEPT)
def partition_of_account(account: str, partitions: int) -> int:
    """The ledger partition of an account: the same on every machine and in every version."""
    return int.from_bytes(hashlib.sha256(account.encode()).digest()[:8]) % partitions


def partition_of_generation(generation: str) -> int:
    """The partition that a generation id carries in its first two digits."""
    if not is_generation_id(generation):
        msg = f"{generation!r} is not a generation id"
        raise ValueError(msg)
    return int(generation[4:6], 16)


def generation_id(partition: int, seed: str | None = None) -> str:
    """A generation id in `partition`: random, or derived from `seed` so that concurrent duplicates share one (R11)."""
    digest = hashlib.sha256(seed.encode()).digest()[:18] if seed is not None else secrets.token_bytes(18)
    return f"gen_{partition:02x}{binascii.b2a_base64(digest, newline=False).translate(_FIVE_BITS).decode()}"


def webhook_id(seed: str | None = None) -> str:
    """A webhook id: random, or derived from `seed` so that concurrent duplicates share one (R11)."""
    digest = hashlib.sha256(f"webhook\n{seed}".encode()).digest()[:15] if seed is not None else secrets.token_bytes(15)
    return f"whk_{base64.b32encode(digest).decode().lower()}"


def is_member_id(text: str) -> bool:
    """Whether a text is the id of a member."""
    return _MEMBER.fullmatch(text) is not None


def member_id(seed: str | None = None) -> str:
    """A member's id: random, or derived from `seed` so that concurrent duplicates share one (R11)."""
    digest = hashlib.sha256(f"member\n{seed}".encode()).digest()[:15] if seed is not None else secrets.token_bytes(15)
    return f"mem_{base64.b32encode(digest).decode().lower()}"


def operation_id(seed: str | None = None) -> str:
    """The id a caller gives an operation, so that a script run twice returns its first result (R11)."""
    return hashlib.sha256(seed.encode()).hexdigest()[:32] if seed is not None else secrets.token_hex(16)
