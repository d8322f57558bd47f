"""The calls of the `openai` packages that Farebox serves."""

from __future__ import annotations

from gateway.api.http.route import Route
from gateway.domain import Scope
from gateway.facades.openai import audio, images, models, videos

ACCOUNT = frozenset({Scope.ACCOUNT})
VIDEO = "/openai/v1/videos/{video}"

# fmt: off
OPENAI_ROUTES: tuple[Route, ...] = (
    Route("POST", "/openai/v1/images/generations", images.generations, ACCOUNT, None, None, "Generate images",
          own_idempotency=True),
    Route("POST", "/openai/v1/images/edits", images.edits, ACCOUNT, None, None, "Edit images", own_idempotency=True,
          looks_up_key=True),
    Route("POST", "/openai/v1/videos", videos.create, ACCOUNT, None, None, "Create a video", own_idempotency=True,
          looks_up_key=True),
    Route("GET", "/openai/v1/videos", videos.listed, ACCOUNT, None, None, "List videos"),
    Route("GET", VIDEO, videos.get, ACCOUNT, None, None, "Get a video"),
    Route("DELETE", VIDEO, videos.delete, ACCOUNT, None, None, "Cancel a video, or delete its file"),
    Route("GET", f"{VIDEO}/content", videos.content, ACCOUNT, None, None, "Download a video; Range is supported",
          media="*/*"),
    Route("POST", f"{VIDEO}/remix", videos.remix, ACCOUNT, None, None, "Remix a video", own_idempotency=True),
    Route("POST", "/openai/v1/audio/speech", audio.speech, ACCOUNT, None, None, "Generate speech", own_idempotency=True,
          media="*/*"),
    Route("GET", "/openai/v1/models", models.listed, ACCOUNT, None, None, "List models", looks_up_key=True),
    Route("GET", "/openai/v1/models/{model}", models.get, ACCOUNT, None, None, "Get a model", looks_up_key=True),
)
# fmt: on
