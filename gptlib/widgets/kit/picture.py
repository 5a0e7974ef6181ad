"""The font and the PNG files of the pictures, and how a page shows them: sharp, and with a text."""

import base64
import html
import io
from functools import lru_cache
from pathlib import Path

import matplotlib as mpl
from IPython.display import Image as StaticImage
from PIL import Image, ImageFont

SCALE = (
    2  # pixels of a picture for each pixel of its width on the page: sharp on screens with twice the pixels
)


@lru_cache
def font(size: int, mono: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans of `size` pixels, which matplotlib ships."""
    name = "DejaVuSansMono.ttf" if mono else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / name, size)


def png(image: Image.Image) -> bytes:
    """The image as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "png")
    return buffer.getvalue()


def width_on_page(picture: bytes) -> int:
    """How wide a page shows a PNG: one pixel for SCALE of its own."""
    return int.from_bytes(picture[16:20], "big") // SCALE  # the width in the header


def data_url(picture: bytes) -> str:
    """A PNG as an address that holds the file itself."""
    return "data:image/png;base64," + base64.b64encode(picture).decode("ascii")


def picture_html(picture: bytes, alt: str) -> str:
    """HTML: a PNG at its width on the page, at most as wide as the page; `alt` says what it shows."""
    width, words = width_on_page(picture), html.escape(alt)
    style = "display:block;max-width:100%;height:auto"
    return f'<img src="{data_url(picture)}" alt="{words}" width="{width}" style="{style}">'


def static_picture(picture: bytes, alt: str) -> StaticImage:
    """The picture for a page without a kernel; `alt` is stored beside it."""
    # in the metadata, because IPython 7 knows no argument `alt`
    return StaticImage(picture, width=width_on_page(picture), metadata={"alt": alt})
