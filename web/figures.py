"""Figures of the pages: stored pictures with fewer bytes, as HTML with their size and alternative text."""

import base64
import hashlib
import html
import io
from pathlib import Path

from PIL import Image

from gptlib.files import replacing

COLOURS = 256  # what a palette holds; drawings have few colours, and their edges stay sharp


def figure(output: dict, folder: Path) -> str:
    """The HTML of a stored picture, whose file is written into the folder `figures` of static files."""
    stored = base64.b64decode(output["data"]["image/png"])
    about = output["metadata"].get("image/png", {})
    name = f"{hashlib.sha256(stored).hexdigest()[:16]}.png"
    path = folder / "figures" / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(smaller(stored))
    with Image.open(path) as picture:
        width, height = picture.size
    if "width" in about:  # drawn with more pixels than it takes on the page
        width, height = about["width"], round(height * about["width"] / width)
    alt = html.escape(about.get("alt", ""))
    source = f"_static/figures/{name}"
    return f'<img class="plot" src="{source}" alt="{alt}" width="{width}" height="{height}" loading="lazy">'


def smaller(png: bytes) -> bytes:
    """A PNG with a palette on white paper, or the stored one where that is smaller."""
    with Image.open(io.BytesIO(png)) as picture:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        paper.alpha_composite(picture)
    result = io.BytesIO()
    flat = paper.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    flat.save(result, format="PNG", optimize=True)
    return min(result.getvalue(), png, key=len)
