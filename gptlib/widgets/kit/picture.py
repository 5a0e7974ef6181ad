"""The font and the PNG encoder of the pictures that Pillow draws."""

import io
from functools import lru_cache
from pathlib import Path

import matplotlib as mpl
from PIL import Image, ImageFont


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
