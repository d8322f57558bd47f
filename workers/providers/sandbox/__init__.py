"""The provider that needs no setup: it really renders, and labels its pictures as not made by the model."""

from workers.providers.sandbox.provider import Sandbox

__all__ = ["Sandbox"]
