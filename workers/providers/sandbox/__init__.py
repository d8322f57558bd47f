"""The provider that needs nothing: it really renders, and says in the picture that it is not the model."""

from workers.providers.sandbox.provider import Sandbox

__all__ = ["Sandbox"]
