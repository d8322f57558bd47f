"""What is deployed is tried in front of the gateway that the API's tests have."""

from __future__ import annotations

from tests.api.conftest import gateway

__all__ = ["gateway"]
