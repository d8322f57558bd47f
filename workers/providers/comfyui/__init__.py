"""ComfyUI: a workflow of one's own, filled in and queued on a server of one's own."""

from workers.providers.comfyui.provider import ComfyUi

__all__ = ["ComfyUi"]
