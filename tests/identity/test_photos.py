"""Photos are written anew, of whatever they were made: what is kept is what they show."""

import struct
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from services.identity import photos
from services.identity.refusals import PhotoUnreadable
from tests.identity.people import PNG

WHERE = "52.5163 N 13.3777 E"


def made(format: str, mode: str = "RGB", size: Any = (900, 600), **said: Any) -> bytes:
    file = BytesIO()
    Image.new(mode, size, 1).save(file, format, **said)
    return file.getvalue()


def with_exif(orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010E], exif[0x0112], exif[0x8825] = WHERE, orientation, {1: "N", 2: (52.0, 30.0, 58.0)}
    return exif


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
async def test_where_a_photo_was_taken_is_not_kept(format: str) -> None:
    given = made(format, exif=with_exif(), **({"comment": WHERE} if format == "JPEG" else {}))
    assert WHERE.encode() in given
    kept = await photos.read(given)
    assert WHERE.encode() not in kept.content
    with Image.open(BytesIO(kept.content)) as shown:
        assert (dict(shown.getexif()), shown.size) == ({}, (512, 341))
        assert not shown.info.keys() & {"exif", "comment", "icc_profile", "xmp"}


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "P", "1"])
async def test_a_picture_of_any_colours_becomes_a_jpeg(mode: str) -> None:
    kept = await photos.read(made("PNG" if mode in ("P", "1") else "JPEG", mode))
    assert kept.content_type == "image/jpeg"


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
async def test_what_is_clear_stays_clear(mode: str) -> None:
    kept = await photos.read(made("PNG", mode))
    assert kept.content_type == "image/webp"
    with Image.open(BytesIO(kept.content)) as shown:
        assert shown.has_transparency_data


async def test_a_photo_that_was_held_sideways_is_upright() -> None:
    kept = await photos.read(made("JPEG", exif=with_exif(orientation=6)))
    with Image.open(BytesIO(kept.content)) as shown:
        assert shown.height > shown.width


async def test_a_small_picture_is_not_made_larger() -> None:
    with Image.open(BytesIO((await photos.read(PNG)).content)) as shown:
        assert shown.size == (1, 1)


def claims_to_be_large() -> bytes:
    """Thirteen bytes of a head that would have a terabyte be made."""
    head = b"IHDR" + struct.pack(">IIBBBBB", 500_000, 500_000, 8, 6, 0, 0, 0)
    return PNG[:8] + struct.pack(">I", 13) + head + PNG[29:]


BAD = {
    "nothing": b"",
    "markup": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
    "a name alone": b"\x89PNG\r\n\x1a\n and what a picture is made of",
    "a gif": b"GIF89a" + bytes(60),
    "a tiff": b"II*\0" + bytes(60),
    "half a photo": made("JPEG")[:900],
    "a bomb": made("PNG", "1", (7_000, 7_000)),
    "a large one": made("PNG", "1", (5_000, 5_000)),
    "a larger one": claims_to_be_large(),
}


@pytest.mark.parametrize("kind", BAD)
async def test_what_is_no_photo_or_too_much_of_one_is_refused(kind: str) -> None:
    with pytest.raises(PhotoUnreadable):
        await photos.read(BAD[kind])
