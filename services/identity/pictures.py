"""Pictures, decoded and written anew by Pillow: what is kept of one is its pixels, a bounded number of them."""

from io import BytesIO

from PIL import Image, ImageOps

FORMATS = ("JPEG", "PNG", "WEBP")  # told by the first bytes: what a file is called proves nothing
MOST_PIXELS = 24_000_000  # of what is given: as decoded, a hundred megabytes
EDGE = 512  # pixels of the longer side of what is kept
QUALITY = 85
Image.MAX_IMAGE_PIXELS = MOST_PIXELS
UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,  # Pillow's word for a broken PNG
    EOFError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


class Unreadable(Exception):  # noqa: N818 - what it is
    """No picture of a kind that we take, or a larger one."""


def rewritten(content: bytes) -> tuple[bytes, str]:
    """A file with the same picture and nothing else, and its media type; or Unreadable."""
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as given:
            if given.width * given.height > MOST_PIXELS:
                raise Unreadable
            given.draft("RGB", (EDGE, EDGE))  # a JPEG need not be decoded larger than it is shown
            upright = ImageOps.exif_transpose(given)
            upright.thumbnail((EDGE, EDGE))
            return written(upright)
    except UNREADABLE:
        raise Unreadable from None


def written(picture: Image.Image) -> tuple[bytes, str]:
    """A file with the pixels alone: pasted on an empty picture, no comment or profile comes along."""
    is_clear = picture.has_transparency_data
    mode = "RGBA" if is_clear else "RGB"
    bare = Image.new(mode, picture.size)
    bare.paste(picture.convert(mode))
    file = BytesIO()
    bare.save(file, "WEBP" if is_clear else "JPEG", quality=QUALITY)
    return file.getvalue(), "image/webp" if is_clear else "image/jpeg"
