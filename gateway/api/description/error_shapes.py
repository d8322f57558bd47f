"""The shape of each error code's response, so that a client that checked `code` knows its other members."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, create_model

from gateway.api.errors import ApiError, error_classes
from gateway.schemas.base import Answer
from gateway.schemas.errors import ErrorBody


@cache
def error_shapes() -> dict[type[ApiError], type[BaseModel]]:
    """The shape of each error's whole response, `{"error": {"code": …}}`."""
    return {error: _envelope(error) for error in error_classes()}


def _envelope(error: type[ApiError]) -> type[BaseModel]:
    name = "".join(word.capitalize() for word in error.code.split("_"))
    code: Any = Literal[error.code]
    body = create_model(
        name, __base__=ErrorBody if error.shape is None else (error.shape, ErrorBody), __doc__=error.__doc__, code=code
    )
    doc = f"The response with error code `{error.code}`."
    return create_model(f"{name}Error", __base__=Answer, __doc__=doc, error=body)
