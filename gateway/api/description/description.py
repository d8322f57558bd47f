"""The API's description, made when it is first asked for: that takes 200 ms, which a start need not wait for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from gateway.api.console import Asset
from gateway.api.description.docs_page import Document, page


class Description:
    """The OpenAPI document that `describe` makes, and its page."""

    def __init__(self, describe: Callable[[], Document]) -> None:
        self._describe = describe

    @cached_property
    def document(self) -> Document:
        """For programs."""
        return self._describe()

    @cached_property
    def page(self) -> Asset:
        """For people."""
        return Asset.of(page(self.document).encode(), "text/html")
