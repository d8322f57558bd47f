"""Checks a rate card's providers: unknown providers, missing addresses, settings without a translation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from gateway.kinds import MADE, MediaKind
from gateway.pricing.arguments import value_text
from gateway.pricing.card import Model, RateCard
from gateway.pricing.lines import Location
from gateway.pricing.messages import Fault, heading
from gateway.pricing.providers import (
    ALWAYS,
    INPUT_AUDIOS,
    INPUT_IMAGES,
    INPUT_VIDEOS,
    OUTPUTS,
    PROMPT,
    RESERVED,
    SANDBOX,
    Offer,
    ProviderTable,
    Translation,
)
from gateway.pricing.values import did_you_mean, one_of, show
from gateway.pricing.workflow_faults import workflow_faults

_PART = r"(?!\.{1,2}(?![\w.-]))[\w.-]+"  # a path segment, except `.` and `..`
_MODEL_NAMES = {
    "replicate": (rf"{_PART}/{_PART}(:[\w-]+)?|[\w-]+", '"black-forest-labs/flux-dev", or with ":" and a version'),
    "fal": (rf"{_PART}(/{_PART})+", '"fal-ai/flux/dev"'),
}


def provider_faults(at: Location, name: str, provider: ProviderTable) -> Iterator[Fault]:
    """Faults of one `[providers.<name>]` table."""
    if name == SANDBOX and provider.kind != SANDBOX:
        yield Fault((*at, "kind"), f'must be "sandbox": choose another name for a provider of kind {provider.kind}')
    if provider.base_url is None and provider.needs_base_url:
        yield Fault(at, f"needs a `base_url`: where your {provider.kind} server is, such as http://127.0.0.1:8188")


def model_provider_faults(card: RateCard, at: Location, model: Model) -> Iterator[Fault]:
    """Faults in a model's providers, and in what it asks of each."""
    yield from _form_faults(at, model)
    known = sorted({SANDBOX, *card.providers})
    for index, (name, offer) in enumerate(model.offers.items()):
        short = model.short_provider is not None
        named = (*at, "provider") if short else (*at, "providers", index)
        if name not in known:
            hint = did_you_mean(name, known) or f" (there is {one_of(map(show, known))})"
            yield Fault(named, f"is {show(name)}, and there is no [providers.{name}]{hint}")
            continue
        here = at if short else (*at, "at", name)
        if model.prompt == "none" and PROMPT in offer.provider_settings:
            yield Fault((*here, "provider_settings", PROMPT), 'names the prompt of a model with prompt = "none"')
        for setting, translation in offer.provider_settings.items():
            yield from _translation_faults((*here, "provider_settings", setting), model, setting, translation)
        if (provider := card.providers.get(name)) is not None:
            yield from _kind_faults(here, model, offer, provider)
            yield from _kind_limits(card, named, at, model, provider)
            if provider.has_workflows:
                yield from workflow_faults(Path(card.path).parent, here, model, offer)


def _form_faults(at: Location, model: Model) -> Iterator[Fault]:
    """Whether the model names its providers in one form: `provider`, or `providers` with `at`."""
    if model.short_provider is not None and model.providers:
        yield Fault((*at, "providers"), "cannot be combined with `provider`: name all of them here, in order")
    elif model.short_provider is not None and model.at:
        names = ", ".join(map(show, {model.short_provider: None, **model.at}))
        yield Fault((*at, "at"), f"belongs to `providers`: write providers = [{names}] instead of `provider`")
    elif model.short_provider is None:
        short = {
            "provider_model": model.short_provider_model,
            "provider_settings": model.short_provider_settings,
            "cost": model.short_cost,
            "cost_add_ons": model.short_cost_add_ons,
        }
        for field in (name for name, value in short.items() if value):
            first = heading(*at, "at", model.providers[0])
            yield Fault((*at, field), f"belongs to `provider`: write it for each of the `providers`, as in {first}")
    for index, name in enumerate(model.providers):
        if name in model.providers[:index]:
            yield Fault((*at, "providers", index), f"names {show(name)} twice")
    if model.short_provider is None:
        for name in model.at.keys() - {*model.providers}:
            hint = did_you_mean(name, model.providers) or f": add {show(name)} there, or remove this table"
            yield Fault((*at, "at", name), f"is for a provider that is not in `providers`{hint}")


def _kind_faults(at: Location, model: Model, offer: Offer, provider: ProviderTable) -> Iterator[Fault]:
    """What a provider of this kind requires of a model."""
    if provider.calls_by_name:
        pattern, example = _MODEL_NAMES[provider.kind]
        if not re.fullmatch(pattern, offer.provider_model or "", re.ASCII):
            yield Fault((*at, "provider_model"), f"must be {provider.kind}'s name for the model, such as {example}")
        yield from _unnamed_faults((*at, "provider_settings"), model, offer, provider.kind)
    for name in sorted(offer.provider_settings.keys() & provider.fixed_names):
        text = f"cannot be renamed: providers of kind {provider.kind} always get it under this name"
        yield Fault((*at, "provider_settings", name), text)


def _kind_limits(
    card: RateCard, named: Location, at: Location, model: Model, provider: ProviderTable
) -> Iterator[Fault]:
    """What a provider of this kind cannot do."""
    kind = card.kind_of(model)
    if kind is not None and kind not in provider.makes:
        text = f"makes {MADE[kind]}, but providers of kind {provider.kind} only make {_listed(provider.makes)}"
        yield Fault(named, f"{text}: choose another provider")
    if model.prompt != "required" and provider.needs_prompt:
        text = f"is {show(model.prompt)}, but providers of kind {provider.kind} need a prompt: remove it"
        yield Fault((*at, "prompt"), text)
    for name in ("image", "video", "audio"):
        if model.inputs.of(name) and name not in provider.accepts:
            text = f"accepts {MADE[MediaKind(name)]}, but providers of kind {provider.kind} only accept"
            yield Fault((*at, "inputs"), f"{text} {_listed(provider.accepts)}")


def _listed(kinds: frozenset[MediaKind]) -> str:
    words = [MADE[kind] for kind in MediaKind if kind in kinds]
    return " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


def _translation_faults(at: Location, model: Model, name: str, translation: Translation) -> Iterator[Fault]:
    if name == ALWAYS:
        if isinstance(translation, str):
            yield Fault(at, "must be a table of values that are always sent to the provider")
    elif name in RESERVED:
        if not isinstance(translation, str):
            yield Fault(at, "must be text: the provider's name for it")
    elif name not in model.settings:
        yield Fault(at, f"is not a setting of this model{did_you_mean(name, [*model.settings, *sorted(RESERVED)])}")
    elif not isinstance(translation, str):
        setting = model.settings[name]
        values = {value_text(value) for value in setting.each()} if setting.values is not None else None
        if values is None:
            yield Fault(at, "is a range of numbers: write the provider's name for it, as text")
            return
        for missing in sorted(values - translation.keys()):
            yield Fault(at, f"has no entry for {show(missing)}: add what to send to the provider")
        for unknown in sorted(translation.keys() - values):
            yield Fault(at, f"has {show(unknown)}, which it does not accept: it accepts {setting.describe()}")
        for value in sorted(values & translation.keys()):
            if not isinstance(translation[value], dict):
                yield Fault((*at, value), 'must be a table of the values to send, such as { size = "1024x1024" }')


def _unnamed_faults(at: Location, model: Model, offer: Offer, kind: str) -> Iterator[Fault]:
    """Each model of these providers has its own argument names, so the card must give them."""
    needed = {
        OUTPUTS: model.outputs_max > 1,
        INPUT_IMAGES: model.inputs.image,
        INPUT_VIDEOS: model.inputs.video,
        INPUT_AUDIOS: model.inputs.audio,
    }
    for name, needs in needed.items():
        if needs and name not in offer.provider_settings:
            text = f'needs `{name} = "…"`: what this model of {kind} calls its {name.replace("_", " ")}'
            yield Fault(at, text)
