"""The body of each webhook delivery: our event, or one in Replicate's or fal's form."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.domain import EventType, State, WebhookForm
from gateway.ledger import outcomes
from gateway.ledger.webhooks import Delivery
from gateway.outputs import OutputLinks, OutputStore, Texts, texts_of
from gateway.pricing.card import RateCard
from gateway.views.events import as_it_began, event_shape
from gateway.views.fal_results import failure_of, result_shape
from gateway.views.predictions import STATUSES, prediction_shape

_STATES = {one: State(one.removeprefix("generation.")) for one in EventType if one.startswith("generation.")}
TEXT_BYTES_MAX = 256 * 1024
"""How much text of a generation a body contains; more is a file, by its URL: receivers limit bodies."""
_GONE = "The generation has been deleted."


@dataclass(frozen=True, slots=True)
class WebhookBodies:
    """Builds bodies; `card` is the rate card in force, which says whether a prediction's output is a list."""

    links: OutputLinks
    public_address: str
    card: Callable[[], RateCard]
    outputs: OutputStore

    async def body_of(self, delivery: Delivery, generation: outcomes.Generation | None) -> str:
        """A delivery's body; `generation` is its subject, None for other events or if it has been deleted.

        StoreUnavailable if it contains a text that cannot be read now.
        """
        match delivery.form:
            case WebhookForm.REPLICATE:
                return _json(await self._prediction(delivery, generation))
            case WebhookForm.FAL:
                return _json(await self._result(delivery, generation))
            case None:
                return event_shape(delivery, generation, self.links).json_text()

    async def _texts(self, generation: outcomes.Generation) -> Texts:
        """As in the vendors' own bodies: a text is in the result, not behind a URL."""
        if generation.outputs_deleted:
            return {}
        return await texts_of(self.outputs, generation.outputs, TEXT_BYTES_MAX)

    async def _prediction(self, delivery: Delivery, generation: outcomes.Generation | None) -> dict[str, Any]:
        """The prediction: as it was when it started, or ended."""
        if generation is None:
            status = STATUSES[_STATES[delivery.type]]
            return {"id": delivery.subject, "status": status, "output": None, "data_removed": True}
        if delivery.type is EventType.GENERATION_RUNNING:
            generation = as_it_began(generation)
        texts = await self._texts(generation)
        return prediction_shape(generation, self.card(), self.links, self.public_address, texts)

    async def _result(self, delivery: Delivery, generation: outcomes.Generation | None) -> dict[str, Any]:
        """The result, or why there is none, as in the response to a request for it."""
        members: dict[str, Any] = {"request_id": delivery.subject, "gateway_request_id": delivery.subject}
        if generation is None:
            ok = delivery.type is EventType.GENERATION_SUCCEEDED
            members |= {"status": "OK" if ok else "ERROR", "payload": None, "payload_error": _GONE}
            return members if ok else members | {"error": _GONE}
        if generation.outputs:
            return members | {
                "status": "OK",
                "payload": result_shape(generation, self.links, await self._texts(generation)),
            }
        failure = failure_of(generation)
        return members | {"status": "ERROR", "error": failure.message, "payload": failure.body}


def _json(shape: dict[str, Any]) -> str:
    return json.dumps(shape, ensure_ascii=False, separators=(",", ":"))
