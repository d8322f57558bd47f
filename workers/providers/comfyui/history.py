"""Reads an ended job from ComfyUI's history: the files it saved, or why it failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from gateway.errors import Moderated, ProviderError, ProviderFailed
from gateway.kinds import MediaKind
from gateway.metering import Unit
from workers.providers.details import presentable
from workers.providers.moderation import MODERATED
from workers.providers.values import text

_EXTENSIONS = {
    MediaKind.IMAGE: (".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif"),
    MediaKind.VIDEO: (".mp4", ".m4v", ".webm", ".mov", ".mkv"),
    MediaKind.AUDIO: (".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a"),
}


def files_of(entry: Mapping[str, Any], kind: MediaKind | None) -> list[str]:
    """The paths of the saved files, in order of node numbers; only those of the requested kind, if there are any.

    Files of preview nodes are temporary: they count only if nothing was saved.
    """
    found = list(_files(entry.get("outputs")))
    saved = [file for file in found if file.get("type", "output") == "output"] or found
    endings = _EXTENSIONS.get(kind) if kind is not None else None
    if endings is not None:
        saved = [file for file in saved if str(file["filename"]).lower().endswith(endings)] or saved
    return [_path(file) for file in saved]


def failure_of(entry: Mapping[str, Any], *, private: str) -> ProviderError | None:
    """Why the job failed; None if it did not."""
    status = entry.get("status")
    if not isinstance(status, dict) or status.get("status_str") != "error":
        return None
    for name, told in _messages(status):
        if name == "execution_interrupted":
            return ProviderFailed("it was interrupted on the server")
        if name == "execution_error":
            kind, message = text(told.get("exception_type")).rpartition(".")[2], text(told.get("exception_message"))
            words = f"{presentable(kind)}: {presentable(message, private=private)}"
            detail = f"its node {presentable(text(told.get('node_type')))} failed: {words}"
            # Nodes that call a vendor pass on its filter's messages.
            return Moderated(detail) if MODERATED.search(message) else ProviderFailed(detail)
    return ProviderFailed("it failed without giving a reason")


def reported_in(entry: Mapping[str, Any]) -> dict[Unit, object]:
    """The seconds that the server worked on the job: from its start to its end, by the server's clock."""
    status, times = entry.get("status"), dict[str, object]()
    for name, told in _messages(status) if isinstance(status, dict) else ():
        times[name] = told.get("timestamp")
    start, end = times.get("execution_start"), times.get("execution_success")
    if not isinstance(start, int | float) or not isinstance(end, int | float):
        return {}
    return {Unit.GPU_SECONDS: (end - start) / 1000}


def _messages(status: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    messages = status.get("messages")
    for message in messages if isinstance(messages, list) else ():
        match message:
            case [str() as name, dict() as told, *_]:
                yield name, told


def _files(outputs: object) -> Iterator[dict[str, Any]]:
    if not isinstance(outputs, dict):
        return
    for _, node in sorted(outputs.items(), key=_place):
        for items in node.values() if isinstance(node, dict) else ():
            for item in items if isinstance(items, list) else ():
                if isinstance(item, dict) and text(item.get("filename")):
                    yield item


def _place(named: tuple[str, object]) -> tuple[int, str]:
    """A node's number for sorting; for one inside a group, `12:3`, the group's."""
    number = named[0].partition(":")[0]
    return (int(number) if number.isdecimal() else 1_000_000_000, named[0])


def _path(file: Mapping[str, Any]) -> str:
    query = {
        name: text(file.get(name)) or usual for name, usual in (("filename", ""), ("subfolder", ""), ("type", "output"))
    }
    return f"/view?{urlencode(query)}"
