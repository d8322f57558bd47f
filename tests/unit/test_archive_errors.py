"""What is said of the archive's errors."""

from __future__ import annotations

import asyncpg
import pytest

from gateway.archive.connection import translated
from gateway.errors import ArchiveUnavailable


def test_an_error_of_postgresql_is_told_without_the_row_it_is_about() -> None:
    """The archivist logs it, and of a refused row the details have every field: prompts, too."""
    refused = asyncpg.NotNullViolationError('null value in column "place"')
    refused.detail = "Failing row contains (gen_1, a secret prompt)."
    with pytest.raises(ArchiveUnavailable) as said, translated("write"):
        raise refused
    assert str(said.value) == 'write: NotNullViolationError: null value in column "place"'
    assert said.value.__cause__ is None
