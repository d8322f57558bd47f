"""Files as phones, cameras and players have them: what they are is in their bytes, how large is as an eye sees it."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import pillow_heif
import pytest
from PIL import ExifTags, Image

from gateway.errors import MediaNotTaken, MediaUnreadable
from gateway.media import Media, Readers, content_type_by_opening, converted_by_opening, inspect
from gateway.media.inspection import convert
from tests.made_media import film, picture, png_that_says

FILES = Path(__file__).parents[2] / "media_files"
PLACE: dict[int, tuple[float, ...]] = {ExifTags.GPS.GPSLatitude: (48.0, 51.0, 24.0)}


def photo(format_name: str, orientation: object, *, mode: str = "RGB", size: tuple[int, int] = (64, 48)) -> bytes:
    """A picture that is red at the top left of what is stored, with an orientation and a place in its EXIF."""
    image = Image.new(mode, size, "blue")
    image.paste("red", (0, 0, size[0] // 2, size[1] // 2))
    exif = image.getexif()
    exif[ExifTags.Base.Orientation] = orientation
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(PLACE)
    file = io.BytesIO()
    more = {} if format_name == "HEIF" else {"exif": exif}  # which writes the picture's own as its boxes say it
    image.save(file, format_name, **more)
    return file.getvalue()


def turned(degrees: int) -> bytes:
    """A film that is shown turned by so much: the matrix in its track's head."""
    whole = film()
    matrices = {
        90: (0, 1, -1, 0),
        180: (-1, 0, 0, -1),
        270: (0, -1, 1, 0),
    }
    a, b, c, d = matrices[degrees]
    at = whole.index(b"tkhd") + 4 + 4 + 20 + 8 + 8
    matrix = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    return whole[:at] + matrix + whole[at + 36 :]


def with_pixels_of(width: int, height: int, codec: str) -> bytes:
    """A film whose pixels are not square."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=24)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(width, height)
        for number in range(4):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


@contextmanager
def converted(data: bytes) -> Iterator[tuple[Media, Image.Image]]:
    into = io.BytesIO()
    media = convert(io.BytesIO(data), into)
    with Image.open(into) as image:
        yield media, image


# --- which way up ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_as_wide_as_it_is_shown(format_name: str, orientation: int) -> None:
    seen = inspect(photo(format_name, orientation))
    assert (seen.width, seen.height) == ((64, 48) if orientation < 5 else (48, 64))


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_orientation_that_is_none_turns_nothing(orientation: int) -> None:
    seen = inspect(photo("JPEG", orientation))
    assert (seen.width, seen.height) == (64, 48)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF", "ignore:Tag data larger")
@pytest.mark.parametrize("keep", [8, 14, 20, 30])
def test_exif_that_is_damaged_turns_nothing_and_ends_nothing(keep: int) -> None:
    whole = photo("JPEG", 6)
    at = whole.index(b"Exif\0\0") + 6
    length = struct.unpack(">H", whole[at - 8 : at - 6])[0] - 8
    damaged = whole[: at + keep] + b"\xff" * (length - keep) + whole[at + length :]
    assert {inspect(damaged).width, inspect(damaged).height} == {64, 48}


@pytest.mark.parametrize(("degrees", "size"), [(90, (48, 64)), (180, (64, 48)), (270, (48, 64))])
def test_a_video_is_as_wide_as_it_is_shown(degrees: int, size: tuple[int, int]) -> None:
    seen = inspect(turned(degrees))
    assert (seen.width, seen.height) == size


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
@pytest.mark.parametrize(
    ("ratio", "size"), [((1, 1), (64, 48)), ((4, 3), (85, 48)), ((3, 4), (64, 64)), ((200, 1), (64, 48))]
)
def test_pixels_that_are_not_square_are_stretched(codec: str, ratio: tuple[int, int], size: tuple[int, int]) -> None:
    seen = inspect(with_pixels_of(*ratio, codec))
    assert (seen.width, seen.height) == size


def test_a_side_has_a_limit_of_its_own() -> None:
    """A line of a million pixels passed, and had no name that it could be kept under: a 500."""
    with pytest.raises(MediaUnreadable, match="the limit is 65,535 per side"):
        inspect(png_that_says(1_000_000, 1))


# --- the bytes decide -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("opening", "content_type"),
    [
        (b"\0\0\0\x18ftypisom", "video/mp4"),
        (b"\0\0\0\x18ftypM4V ", "video/mp4"),
        (b"\0\0\0\x18ftyp3gp4", "video/mp4"),
        (b"\0\0\0\x14ftypqt  ", "video/quicktime"),
        (b"\0\0\0\x08free\0\0\0\x18ftypmp42", "video/mp4"),
        (b"\0\0\0\x10skip" + bytes(8) + b"\0\0\0\x08wide\0\0\0\x14ftypqt  ", "video/quicktime"),
        (b"\0\0\x40\0free" + bytes(1000), "video/mp4"),
        (b"\0\0\0\x08wide\0\0\x10\0mdat", "video/quicktime"),
        (b"\0\0\x10\0moov\0\0\0\x6cmvhd", "video/quicktime"),
        (b"\0\0\0\x18ftypheic", None),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", None),
        (b"\0\0\0\x08freeX", "video/mp4"),
        (b"\0\0\0\x08junk", None),
        (b"", None),
    ],
)
def test_an_mp4_like_file_is_recognized_by_its_brand_wherever_it_is(opening: bytes, content_type: str | None) -> None:
    assert content_type_by_opening(opening) == content_type


@pytest.mark.parametrize(
    ("opening", "content_type"),
    [
        (b"\0\0\0\x18ftypheic", "image/heic"),
        (b"\0\0\0\x18ftyphevc", "image/heic"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic", "image/heic"),
        (b"\0\0\0\x1cftypmsf1\0\0\0\0msf1avis", "image/avif"),
        (b"\0\0\0\x18ftypavif", "image/avif"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1miaf", None),
        (b"\0\0\0\x18ftypisom", None),
    ],
)
def test_an_mp4_like_picture_is_recognized_by_its_brands(opening: bytes, content_type: str | None) -> None:
    assert converted_by_opening(opening) == content_type


SEEN = {"gif-video.gif": Media("image/gif", 96, 64)}
DAMAGED = {  # the first one's index says where its pictures would be if nothing stood in front of it
    "free-first.mp4": "no frame that can be decoded",
    "no-moov.mp4": "truncated",
}
REFUSED = {"h264.avi": "AVI", "image.bmp": "BMP", "image.tiff": "TIFF", "vector.svg": "SVG"}
KEPT_AS_JPEG = ("image.avif", "photo.heic")


@pytest.mark.parametrize("name", SEEN)
def test_these_files_are_taken_as_they_are(name: str) -> None:
    assert inspect((FILES / name).read_bytes()) == SEEN[name]


@pytest.mark.parametrize("name", REFUSED)
def test_these_files_are_of_a_format_that_is_not_taken(name: str) -> None:
    with pytest.raises(MediaNotTaken, match=REFUSED[name]):
        inspect((FILES / name).read_bytes())


@pytest.mark.parametrize("name", DAMAGED)
def test_these_files_are_damaged(name: str) -> None:
    with pytest.raises(MediaUnreadable, match=DAMAGED[name]) as refused:
        inspect((FILES / name).read_bytes())
    assert not isinstance(refused.value, MediaNotTaken)


@pytest.mark.parametrize("space", [8, 500, 70_000])
def test_an_mp4_may_begin_with_empty_space(space: int) -> None:
    whole = film()
    at = whole.index(b"stco") + 8
    (count,) = struct.unpack_from(">I", whole, at)
    offsets = [offset + space for offset in struct.unpack_from(f">{count}I", whole, at + 4)]
    moved = whole[: at + 4] + struct.pack(f">{count}I", *offsets) + whole[at + 4 + 4 * count :]
    assert inspect(struct.pack(">I4s", space, b"free") + bytes(space - 8) + moved) == inspect(whole)


def test_each_of_the_files_is_claimed_about() -> None:
    assert {path.name for path in FILES.iterdir()} == {*SEEN, *REFUSED, *KEPT_AS_JPEG, *DAMAGED}


# --- HEIC and AVIF --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KEPT_AS_JPEG)
def test_heic_and_avif_are_kept_as_a_jpeg_and_are_no_outputs(name: str) -> None:
    data = (FILES / name).read_bytes()
    with converted(data) as (media, image):
        assert (media.content_type, image.format) == ("image/jpeg", "JPEG")
        assert (media.width, media.height) == image.size == (64, 48)
    with pytest.raises(MediaNotTaken, match=r"HEIC|AVIF"):
        inspect(data)


@pytest.fixture(scope="module", autouse=True)
def _saves_heic() -> None:
    pillow_heif.register_heif_opener()


@pytest.mark.parametrize("format_name", ["HEIF", "AVIF"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_what_is_kept_is_upright_and_without_the_place(format_name: str, orientation: int) -> None:
    with converted(photo(format_name, orientation)) as (media, image):
        assert (media.width, media.height) == image.size == ((64, 48) if orientation < 5 else (48, 64))
        assert not image.getexif()
        red = {1: (0.25, 0.25), 3: (0.75, 0.75), 6: (0.75, 0.25), 8: (0.25, 0.75)}[orientation]
        pixel = image.convert("RGB").getpixel((int(image.width * red[0]), int(image.height * red[1])))
        assert isinstance(pixel, tuple)
        assert pixel[0] > 200
        assert pixel[2] < 100


@pytest.mark.parametrize("format_name", ["HEIF", "AVIF"])
def test_what_is_transparent_is_kept_as_a_png_and_the_rest_is_not(format_name: str) -> None:
    for alpha, kept_as in ((128, "image/png"), (255, "image/jpeg")):
        image = Image.new("RGBA", (64, 48), (255, 0, 0, alpha))
        file = io.BytesIO()
        image.save(file, format_name)
        with converted(file.getvalue()) as (media, _):
            assert media.content_type == kept_as


@pytest.mark.parametrize("format_name", ["HEIF", "AVIF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_heic_or_avif_that_was_cut_short_is_refused(format_name: str, share: float) -> None:
    whole = picture(format_name)
    with pytest.raises(MediaUnreadable):
        convert(io.BytesIO(whole[: int(len(whole) * share)]), io.BytesIO())


def test_only_what_is_converted_is_converted() -> None:
    with pytest.raises(MediaUnreadable, match="not one of image/heic, image/avif"):
        convert(io.BytesIO(picture("PNG")), io.BytesIO())


async def test_a_reader_of_its_own_converts(tmp_path: Path) -> None:
    """Twice into the same file: a look that is broken off is begun anew."""
    readers = Readers()
    into_path = tmp_path / "into"
    with (FILES / "photo.heic").open("rb") as file, into_path.open("w+b", buffering=0) as into:
        into.write(b"rest" * 10_000)
        for _ in range(2):
            assert await readers.convert(file, into) == Media("image/jpeg", 64, 48)
    assert inspect(into_path.read_bytes()) == Media("image/jpeg", 64, 48)
    await readers.close()
