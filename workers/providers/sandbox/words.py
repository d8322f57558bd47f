"""The sandbox's text: the prompt with more detail, as a prompt enhancer would write it, and who wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from gateway.domain import SettingValue
from workers.providers.sandbox.shape import number_in

_CHARACTERS_MAX = 100_000
_PROMPT_MAX = 1_500  # a prompt may be longer than what a model would write
_FOOTNOTE = "Written by the Farebox sandbox to test with, not by {model}."
_LIGHT = ("in soft morning light", "under a low golden sun", "in the blue hour", "by the light of a single lamp")
_VIEW = ("seen from a low angle", "as a wide shot", "close up, with a shallow depth of field", "from high above")
_MOOD = ("calm and spacious", "warm and a little nostalgic", "crisp and modern", "quiet, as just after rain")
_DETAIL = ("with fine texture in every surface", "with clean lines and few colours", "with long, soft shadows")


def written(model: str, prompt: str, settings: Mapping[str, SettingValue], entropy: int) -> str:
    """The same text for the same seed; exactly as long as the setting `characters` says, if there is one."""
    random = Random(entropy)  # noqa: S311 - art, not secrets
    text = f"{' '.join(prompt.split())[:_PROMPT_MAX]}, {_more(random)}.\n\n{_FOOTNOTE.format(model=model)}"
    ordered = number_in(settings.get("characters"))
    if ordered is None:
        return text
    length = min(int(ordered), _CHARACTERS_MAX)
    while len(text) < length:
        more = _more(random)
        text += f" {more[0].upper()}{more[1:]}."
    return text[:length].rstrip().ljust(length, ".")


def _more(random: Random) -> str:
    return ", ".join(random.choice(words) for words in (_LIGHT, _VIEW, _MOOD, _DETAIL))
