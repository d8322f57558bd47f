"""Generations, and what is asked for one or for a quote."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypeAliasType

from gateway.domain import GENERATION_PATTERN, Bucket, EntryKind, FailureCode, State
from gateway.metering import Unit
from gateway.outside.addresses import URL_MAX as RECEIVER_URL_MAX
from gateway.pricing.measures import INPUTS_MAX, PROMPT_MAX_CHARACTERS
from gateway.providers.sandbox import SandboxControls
from gateway.schemas.base import (
    LINE_PATTERN,
    UNSAFE_IN_JSON_SCHEMA,
    WHOLE,
    AmountIn,
    Answer,
    Body,
    Credits,
    FreeText,
    Metadata,
    OfAccount,
    PageQuery,
    Period,
    Query,
    SettingsIn,
    SettingsOut,
    Text,
    Time,
    amount_schema,
)
from gateway.schemas.pauses import HeldBy
from gateway.schemas.prices import Price, Share
from gateway.schemas.tags import TagsFilter, TagsIn, TagsOut
from gateway.schemas.work import WorkOut

OUTPUTS_MAX = 100
URL_MAX_CHARACTERS = 4096
SEARCH_WORDS_MAX = 8


# A host without a user before it, then a path: no spaces, nothing invisible, and no backslash, which some parsers treat
# as a slash.
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
        "pattern": LINE_PATTERN,
        # With keywords that client generators ignore: an `anyOf` would not become text.
        "if": {"pattern": "^https:"},
        "then": {"pattern": _HTTPS_URL, "maxLength": URL_MAX_CHARACTERS},
        "else": {"pattern": rf"^(data|upload):[^{_UNSEEN}]*$"},
        "examples": ["https://example.com/cat.png"],
    }
)


InputKind = TypeAliasType("InputKind", Literal["image", "video", "audio"])
"""What an input is."""


class InputIn(Body):
    """An input image, video or audio: the URL of an upload, a public `https:` URL, or the bytes as a `data:` URL."""

    kind: InputKind
    url: Annotated[Text, AfterValidator(_fetchable), _INPUT_URL]


class GenerationIn(Body):
    """What to generate. Omitted `settings` take the model's defaults."""

    tool: Annotated[Text, Field(min_length=1, max_length=64, examples=["image"])]
    model: Annotated[Text, Field(min_length=1, max_length=128, examples=["flux-dev"])]
    prompt: Annotated[
        FreeText,
        Field(
            max_length=PROMPT_MAX_CHARACTERS,
            examples=["a red bicycle"],
            description="Required, unless the model's `prompt` in `GET /v1/rate-card` is `optional` or `none`.",
        ),
    ] = ""
    settings: SettingsIn = Field(default_factory=dict)
    inputs: Annotated[tuple[InputIn, ...], Field(max_length=INPUTS_MAX, strict=False)] = ()
    outputs: Annotated[int, Field(ge=1, le=OUTPUTS_MAX, description="Number of outputs. Default: 1."), WHOLE] = 1
    max_credits: (
        Annotated[
            AmountIn,
            Field(ge=0, description="Reject the request if its price is above this."),
            amount_schema(minimum=0),
        ]
        | None
    ) = None
    quote: (
        Annotated[Text, Field(max_length=16_384, description="The `quote` token of a quote: locks in its price.")]
        | None
    ) = None
    metadata: Metadata = Field(default_factory=dict)
    tags: TagsIn = Field(default_factory=dict)
    webhook_url: (
        Annotated[
            Text,
            Field(
                max_length=RECEIVER_URL_MAX,
                description=(
                    "A public `https:` URL that receives this generation's events, signed with the secret of the "
                    "account's `default` webhook."
                ),
            ),
        ]
        | None
    ) = None
    sandbox: Annotated[SandboxControls, Field(description="Only in test mode, and only for sandbox models.")] | None = (
        None
    )


class QuoteIn(GenerationIn):
    """The body of a generation. The prompt is optional and only matters where the price depends on its length."""

    prompt: Annotated[FreeText, Field(max_length=PROMPT_MAX_CHARACTERS)] = ""


MetadataFilter = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=64)], Annotated[str, Field(max_length=256)]],
    Field(
        max_length=3,
        description=(
            "Filter by metadata, as in `metadata[order]=A-17`. At most 3 keys; all must match. Numbers and booleans "
            "are written as in JSON."
        ),
    ),
]


def _few_words(text: str) -> str:
    if len(text.split()) > SEARCH_WORDS_MAX:
        raise ValueError(f"must have at most {SEARCH_WORDS_MAX} words")
    return text


SearchWords = Annotated[
    Text,
    AfterValidator(_few_words),
    Field(
        max_length=200,
        description=(
            f"Only those with each of these words (at most {SEARCH_WORDS_MAX}) somewhere in the prompt or in a tag, as "
            "in `project:apollo`; A to Z in either case. Each request looks at the next 200 generations."
        ),
    ),
]


class GenerationsQuery(Period, OfAccount, PageQuery):
    """Filters and paging for the list of generations."""

    before: (
        Annotated[str, Field(pattern=GENERATION_PATTERN, description="The `next` value of the previous page.")] | None
    ) = None
    status: State | None = None
    tool: Annotated[Text, Field(max_length=64)] | None = None
    model: Annotated[Text, Field(max_length=128)] | None = None
    key: Annotated[Text, Field(max_length=64, description="Only those created with this key: its id.")] | None = None
    member: Annotated[Text, Field(max_length=64, description="Only those of this member: its id.")] | None = None
    tags: TagsFilter | None = None
    metadata: MetadataFilter | None = None
    q: SearchWords | None = None

    @property
    def words(self) -> list[str]:
        """The words to search for."""
        return (self.q or "").split()


class OutputQuery(Query):
    """The parameters of a signed URL."""

    expires: Annotated[Text, Field(max_length=20, description="Unix time in seconds.")] | None = None
    signature: Annotated[Text, Field(max_length=200)] | None = None


class GenerationCredits(Answer):
    """The state of the generation's credits: held, committed and refunded add up to the price."""

    held: Credits
    committed: Credits
    refunded: Credits
    allocation: list[Share]
    given_back: Credits | SkipJsonSchema[None] = Field(
        default=None, description="Only present if the operator gave back what was committed, with a reason."
    )


ReportedUnits = TypeAliasType("ReportedUnits", dict[Unit, Credits | None])
"""By unit; null: something was reported that is not an amount."""


class OutputOut(Answer):
    """A finished output. `url` is signed and expires; get the generation again for a new one."""

    index: int
    url: str | None = Field(description="Null once the outputs have been deleted, or if `withheld`.")
    content_type: str
    bytes: int
    width: int | None = Field(default=None, description="Images and videos only, like `height`.")
    height: int | None = None
    duration_seconds: Credits | None = Field(default=None, description="Videos and audio only.")
    characters: int | None = Field(default=None, description="Text only: its Unicode code points.")
    sha256: str
    reported: ReportedUnits | SkipJsonSchema[None] = Field(
        default=None, description="Only present if the price depends on it: what was reported of this output, by unit."
    )
    deleted: bool = Field(default=False, description="Present and true once the output has been deleted.")


class Failure(Answer):
    """Why the generation failed, and what happened to its credits."""

    code: FailureCode
    message: str


class InputOut(Answer):
    """An input as it was given. The bytes of a `data:` URL or an upload are not returned."""

    kind: str
    url: str | None


class Delay(Answer):
    """What keeps a running generation from going on."""

    reason: Literal["provider_unreachable"]
    gives_up_at: Time | None = Field(description="By then it ends, and credits for undelivered outputs are returned.")
    message: str = Field(description="The same as a sentence.")


class GenerationOut(Answer):
    """A generation and its current state."""

    id: str
    object: Literal["generation"]
    account: str
    key: str | None = Field(description="The id of the API key that created it; null if an earlier version did.")
    member: str | None = Field(description="The id of the member whose key it was; null for the account's own keys.")
    status: State
    tool: str
    model: str
    prompt: str
    settings: SettingsOut
    inputs: list[InputOut] = Field(default=[], description="Only present if there are inputs.")
    outputs_requested: int
    price: Price
    credits: GenerationCredits
    outputs: list[OutputOut]
    outputs_expire_at: Time | SkipJsonSchema[None] = Field(
        default=None,
        description=(
            "Only present once it has ended with outputs: when they are going to be deleted, as the plan said on which "
            "it was ordered."
        ),
    )
    outputs_deleted: bool = Field(default=False, description="Present and true once the outputs have been deleted.")
    progress: Credits = Field(description="From 0 to 1.")
    queue_position: int | None = Field(
        default=None,
        description=(
            "Position in the queue, or in the provider's queue while the provider is full: 0 is next. Null until it "
            "has a place."
        ),
    )
    paused: HeldBy | SkipJsonSchema[None] = Field(
        default=None, description="Only present while operators have paused what it needs to start."
    )
    delayed: Delay | SkipJsonSchema[None] = Field(
        default=None, description="Only present while it runs and its provider does not respond."
    )
    retry_of: str | SkipJsonSchema[None] = Field(default=None, description="Only in a retry: of which failed one.")
    attempt: int
    cancel_requested: bool = Field(
        default=False, description="Present and true while a running generation is being cancelled."
    )
    error: Failure | None
    metadata: Metadata
    tags: TagsOut
    withheld: bool = Field(
        default=False,
        description=(
            "Present and true if the prompt and the URLs of inputs and outputs are left out, because the caller's "
            "role does not include them."
        ),
    )
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    work: WorkOut | SkipJsonSchema[None] = Field(
        default=None, description="Only with an operator's key, and only when one generation is read."
    )


class GenerationsOut(Answer):
    """A page of generations. Pass `next` as `before` to get the next page; null on the last page."""

    data: list[GenerationOut]
    next: str | None


class Progress(Answer):
    """A generation's progress; the data of a `progress` event."""

    id: str
    status: State
    progress: Credits = Field(description="From 0 to 1.")
    queue_position: int | None = Field(default=None, description="While queued.")
    paused: HeldBy | SkipJsonSchema[None] = Field(default=None, description="As in the generation.")
    delayed: Delay | SkipJsonSchema[None] = Field(default=None, description="As in the generation.")
    attempt: int
    cancel_requested: bool


class OutputEvent(Answer):
    """A finished output; the data of an `output` event."""

    generation: str
    output: OutputOut


class BucketDelta(Answer):
    """An entry's effect on one bucket."""

    credits: Credits
    held: Credits


class EntryOut(Answer):
    """One journal entry. `credits` is the change of available credits, `held` the change of held credits."""

    id: int
    at: Time
    kind: EntryKind
    credits: Credits
    held: Credits
    buckets: dict[Bucket, BucketDelta]
    available_after: Credits
    held_after: Credits
    generation: str | None = None
    key: str | None = Field(default=None, description="With a generation: the id of the API key that created it.")
    member: str | None = Field(default=None, description="With a generation: the id of that key's member.")
    reason: str | None = None
