"""The dict that a generation's JSON is written from is what `/openapi.json` says of it."""

from __future__ import annotations

from typing import NotRequired, get_origin, get_type_hints

import pytest
from pydantic import BaseModel

from gateway.schemas import generations as schemas
from gateway.schemas import prices
from gateway.schemas.work import WorkOut
from gateway.views import generation_members as members


@pytest.mark.parametrize(
    ("written", "described"),
    [
        (members.GenerationMembers, schemas.GenerationOut),
        (members.PriceMembers, prices.Price),
        (members.LineMembers, prices.Line),
        (members.CreditsMembers, schemas.GenerationCredits),
        (members.ShareMembers, prices.Share),
        (members.OutputMembers, schemas.OutputOut),
        (members.FailureMembers, schemas.Failure),
        (members.InputMembers, schemas.InputOut),
        (members.WorkMembers, WorkOut),
    ],
)
def test_what_is_written_is_what_is_described(written: type, described: type[BaseModel]) -> None:
    fields = described.model_fields
    assert set(written.__annotations__) == set(fields)
    always = {name for name, field in fields.items() if field.is_required()}
    hints = get_type_hints(written, include_extras=True)
    assert {name for name, hint in hints.items() if get_origin(hint) is not NotRequired} == always
