from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

from gateway.errors import RequestRefused
from gateway.outputs import InputFile, parse_data_url
from tests.cases import cases


def picture(file_format: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(file, file_format)
    return file.getvalue()


def data_url(content_type: str, data: bytes) -> str:
    return f"data:{content_type};base64,{base64.b64encode(data).decode()}"


PNG = picture("PNG")


@pytest.mark.parametrize(
    ("content_type", "data"),
    [
        ("image/png", PNG),
        ("image/jpeg", picture("JPEG")),
        ("image/webp", picture("WEBP")),
        ("image/gif", picture("GIF")),
    ],
)
def test_an_image_is_taken_as_it_is(content_type: str, data: bytes) -> None:
    url = data_url(content_type, data)
    assert parse_data_url(url, kind="image", path="inputs.0.url") == InputFile(content_type, data)


@pytest.mark.parametrize("said", ["image/jpg", "image/jpeg", "application/octet-stream", "", "text/html"])
def test_the_bytes_decide_what_an_input_is(said: str) -> None:
    assert parse_data_url(data_url(said, PNG), kind="image", path="inputs.0.url") == InputFile("image/png", PNG)


@pytest.mark.parametrize(("brand", "name"), [(b"heic", "HEIC"), (b"avif", "AVIF")])
def test_what_only_uploads_convert_is_said_to_be_so(brand: bytes, name: str) -> None:
    url = data_url("image/heic", b"\x00\x00\x00\x18ftyp" + brand)
    with pytest.raises(RequestRefused, match=f"is {name}: send it with POST /v1/uploads"):
        parse_data_url(url, kind="image", path="inputs.0.url")


def test_a_video_is_taken_as_it_is() -> None:
    data = b"\x00\x00\x00\x18ftypisom"
    assert parse_data_url(data_url("video/mp4", data), kind="video", path="inputs.0.url").data == data


def test_case_and_parameters_of_the_content_type_do_not_matter() -> None:
    url = data_url("Image/PNG;name=a.png", PNG)
    assert parse_data_url(url, kind="image", path="inputs.0.url").content_type == "image/png"


@cases(
    ("url", "message"),
    [
        ("data:image/png,plain", "must look like data:image/png;base64,…"),
        ("data:;base64,AAAA", "has the content type ''; supported: image/png"),
        ("data:image/png;base64", "must look like"),
        ("https://example.com/a.png", "must look like"),
        (data_url("image/svg+xml", b"<svg/>"), "has the content type 'image/svg\\+xml'; supported: image/png"),
        (data_url("text/html", b"<script>"), "has .* supported: image/png, image/jpeg, image/webp, image/gif$"),
        (data_url("video/mp4", b"\x00\x00\x00\x18ftypisom"), "is video/mp4, but the input's kind is 'image'"),
        ("data:image/png;base64,!!!!", "is not valid base64"),
        ("data:image/png;base64,AAA", "is not valid base64"),
        ("data:image/png;base64,ÄÄÄÄ", "is not valid base64"),
        (data_url("image/png", b"<script>alert(1)</script>"), "says image/png, but its bytes are not"),
        (data_url("image/png", b""), "says image/png, but its bytes are not"),
    ],
)
def test_what_is_wrong_with_an_input_is_said_with_its_place(url: str, message: str) -> None:
    with pytest.raises(RequestRefused, match=f"inputs.3.url {message}") as refused:
        parse_data_url(url, kind="image", path="inputs.3.url")
    assert [problem.path for problem in refused.value.problems] == ["inputs.3.url"]


@pytest.mark.parametrize("spare", [0, 1, 2, 3])
def test_an_input_may_be_as_large_as_allowed_and_not_a_byte_larger(spare: int) -> None:
    data = PNG + bytes(spare)
    url = data_url("image/png", data)
    assert parse_data_url(url, kind="image", path="inputs.0.url", bytes_max=len(data)).data == data
    with pytest.raises(RequestRefused, match=f"is larger than {len(data) - 1:,} bytes"):
        parse_data_url(url, kind="image", path="inputs.0.url", bytes_max=len(data) - 1)
