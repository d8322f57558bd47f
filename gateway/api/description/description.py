"""The API's description, created at the first request: it takes 200 ms, which would delay the start."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from gateway.api.console import Asset, Console
from gateway.api.description.docs_page import Document, contents


class Description:
    """The OpenAPI document from `describe`, and its page."""

    def __init__(self, describe: Callable[[], Document], console: Console) -> None:
        """The page is one of this console."""
        self._describe = describe
        self._console = console

    @cached_property
    def document(self) -> Document:
        """The OpenAPI document as JSON."""
        return self._describe()

    @cached_property
    def page(self) -> Asset:
        """The page of `/docs`."""
        return self._console.framed("docs", contents(self.document))
