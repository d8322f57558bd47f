"""`[providers.<name>]` of the rate card, and what a model asks of each: what workers need to call a provider.

Nothing here affects a price. Secrets are never in the file: `key_env` names the environment variable that has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from gateway.kinds import MediaKind
from gateway.pricing.cost_rates import CostAddOns, Costs
from gateway.pricing.fields import Flag, PositiveDurationMs, SettingName, Text
from gateway.pricing.table import Table

ProviderKind = Literal["sandbox", "openai", "replicate", "fal", "comfyui", "http"]

SANDBOX = "sandbox"
"""The provider that needs no table."""

PROMPT, OUTPUTS, ALWAYS = "prompt", "outputs", "always"
INPUT_NAMES = INPUT_IMAGES, INPUT_VIDEOS, INPUT_AUDIOS = "input_images", "input_videos", "input_audios"
RESERVED = frozenset({PROMPT, OUTPUTS, *INPUT_NAMES, ALWAYS})
"""Names in `provider_settings` that are not settings: the provider's names for these, and what is always sent."""

_CALLS_BY_NAME = frozenset({"replicate", "fal"})
_FIXED_NAMES = {
    "comfyui": frozenset({PROMPT, OUTPUTS, *INPUT_NAMES}),
    "http": frozenset({PROMPT, OUTPUTS, *INPUT_NAMES}),
    "openai": frozenset(INPUT_NAMES),
}
_ALL_KINDS = frozenset(MediaKind)
_MAKES = {
    "comfyui": _ALL_KINDS - {MediaKind.TEXT},
    "openai": frozenset({MediaKind.IMAGE, MediaKind.AUDIO, MediaKind.TEXT}),
}
_CALLS_BACK = frozenset({"replicate", "fal", "http"})
_ENVIRONMENT_NAME = r"^[A-Z][A-Z0-9_]{0,99}$"


def _base_url(url: str) -> str:
    if not url.startswith(("https://", "http://")) or url.endswith("://"):
        msg = "must start with https:// or http://, such as http://127.0.0.1:8000/v1"
        raise ValueError(msg)
    return url.rstrip("/")


def _argument(value: object) -> object:
    """A TOML value that JSON can represent; not a date."""
    if isinstance(value, dict):
        return {name: _argument(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_argument(each) for each in value]
    if isinstance(value, str | bool | int) or type(value).__name__ == "Decimal":
        return value
    msg = "must be text, a number, true or false, or a table or list of these"
    raise ValueError(msg)


Url = Annotated[str, StringConstraints(max_length=500), AfterValidator(_base_url)]
EnvironmentName = Annotated[str, StringConstraints(pattern=_ENVIRONMENT_NAME)]
Arguments = dict[str, Any]
Translation = Annotated[str | Arguments, BeforeValidator(_argument)]
"""A setting's translation: the provider's name for it ("": not sent), or what to send for each value."""


class ProviderTable(BaseModel):
    """`[providers.<name>]`: a provider's address, the variable with its key, and its concurrency limit.

    `max_in_work`: jobs at the provider at once, over all workers; `requests_per_minute`: new ones a minute; None:
    unlimited. After `open_after` failures in a row `within` this time its breaker opens: for `open_for` it is asked
    nothing new, and then for one job at a time until one succeeds; None: it has no breaker. `callbacks`: whether a
    provider that supports it gets a URL to call when a job ends, if FAREBOX_PUBLIC_URL is set. The signatures of these
    calls are verified with `callback_secret_env` (replicate; http, if it signs) or the keys at `jwks_url` (fal).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ProviderKind
    base_url: Url | None = None
    key_env: EnvironmentName | None = None
    max_in_work: Annotated[int, Field(strict=True, ge=1, le=100_000)] | None = None
    requests_per_minute: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] | None = None
    open_after: Annotated[int, Field(strict=True, ge=1, le=1000)] | None = None
    within_ms: PositiveDurationMs = Field(60_000, alias="within")
    open_for_ms: PositiveDurationMs = Field(30_000, alias="open_for")
    timeout_ms: PositiveDurationMs = Field(600_000, alias="timeout")
    callbacks: Flag = True
    callback_secret_env: EnvironmentName | None = None
    jwks_url: Url | None = None

    @property
    def needs_base_url(self) -> bool:
        """Whether the kind has no default address, such as a vendor's."""
        return self.kind in {"comfyui", "http"}

    @property
    def calls_back(self) -> bool:
        """Whether it can call a URL when a job ends."""
        return self.callbacks and self.kind in _CALLS_BACK

    @property
    def calls_by_name(self) -> bool:
        """Whether each model has its own argument names, including those for inputs and the number of outputs."""
        return self.kind in _CALLS_BY_NAME

    @property
    def fixed_names(self) -> frozenset[str]:
        """The reserved names that are the same for all its models, so that a card cannot rename them."""
        return _FIXED_NAMES.get(self.kind, frozenset())

    @property
    def has_workflows(self) -> bool:
        """Whether its models are workflow files beside the rate card."""
        return self.kind == "comfyui"

    @property
    def needs_prompt(self) -> bool:
        """Whether none of its calls can do without a prompt."""
        return self.kind == "openai"

    @property
    def makes(self) -> frozenset[MediaKind]:
        """The kinds of output that its models can make."""
        return _MAKES.get(self.kind, _ALL_KINDS)

    @property
    def accepts(self) -> frozenset[MediaKind]:
        """The kinds of input that its models can accept."""
        images = frozenset({MediaKind.IMAGE})
        return images if self.kind == "openai" else images | {MediaKind.VIDEO, MediaKind.AUDIO}


ProviderSettings = Mapping[SettingName, Translation]


class Offer(Table):
    """`[models.<id>.at.<provider>]`: what the provider calls the model and its settings, and what it takes for it.

    No `cost`: it is unknown.
    """

    provider_model: Text | None = None
    provider_settings: ProviderSettings = Field(default_factory=dict)
    cost: Costs = ()
    cost_add_ons: CostAddOns = ()
