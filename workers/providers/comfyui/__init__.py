"""ComfyUI: the operator's own workflows, filled in and queued on the operator's own server."""

from workers.providers.comfyui.provider import ComfyUi

__all__ = ["ComfyUi"]
