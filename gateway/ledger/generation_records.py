"""Encodes and decodes a generation's fields: the request, outputs, the allocation, dispatches.

This is the only list of a generation's fields in Python: `first_fields` has those known at creation; those decided by a
script come with its reply. `gateway/ledger/README.md` describes all of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from gateway.domain import (
    FailureCode,
    GenerationRequest,
    Input,
    Output,
    OwnWebhook,
    PriceLine,
    SettingValue,
    State,
    WebhookForm,
)
from gateway.json_text import to_json
from gateway.kinds import MediaKind
from gateway.ledger import outcomes
from gateway.ledger.margin_records import decode_costs, usual_worth
from gateway.ledger.metering_records import decode_charged, decode_metering, decode_reports, encode_metering
from gateway.ledger.records import BUCKETS, optional, pairs
from gateway.ledger.tried import decode_tried

if TYPE_CHECKING:
    from gateway.ledger.policy import Terms


def setting_to_json(value: SettingValue) -> str | int | bool | dict[str, str]:
    """A setting's value as JSON, with a decimal marked."""
    return {"decimal": str(value)} if isinstance(value, Decimal) else value


def setting_from_json(value: Any) -> SettingValue:
    """The reverse."""
    if isinstance(value, dict):
        return Decimal(value["decimal"])
    setting: SettingValue = value
    return setting


def encode_request(request: GenerationRequest) -> str:
    """The immutable part of a generation as JSON, without empty values and those with fields of their own.

    Decimals are text, so that none becomes a float.
    """
    members = {
        "provider": request.provider,
        "provider_model": request.provider_model,
        "prompt": request.prompt,
        "rate_card": request.rate_card,
        "settings": {name: setting_to_json(value) for name, value in request.settings.items()},
        "inputs": [[item.kind, item.url] for item in request.inputs],
        "lines": [[line.label, str(line.credits), str(line.count), str(line.total)] for line in request.lines],
        "metadata": request.metadata,
        "sandbox": request.sandbox,
        "output": request.output,
        "erased": request.erased or None,
        "measures": {name: str(amount) for name, amount in request.measures.items()},
        "trace": request.trace,
    }
    return to_json({name: value for name, value in members.items() if value or value == ""}).decode()


def request_head(provider: str, provider_model: str | None) -> str:
    """How a stored request begins: with the provider, and what it calls the model."""
    members = {"provider": provider, "provider_model": provider_model}
    return to_json({name: value for name, value in members.items() if value is not None}).decode()[:-1] + ","


def _decode_request(fields: Mapping[str, str]) -> GenerationRequest:
    data = json.loads(fields["request"])
    return GenerationRequest(
        tool=fields["tool"],
        model=fields["model"],
        provider=data["provider"],
        provider_model=data.get("provider_model"),
        prompt=data["prompt"],
        outputs=int(fields["outputs"]),
        price_millicredits=int(fields["price"]),
        rate_card=data["rate_card"],
        settings={name: setting_from_json(value) for name, value in data.get("settings", {}).items()},
        inputs=tuple(Input(kind, url) for kind, url in data.get("inputs", ())),
        lines=tuple(
            PriceLine(label, Decimal(each), Decimal(count), Decimal(total))
            for label, each, count, total in data.get("lines", ())
        ),
        metadata=data.get("metadata", {}),
        tags=decode_tags(fields.get("tags", "")),
        providers=tuple(fields["providers"].split(",")) if "providers" in fields else (),
        sandbox=data.get("sandbox"),
        metering=decode_metering(fields["meters"]) if "meters" in fields else None,
        output=MediaKind(data["output"]) if "output" in data else None,
        erased=data.get("erased", False),
        measures={name: Decimal(amount) for name, amount in data.get("measures", {}).items()},
        trace=data.get("trace"),
    )


def encode_tags(tags: Mapping[str, str]) -> str:
    """A line per tag: its name, a tab, its value. Neither may contain control characters."""
    return "\n".join(f"{name}\t{value}" for name, value in tags.items())


def decode_tags(text: str) -> dict[str, str]:
    """The reverse."""
    return dict(line.split("\t", 1) for line in text.split("\n") if line)


def encode_output(output: Output) -> str:
    """One delivered output as JSON text.

    Without a picture, the numbers in place of width and height are the characters and 0: versions that know only
    pictures can read it.
    """
    duration = None if output.duration_seconds is None else str(output.duration_seconds)
    measures = output.width or output.characters or 0, output.height or 0
    return json.dumps(
        [output.object_key, output.content_type, output.bytes, *measures, output.sha256, duration],
        separators=(",", ":"),
    )


def _decode_outputs(fields: Mapping[str, str]) -> tuple[Output, ...]:
    if fields["delivered"] == "0":
        return ()
    indices = sorted(int(name[7:]) for name in fields if name.startswith("output:"))
    return tuple(_decode_output(index, fields) for index in indices)


def _decode_output(index: int, fields: Mapping[str, str]) -> Output:
    object_key, content_type, size, width, height, sha256, duration = json.loads(fields[f"output:{index}"])
    return Output(
        index=index,
        object_key=object_key,
        content_type=content_type,
        bytes=size,
        width=width if height else None,
        height=height or None,
        sha256=sha256,
        duration_seconds=None if duration is None else Decimal(duration),
        reports=decode_reports(fields.get(f"reported:{index}", "")),
        characters=width if width and not height else None,
        cost=next(iter(decode_costs(fields.get(f"cost:{index}", ""))), None),
    )


def encode_terms(terms: Terms) -> str:
    """The limits copied into a generation, without what its plan decides: how long outputs are kept, head start."""
    times = (terms.queue_timeout_ms, terms.provider_timeout_ms, terms.waiting_timeout_ms)
    return ",".join(map(str, (*times, terms.attempts_max)))


def outputs_kept_ms(fields: Mapping[str, str]) -> int:
    """How long a stored generation's outputs are kept after its end."""
    return int(fields["terms"].split(",")[4])


def first_fields(
    request: GenerationRequest,
    operation: str,
    webhook: OwnWebhook | None,
    terms: Terms,
    *,
    key: str | None,
    retry_of: str | None,
    token: str | None,
) -> dict[str, str]:
    """The fields of a new generation that `reserve` does not decide, except the request and the terms."""
    fields = {
        "tool": request.tool,
        "model": request.model,
        "price": str(request.price_millicredits),
        "outputs": str(request.outputs),
        "operation": operation,
        "attempt": "0",
        "failures": "0",
        "version": "1",
        "delivered": "0",
        "retry_pauses": ",".join(map(str, terms.retry_pauses_ms)),
    }
    if any(not item.url.startswith("https:") for item in request.inputs):
        fields["stored_inputs"] = "1"
    if webhook is not None:
        own = {"webhook": webhook.url, "webhook_form": webhook.form, "webhook_only": webhook.only}
        fields |= {name: value for name, value in own.items() if value is not None}
    if len(request.providers) > 1:
        fields["providers"] = ",".join(request.providers)
    if key is not None:
        fields["key"] = key
    if retry_of is not None:
        fields["retry_of"] = retry_of
    if token is not None:
        fields["token"] = token
    if request.tags:
        fields["tags"] = encode_tags(request.tags)
    if request.metering is not None:
        fields["meters"] = encode_metering(request.metering)
    return fields


def decode_generation(generation: str, flat: Sequence[bytes]) -> outcomes.Generation:
    """Decode a generation's hash."""
    return decode_fields(generation, pairs(flat))


def decode_fields(generation: str, fields: Mapping[str, str]) -> outcomes.Generation:
    """Decode a generation from its stored fields."""
    return generation_of(generation, fields, _decode_request(fields))


def generation_of(generation: str, fields: Mapping[str, str], request: GenerationRequest) -> outcomes.Generation:
    """The same, with its request."""
    price = int(fields["price"])
    state = State(fields["state"])
    final = state in {State.SUCCEEDED, State.FAILED, State.CANCELLED}
    return outcomes.Generation(
        id=generation,
        account=fields["account"],
        state=state,
        request=request,
        price_millicredits=price,
        held_millicredits=0 if final else price,
        committed_millicredits=int(fields.get("committed", 0)),
        refunded_millicredits=int(fields.get("refunded", 0)),
        allocation=decode_allocation(fields["allocation"], fields.get("worth", "")),
        outputs=_decode_outputs(fields),
        outputs_deleted="outputs_deleted" in fields,
        outputs_kept_ms=outputs_kept_ms(fields) if final else 0,
        progress_thousandths=1000 if state is State.SUCCEEDED else int(fields.get("progress", 0)),
        attempt=int(fields["attempt"]),
        failures=int(fields["failures"]),
        submission=int(fields.get("submission", 0)),
        looks=int(fields.get("looks", 0)),
        version=int(fields["version"]),
        operation=fields["operation"],
        cancel_requested="cancel_requested" in fields,
        error=FailureCode(fields["error"]) if fields.get("error") else None,
        provider_ref=fields.get("ref"),
        ref_attempt=int(fields.get("ref_attempt", 0)),
        ref_at=optional(fields, "ref_at"),
        looked_at=optional(fields, "looked_at"),
        give_up_at=optional(fields, "give_up_at"),
        created_at=int(fields["created_at"]),
        queued_at=optional(fields, "queued_at"),
        started_at=optional(fields, "started_at"),
        finished_at=optional(fields, "finished_at"),
        given_back_millicredits=int(fields.get("given_back", 0)),
        retry_of=fields.get("retry_of"),
        webhook=_decode_webhook(fields),
        key=fields.get("key"),
        member=fields.get("member"),
        token=fields.get("token"),
        charged=decode_charged(fields["charged"]) if "charged" in fields else None,
        entry_texts=tuple(line for line in fields["entries"].split("\n") if line),
        tried=decode_tried(fields.get("tried")),
        released=int(fields.get("released", 0)),
        lost=decode_costs(fields.get("lost", "")),
    )


def new_generation(generation: str, fields: Mapping[str, str], request: GenerationRequest) -> outcomes.Generation:
    """The same of one that was just reserved: what `first_fields` and `reserve` have set, the rest as yet unset."""
    return outcomes.Generation(
        id=generation,
        account=fields["account"],
        state=State(fields["state"]),
        request=request,
        price_millicredits=request.price_millicredits,
        held_millicredits=request.price_millicredits,
        allocation=decode_allocation(fields["allocation"], fields.get("worth", "")),
        attempt=int(fields["attempt"]),
        failures=int(fields["failures"]),
        version=int(fields["version"]),
        operation=fields["operation"],
        created_at=int(fields["created_at"]),
        queued_at=optional(fields, "queued_at"),
        retry_of=fields.get("retry_of"),
        webhook=_decode_webhook(fields),
        key=fields.get("key"),
        member=fields.get("member"),
        token=fields.get("token"),
        entry_texts=tuple(line for line in fields["entries"].split("\n") if line),
    )


def _decode_webhook(fields: Mapping[str, str]) -> OwnWebhook | None:
    if "webhook" not in fields:
        return None
    form, only = fields.get("webhook_form"), fields.get("webhook_only")
    return OwnWebhook(
        fields["webhook"], WebhookForm(form) if form else None, "start" if only == "start" else "end" if only else None
    )


def decode_allocation(text: str, worths: str = "") -> tuple[outcomes.AllocationShare, ...]:
    """Decode an allocation: bucket:grant:amount,…, in the order drawn; and the worth of each share, if it is stored."""
    shares = (part.split(":") for part in text.split(",") if part)
    return tuple(
        outcomes.AllocationShare(BUCKETS[letter], grant, int(amount), worth or usual_worth(grant, letter))
        for (letter, grant, amount), worth in zip_longest(shares, worths.split(",") if worths else ())
    )


def decode_dispatch(flat: Sequence[bytes]) -> outcomes.Dispatch | None:
    """Decode a script's dispatch; None for the empty list."""
    if not flat:
        return None
    generation, tool, *numbers, account, provider = (item.decode() for item in flat)
    attempt, score, queued_at, not_before, deadline = map(int, numbers)
    return outcomes.Dispatch(generation, tool, attempt, score, queued_at, not_before, deadline, account, provider)


def decode_dispatches(flats: Iterable[Sequence[bytes]]) -> tuple[outcomes.Dispatch, ...]:
    """Decode several dispatches."""
    return tuple(dispatch for flat in flats if (dispatch := decode_dispatch(flat)))
