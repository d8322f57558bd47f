"""Caches the last response of `GET /v1/generations/{generation}`, because polling clients ask for the same repeatedly.

The cache is never trusted by itself. Each time, the ledger is asked whether the caller may see the generation and
whether it has changed; only if it has not is the cached JSON sent again.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from gateway.json_text import to_json
from gateway.ledger import outcomes
from gateway.outputs import OutputLinks
from gateway.views.generations import Standing, generation_members

ENTRIES_MAX = 2_000
BYTES_MAX = 8_192  # per body, so that all of them take at most 32 MB, including the values they were built from


@dataclass(frozen=True, slots=True)
class KeptBody:
    """A sent body and what it was built from: the generation, its standing, and when its URLs expire."""

    generation: outcomes.Generation
    standing: Standing
    links_expire_at: int
    json: bytes


class Bodies:
    """The last body of each recently read generation."""

    def __init__(self, links: OutputLinks) -> None:
        """Sign the URLs of outputs with `links`."""
        self._links = links
        self._kept: OrderedDict[str, KeptBody] = OrderedDict()

    def known(self, generation: str) -> outcomes.Generation | None:
        """The generation as last sent, to ask the ledger whether it has changed since."""
        kept = self._kept.get(generation)
        return None if kept is None else kept.generation

    def json(self, generation: outcomes.Generation, standing: Standing) -> bytes:
        """The generation as the API shows it, as JSON."""
        made_of = generation, standing, self._links.expire_at()
        kept = self._kept.get(generation.id)
        if kept is not None and (kept.generation, kept.standing, kept.links_expire_at) == made_of:
            self._kept.move_to_end(generation.id)
            return kept.json
        body = to_json(generation_members(generation, self._links, standing))
        self._keep(KeptBody(*made_of, body))
        return body

    def _keep(self, body: KeptBody) -> None:
        self._kept.pop(body.generation.id, None)
        if len(body.json) > BYTES_MAX:
            return
        self._kept[body.generation.id] = body
        if len(self._kept) > ENTRIES_MAX:
            self._kept.popitem(last=False)
