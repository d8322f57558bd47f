"""docs/limits.md says what the code does: a limit or a route that changes there changes here, or this fails."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.api import limits
from gateway.api.access import key_use
from gateway.api.access.auth import KEY_MAX_CHARACTERS
from gateway.api.access.member_roles import for_members
from gateway.api.errors import error_classes
from gateway.api.http import headers
from gateway.api.http.route import Route
from gateway.api.routes import ROUTES
from gateway.domain import Scope
from gateway.ledger.webhooks import WEBHOOKS_MAX
from gateway.media import images, inspection, isolation, videos
from gateway.outputs.uploads import LIFETIME_SECONDS
from gateway.outside.addresses import URL_MAX
from gateway.outside.receivers import CALL_SECONDS
from gateway.pricing import measures
from gateway.schemas import base, tags
from gateway.schemas import generations as schemas
from gateway.schemas.webhooks import DESCRIPTION_MAX_CHARACTERS
from gateway.settings import Settings
from tests.cases import cases

PAGE = (Path(__file__).parents[2] / "docs" / "limits.md").read_text()

LIMITS: dict[str, tuple[float | str, str]] = {
    "body": (f"{limits.BODY_MAX_BYTES // 1024 // 1024} MiB", "413 body_too_large"),
    "body, without a key": (f"{limits.KEYLESS_BODY_MAX_BYTES // 1024} KiB", "413 body_too_large"),
    "values in a body": (limits.JSON_VALUES_MAX, "422 invalid_request"),
    "query parameters": (limits.QUERY_FIELDS_MAX, "422 invalid_request"),
    "form parameters": (limits.FORM_FIELDS_MAX, "422 invalid_request"),
    "parts of a form with files": (limits.FORM_PARTS_MAX, "422 invalid_request"),
    "files of a form, together": (f"{limits.INPUTS_MAX_BYTES // 1024 // 1024} MiB", "413 body_too_large"),
    "fields of an error": (limits.FAULTS_MAX, ""),
    "request line, each header": (limits.HEADER_MAX_BYTES, "431 headers_too_large"),
    "headers": (limits.HEADERS_MAX, "431 headers_too_large"),
    "API key": (KEY_MAX_CHARACTERS, "401 invalid_key"),
    "Idempotency-Key": (255, "422 invalid_request"),
    "JSON depth": (limits.JSON_DEPTH_MAX, "400 invalid_json"),
    "prompt": (measures.PROMPT_MAX_CHARACTERS, "422 invalid_request"),
    "metadata": (f"{base.METADATA_MAX_BYTES // 1024} KiB", "422 invalid_request"),
    "tags": (tags.TAGS_MAX, "422 invalid_request"),
    "inputs": (measures.INPUTS_MAX, "422 invalid_request"),
    "an input's https: URL": (schemas.URL_MAX_CHARACTERS, "422 invalid_request"),
    "outputs": (schemas.OUTPUTS_MAX, "422 invalid_request"),
    "upload": (f"{limits.UPLOAD_MAX_BYTES // 1024 // 1024} MiB", "413 body_too_large"),
    "upload, pixels": (images.PIXELS_MAX, "422 invalid_request"),
    "upload, frames of an animated image": (images.FRAMES_MAX, "422 invalid_request"),
    "upload, pixels of all its frames": (images.FRAMES_PIXELS_MAX, "422 invalid_request"),
    "uploads, inspection time": (limits.INSPECTION_SECONDS_A_MINUTE, "429 rate_limited"),
    "upload, inspection time": (inspection.INSPECT_SECONDS, "422 invalid_request"),
    "upload, inspection memory": (f"{isolation.MEMORY_MAX_BYTES // 1024 // 1024:,} MiB", "422 invalid_request"),
    "uploads of one request": (f"{limits.INPUTS_MAX_BYTES // 1024 // 1024} MiB", "422 invalid_request"),
    "concurrent uploads": (limits.UPLOADS_MAX, "429 rate_limited"),
    "uploads per day": (f"{Settings.model_fields['upload_gib_per_day'].default} GiB", "429 rate_limited"),
    "webhooks": (WEBHOOKS_MAX, "422 invalid_request"),
    "a webhook's URL": (URL_MAX, "422 invalid_request"),
    "a webhook's description": (DESCRIPTION_MAX_CHARACTERS, "422 invalid_request"),
    "a webhook's response": (CALL_SECONDS, ""),
    "page of a list": (base.PAGE_MAX, ""),
    "requests per minute": (Settings.model_fields["requests_per_minute"].default or "off", "429 rate_limited"),
    "invalid keys": (limits.WRONG_KEYS_PER_MINUTE, "429 rate_limited"),
    "client tokens": (limits.TOKENS_PER_MINUTE, "429 rate_limited"),
    "event streams": (limits.STREAMS_MAX, "429 rate_limited"),
    "event streams of a client token": (limits.TOKEN_STREAMS_MAX, "429 rate_limited"),
    "request head": (limits.HEAD_SECONDS, ""),
    "idle connection": (limits.IDLE_SECONDS, ""),
    "body, time": (limits.BODY_SECONDS, "408 body_too_slow"),
    "upload, time": (f"{limits.UPLOAD_BYTES_PER_SECOND // 1024} KiB", "408 body_too_slow"),
    "unread response": (limits.READ_SECONDS, ""),
    "unread body": (limits.LINGER_SECONDS, ""),
    "unread compressed body": (limits.PACKED_LINGER_SECONDS, ""),
    "connections": (limits.DESCRIPTORS_KEPT, "503 overloaded"),
    "connections per address": (limits.PER_ADDRESS_MAX, "429 rate_limited"),
}


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@cases("name", LIMITS)
def test_each_limit_is_the_codes_own(name: str) -> None:
    value, answer = LIMITS[name]
    found = {row[0].replace("`", ""): row for row in rows("Limits")}
    assert name in found, f"docs/limits.md lacks the limit {name!r}"
    shown = f"{value:,g}" if isinstance(value, int | float) else value
    if isinstance(value, int):
        shown = f"{value:,}"
    assert re.search(rf"(?<![\d,]){re.escape(shown)}(?!,?\d)", found[name][1]), found[name]
    assert answer in found[name][2].replace("`", ""), found[name]


def test_no_limit_is_only_on_the_page() -> None:
    assert {row[0].replace("`", "") for row in rows("Limits")} == set(LIMITS)


def test_every_code_on_the_page_is_one_that_exists() -> None:
    known = {(str(error.status), error.code) for error in error_classes()}
    assert set(re.findall(r"`(\d{3}) ([a-z_]+)`", PAGE)) <= known


def row_of(route: Route) -> list[str]:
    """How the page shows a route."""
    if not route.scopes:
        return [f"`{route.method} {route.path}`", "anyone", *("" for _ in Scope)]
    nobody = "or none" if route.key_optional else "or a signed link" if route.opened_by_signature else ""
    admitted = ["yes" if scope in route.scopes else "" for scope in Scope]
    if Scope.ACCOUNT in route.scopes:
        call = for_members(route.method, route.named_path)
        admitted[0] = f"{call.least}, not service" if call.only else call.least.value
    return [f"`{route.method} {route.path}`", nobody, *admitted]


def test_the_page_shows_every_route_with_its_scopes() -> None:
    heads = [line for line in PAGE.splitlines() if line.startswith("| route |")]
    assert heads == ["| route | no key | " + " | ".join(scope.value for scope in Scope) + " |"]
    shown = rows("Routes and keys")
    assert shown == [row_of(route) for route in ROUTES], "\n" + "\n".join(
        "| " + " | ".join(row_of(route)) + " |" for route in ROUTES
    )


def test_the_page_names_the_rates_headers_and_when_a_use_shows() -> None:
    for header in (headers.LIMIT_HEADER, headers.REMAINING_HEADER, headers.RESET_HEADER):
        assert f"`{header}`" in PAGE
    assert key_use.APART_SECONDS == 60, "the page says: a minute"


def test_the_page_says_how_wrong_keys_are_slowed_down() -> None:
    assert f"operators only, and where the console signs in, {limits.WRONG_OPERATOR_KEYS_PER_MINUTE}." in PAGE
    assert f"answered after {limits.WRONG_KEY_DELAY_SECONDS} s" in PAGE
    assert f"{limits.WRONG_KEY_CLIENTS_MAX:,} clients" in PAGE


def test_the_page_says_how_large_a_video_may_be_and_how_long_an_upload_lives() -> None:
    assert f"of a video {videos.PIXELS_MAX:,} (8K)" in PAGE
    assert f"An upload lives for {LIFETIME_SECONDS // 3600} hours" in PAGE
