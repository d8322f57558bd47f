"""Checks a ComfyUI model of the rate card against its workflow file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gateway.errors import WorkflowUnusable
from gateway.pricing.card import Model
from gateway.pricing.lines import Location
from gateway.pricing.messages import Fault
from gateway.pricing.providers import ALWAYS, RESERVED, Offer
from gateway.pricing.values import did_you_mean
from gateway.providers.workflows import (
    INPUT_AUDIO,
    INPUT_IMAGE,
    INPUT_VIDEO,
    OUTPUTS,
    PROMPT,
    SEED,
    WITHOUT_PROMPT,
    placeholders,
    read_workflow,
)


def workflow_faults(folder: Path, at: Location, model: Model, offer: Offer) -> Iterator[Fault]:
    """Faults of one model at one provider. `folder` is the rate card's: workflows are in it or below it."""
    name = offer.provider_model
    if name is None:
        yield Fault(at, 'needs a `provider_model`: its workflow file, such as "flux.json"')
        return
    try:
        named = placeholders(read_workflow(folder, name))
    except WorkflowUnusable as error:
        yield Fault((*at, "provider_model"), f"names the workflow {name}, which {error}")
        return
    at = (*at, "provider_model")
    inputs = {f"{INPUT_IMAGE}{number}" for number in range(1, model.inputs.image + 1)}
    inputs |= {f"{INPUT_VIDEO}{number}" for number in range(1, model.inputs.video + 1)}
    inputs |= {f"{INPUT_AUDIO}{number}" for number in range(1, model.inputs.audio + 1)}
    sent = _arguments(model, offer)
    known = {OUTPUTS, SEED} | inputs | sent | ({PROMPT} if model.prompt != "none" else set())
    if model.prompt != "none" and PROMPT not in named:
        yield Fault(at, f'names the workflow {name}, which {WITHOUT_PROMPT}: or write prompt = "none" on the model')
    for unknown in sorted(named - known):
        hint = (
            did_you_mean(unknown, sorted(known)) or "; add a setting of this name, or an entry in `provider_settings`"
        )
        yield Fault(at, f"names {name}, which has {{{{{unknown}}}}}, but nothing provides it{hint}")
    unused = sorted((sent | inputs) - named)
    if model.outputs_max > 1 and OUTPUTS not in named:
        unused.append(OUTPUTS)
    for one in unused:
        yield Fault(at, f"names {name}, which has no {{{{{one}}}}}: the setting would have no effect")


def _arguments(model: Model, offer: Offer) -> set[str]:
    """The argument names that every request of this model has."""
    always = offer.provider_settings.get(ALWAYS, {})
    names = set() if isinstance(always, str) else set(always)
    for setting in model.settings:
        translation = offer.provider_settings.get(setting) if setting not in RESERVED else None
        if translation is None:
            names.add(setting)
        elif isinstance(translation, str):
            names |= {translation} - {""}
        else:
            tables = [set(table) for table in translation.values() if isinstance(table, dict)]
            names |= set.intersection(*tables) if tables else set()
    return names
