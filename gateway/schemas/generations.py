"""Generations, quotes and receipts."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from gateway.addresses import URL_MAX as RECEIVER_URL_MAX
from gateway.domain import GENERATION_PATTERN, Bucket, EntryKind, FailureCode, State
from gateway.pricing.measures import INPUTS_MAX, PROMPT_MAX_CHARACTERS
from gateway.sandbox import SandboxControls
from gateway.schemas.base import (
    UNSAFE_IN_JSON_SCHEMA,
    WHOLE,
    AmountIn,
    Answer,
    Body,
    Credits,
    Metadata,
    OfAccount,
    PageQuery,
    Period,
    Query,
    Setting,
    Time,
    amount_schema,
)
from gateway.schemas.errors import WaysOut

OUTPUTS_MAX = 100
URL_MAX_CHARACTERS = 4096


# A host without a user before it, then a path: no spaces, nothing invisible, and no backslash, which some read as a
# slash and others do not.
_UNSEEN = rf"\s{UNSAFE_IN_JSON_SCHEMA}"
_HTTPS_URL = rf"^https://[^{_UNSEEN}\\/?#@]+([/?#][^{_UNSEEN}\\]*)?$"


def _fetchable(url: str) -> str:
    if url.startswith("data:"):
        return url
    if not url.startswith(("https://", "upload:")) or len(url) > URL_MAX_CHARACTERS:
        raise ValueError(f"must start with https:// (at most {URL_MAX_CHARACTERS} characters), data: or upload:")
    if url.startswith("upload:"):
        return url
    if not re.fullmatch(_HTTPS_URL, url):
        raise ValueError("must be an https:// URL with a host, and without a user, spaces or backslashes")
    return url


_INPUT_URL = WithJsonSchema(
    {
        "type": "string",
        "anyOf": [
            {"pattern": _HTTPS_URL, "maxLength": URL_MAX_CHARACTERS},
            {"pattern": rf"^(data|upload):[^{_UNSEEN}]*$"},
        ],
        "examples": ["https://example.com/cat.png"],
    }
)


class InputIn(Body):
    """An image or video to work from: an upload's address, a public `https:` URL, or the bytes as a `data:` URL."""

    kind: Literal["image", "video"]
    url: Annotated[str, AfterValidator(_fetchable), _INPUT_URL]


class GenerationIn(Body):
    """What to generate. `settings` left out take the model's defaults."""

    FREE_TEXTS = frozenset({"prompt"})

    tool: Annotated[str, Field(min_length=1, max_length=64, examples=["image"])]
    model: Annotated[str, Field(min_length=1, max_length=128, examples=["flux-dev"])]
    prompt: Annotated[str, Field(min_length=1, max_length=PROMPT_MAX_CHARACTERS, examples=["a red bicycle"])]
    settings: Annotated[dict[str, Setting], Field(max_length=64)] = Field(default_factory=dict)
    inputs: Annotated[tuple[InputIn, ...], Field(max_length=INPUTS_MAX, strict=False)] = ()
    outputs: Annotated[
        int, Field(ge=1, le=OUTPUTS_MAX, description="How many outputs to make; 1, if left out."), WHOLE
    ] = 1
    max_credits: (
        Annotated[AmountIn, Field(ge=0, description="Refuse a price above this (R23)."), amount_schema(minimum=0)]
        | None
    ) = None
    quote: Annotated[str, Field(max_length=16_384, description="A quote's token: locks its price (R23).")] | None = None
    metadata: Metadata = Field(default_factory=dict)
    webhook_url: (
        Annotated[
            str,
            Field(
                max_length=RECEIVER_URL_MAX,
                description="Told of this generation alone: an `https:` URL of a public address. Its calls are "
                "signed with the secret of the account's `default` webhook.",
            ),
        ]
        | None
    ) = None
    sandbox: Annotated[SandboxControls, Field(description="Test mode and sandbox models only (R22).")] | None = None


class QuoteIn(GenerationIn):
    """The same body as for a generation; the prompt may be left out, for it has no price."""

    prompt: Annotated[str, Field(max_length=PROMPT_MAX_CHARACTERS)] = ""


MetadataFilter = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=64)], Annotated[str, Field(max_length=256)]],
    Field(
        max_length=3,
        description="Only those whose metadata has these values, as in `metadata[order]=A-17`. At most 3 names; "
        "all must match. Numbers and booleans are written as in JSON.",
    ),
]


class GenerationsQuery(Period, OfAccount, PageQuery):
    """Which generations to list."""

    before: Annotated[str, Field(pattern=GENERATION_PATTERN, description="The `next` of the page before.")] | None = (
        None
    )
    status: State | None = None
    tool: Annotated[str, Field(max_length=64)] | None = None
    model: Annotated[str, Field(max_length=128)] | None = None
    metadata: MetadataFilter | None = None


class OutputQuery(Query):
    """What a signed URL carries."""

    expires: Annotated[str, Field(max_length=20, description="Seconds since the epoch.")] | None = None
    signature: Annotated[str, Field(max_length=200)] | None = None


class Line(Answer):
    """One line of a price: `credits` × `count` = `total`."""

    label: str
    credits: Credits
    count: Credits
    total: Credits


class Price(Answer):
    """The firm price: what `lines` add up to, rounded up to a thousandth of a credit."""

    credits: Credits
    lines: list[Line]
    rate_card: str


class Share(Answer):
    """A part of a price, and the bucket that pays it."""

    bucket: Bucket
    credits: Credits


class GenerationCredits(Answer):
    """Where the price is now: held, committed, refunded; these three add up to it."""

    held: Credits
    committed: Credits
    refunded: Credits
    allocation: list[Share]


class OutputOut(Answer):
    """A finished output. `url` is signed and expires; read the generation again for a fresh one."""

    index: int
    url: str | None = Field(description="Null once the outputs are deleted.")
    content_type: str
    bytes: int
    width: int
    height: int
    duration_seconds: Credits | None = None
    sha256: str
    deleted: bool = Field(default=False, description="Present and true once it is deleted.")


class Failure(Answer):
    """Why the generation failed, and what became of its credits."""

    code: FailureCode
    message: str


class InputOut(Answer):
    """An input, as it was given; bytes, of a `data:` URL or an upload, are not given back."""

    kind: str
    url: str | None


class GenerationOut(Answer):
    """A generation as it is now."""

    id: str
    object: Literal["generation"]
    account: str
    status: State
    tool: str
    model: str
    prompt: str
    settings: dict[str, Setting]
    inputs: list[InputOut] = Field(default=[], description="Present if there are any.")
    outputs_requested: int
    price: Price
    credits: GenerationCredits
    outputs: list[OutputOut]
    outputs_deleted: bool = Field(default=False, description="Present and true once the outputs are deleted.")
    progress: Credits = Field(description="From 0 to 1.")
    queue_position: int | None = Field(
        default=None,
        description="While queued, or in the line of a provider without room: 0 is next; null until it has a place.",
    )
    attempt: int
    cancel_requested: bool = Field(default=False, description="Present and true while a running one is being stopped.")
    error: Failure | None
    metadata: dict[str, Any]
    created_at: Time
    started_at: Time | None
    finished_at: Time | None


class GenerationsOut(Answer):
    """A page of generations. `next` goes into `before`; null: this was the last page."""

    data: list[GenerationOut]
    next: str | None


class Progress(Answer):
    """Where a generation stands; the data of a `progress` event."""

    id: str
    status: State
    progress: Credits = Field(description="From 0 to 1.")
    queue_position: int | None = Field(default=None, description="While queued.")
    attempt: int
    cancel_requested: bool


class OutputEvent(Answer):
    """A finished output; the data of an `output` event."""

    generation: str
    output: OutputOut


class GrantShare(Answer):
    """A part of a price, and the grant that pays it."""

    bucket: Bucket
    grant: str
    credits: Credits


class BucketDelta(Answer):
    """What an entry did to one bucket."""

    credits: Credits
    held: Credits


class EntryOut(Answer):
    """One movement. `credits` changes what is available, `held` what is set aside."""

    id: int
    at: Time
    kind: EntryKind
    credits: Credits
    held: Credits
    buckets: dict[Bucket, BucketDelta]
    available_after: Credits
    held_after: Credits
    generation: str | None = None
    reason: str | None = None


class Difference(Answer):
    """How an output is a little other than ordered. More than a little is not delivered, and not charged."""

    output: int = Field(description="Its index.")
    message: str


class Receipt(Answer):
    """Everything about a generation's price: its lines, who paid, and every movement."""

    object: Literal["receipt"]
    generation: str
    account: str
    status: State
    tool: str
    model: str
    settings: dict[str, Setting]
    outputs_requested: int
    outputs_delivered: int
    credits: Credits = Field(description="The price.")
    lines: list[Line]
    rate_card: str
    allocation: list[GrantShare]
    entries: list[EntryOut]
    held: Credits
    committed: Credits
    refunded: Credits
    differences: list[Difference] = Field(description="Outputs that are a little other than ordered.")
    error: Failure | None
    created_at: Time
    finished_at: Time | None


class QuoteOut(Answer):
    """A firm price, good until `expires_at`. Send `quote` with the generation to lock it."""

    credits: Credits
    lines: list[Line]
    rate_card: str
    allowed: bool = Field(description="Whether the account's plan opens this model and these settings.")
    reason: str | None = Field(description="The code it would be refused with: `subscription_required`, `plan_limit`.")
    message: str | None = Field(description="The reason in words.")
    affordable: bool
    shortfall: Credits
    allocation: list[Share] = Field(description="Who would pay, as far as the credits go.")
    quote: str
    expires_at: Time
    ways_out: WaysOut | SkipJsonSchema[None] = Field(
        default=None, description="Present if it is not affordable: as in the 402."
    )
