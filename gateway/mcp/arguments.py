"""The arguments of each tool. Assistants read these descriptions; the gateway validates every value."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from gateway.schemas.base import AmountIn
from gateway.schemas.generations import OUTPUTS_MAX, InputKind

WAIT_SECONDS_MAX = 45
"""The longest wait: many clients time out a tool after a minute."""


class Arguments(BaseModel):
    """The arguments of one tool; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ListModelsArguments(Arguments):
    """What to list. Without arguments: every model."""

    tool: Annotated[str, Field(description="Only models of this tool, such as `image` or `video`.")] | None = None
    model: Annotated[str, Field(description="Only this model, with up to 1,000 combinations of settings.")] | None = (
        None
    )


class MediaInput(Arguments):
    """An image, a video or audio for the model to work from."""

    kind: InputKind
    url: Annotated[str, Field(description="A public https: URL, or a data: URL.")]


class Order(Arguments):
    """The arguments that determine a price and a generation."""

    tool: Annotated[str, Field(description="The model's tool, as shown by `list_models`.", examples=["image"])]
    model: Annotated[str, Field(description="The model's id.", examples=["flux-dev"])]
    settings: Annotated[
        dict[str, str | bool | int | float],
        Field(description="The model's settings; those omitted take their defaults."),
    ] = Field(default_factory=dict)
    inputs: Annotated[list[MediaInput], Field(description="Only for models that accept inputs.")] = Field(
        default_factory=list
    )
    outputs: Annotated[int, Field(ge=1, le=OUTPUTS_MAX, description="How many to make; each is charged.")] = 1

    def body(self) -> dict[str, Any]:
        """The API's request body."""
        body = self.model_dump(mode="json", include=set(Order.model_fields) | {"prompt", "tags"})
        return {name: value for name, value in body.items() if name != "tags" or value}


class QuoteArguments(Order):
    """What to price."""

    prompt: Annotated[str, Field(description="Only needed if the price depends on the prompt's length.")] = ""


class GenerateArguments(Order):
    """What to make, and the accepted price."""

    prompt: Annotated[str, Field(description="Required, unless `list_models` says otherwise of the model.")] = ""
    confirm_credits: Annotated[
        AmountIn,
        Field(
            description=(
                "The price in credits from `quote` for exactly these arguments, as the user has accepted it. If the "
                "price is no longer this, nothing is made or charged."
            )
        ),
    ]
    tags: Annotated[
        dict[str, str],
        Field(description="Up to 8, `name: value`, such as a project: what was spent can be grouped by them."),
    ] = Field(default_factory=dict)
    idempotency_key: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=255,
            pattern="^[!-~]+$",
            description=(
                "Any new text without spaces makes a new generation; the same text for 24 hours returns the one that "
                "was made with it. If omitted, it is derived from the other arguments: an identical call within 24 "
                "hours returns the first one's generation and is not charged again."
            ),
        ),
    ] = None


class GetGenerationArguments(Arguments):
    """Which generation to read."""

    generation: Annotated[str, Field(description="The id that `generate` returned: `gen_…`.")]
    wait_seconds: Annotated[
        int, Field(ge=0, le=WAIT_SECONDS_MAX, description="Return as soon as it ends, or after this many seconds.")
    ] = 0


class CancelGenerationArguments(Arguments):
    """Which generation to cancel."""

    generation: Annotated[str, Field(description="The id that `generate` returned: `gen_…`.")]


class GetBalanceArguments(Arguments):
    """No arguments: the balance is that of the key's account."""
