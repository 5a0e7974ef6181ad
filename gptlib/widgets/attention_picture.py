"""The attention explorer's pictures as PNG bytes: all heads as one mosaic, and one head as a labelled matrix.

Drawn pixel by pixel into one array and labelled with Pillow: with 64 tokens matplotlib needs a quarter of a
second for the 128 tick labels alone, and a redraw must stay under a tenth.
"""

import io
from functools import lru_cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

COLOURS = np.round(255 * mpl.colormaps["cividis"](np.linspace(0, 1, 232))[:, :3]).astype(np.uint8)
GREYS = np.linspace(0, 255, 23).round().astype(np.uint8)  # for letters with soft edges
WHITE, HATCH, BLACK, CHOSEN = (255, 255, 255), (197, 197, 197), (0, 0, 0), (213, 94, 0)
PALETTE = Image.new("P", (1, 1))
PALETTE.putpalette(
    np.concatenate([COLOURS, GREYS[:, None].repeat(3, 1), [CHOSEN]]).astype(np.uint8).tobytes()
)
MOSAIC_SIDE, MATRIX_SIDE = 384, 400  # pixels of the longer side, about
LONGEST_LABEL = 10  # characters


@lru_cache
def font(size: int, mono: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib."""
    name = "DejaVuSansMono.ttf" if mono else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / name, size)


def coloured(shade: np.ndarray) -> np.ndarray:
    """uint8 [..., 3]: cividis from dark (0) to bright (1), white where the shade is NaN."""
    pixels = COLOURS[np.round((len(COLOURS) - 1) * np.nan_to_num(shade)).astype(int)]
    pixels[np.isnan(shade)] = WHITE
    return pixels


def png(canvas: Image.Image, compress_level: int = 6) -> bytes:
    """The picture's bytes. One byte per pixel makes them a third as many, and five times as fast to write."""
    buffer = io.BytesIO()
    indexed = canvas.quantize(palette=PALETTE, dither=Image.Dither.NONE)
    indexed.save(buffer, "png", compress_level=compress_level)
    return buffer.getvalue()


def mosaic(shade: np.ndarray, layer: int, head: int) -> Image.Image:
    """Every head of every layer at once: shade [n_layer, n_head, T, T], the chosen one framed."""
    n_layer, n_head = shade.shape[:2]
    side, gap, left, top = MOSAIC_SIDE // max(n_layer, n_head), 4, 64, 50
    size = (left + n_head * (side + gap), top + n_layer * (side + gap))
    canvas = Image.new("RGB", size, WHITE)
    draw = ImageDraw.Draw(canvas)
    draw.text((left, 2), "All heads, in the same colours", BLACK, font(15))
    pixels = coloured(shade)
    for i in range(n_layer):
        y = top + i * (side + gap)
        draw.text((left - 8, y + side / 2), f"layer {i}", BLACK, font(14), anchor="rm")
        for j in range(n_head):
            x = left + j * (side + gap)
            tile = Image.fromarray(pixels[i, j]).resize((side, side), Image.Resampling.BOX)
            canvas.paste(tile, (x, y))
            draw.rectangle((x - 1, y - 1, x + side, y + side), outline=HATCH)
    for j in range(n_head):
        draw.text(
            (left + j * (side + gap) + side / 2, top - 8),
            f"head {j}" if j == 0 else str(j),
            BLACK,
            font(14),
            anchor="ms",
        )
    x, y = left + head * (side + gap), top + layer * (side + gap)
    draw.rectangle((x - 3, y - 3, x + side + 2, y + side + 2), outline=CHOSEN, width=4)
    return canvas


def matrix(shade: np.ndarray, labels: list[str], title: str, scale: list[tuple[float, str]]) -> Image.Image:
    """One head, shade [T, T]: a row for each query, a column for each key, labelled with the tokens.

    `scale` lists the marks of the colour bar: shade, and what it stands for.
    """
    T = len(labels)
    cell = max(13, min(36, MATRIX_SIDE // T))
    labels = [label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…" for label in labels]
    label_font = font(max(13, min(16, cell)), mono=True)
    longest = max(int(np.ceil(label_font.getlength(label))) for label in labels)
    upright = longest <= cell  # else the labels of the columns are turned by a quarter
    left, top, side = longest + 34, 58 + (20 if upright else longest + 6), T * cell
    canvas = Image.new("RGB", (left + side + 78, top + max(side, 120) + 8), WHITE)
    draw = ImageDraw.Draw(canvas)
    draw.text((8, 2), title, BLACK, font(15))
    draw.text((left, 26), "key: is looked at", BLACK, font(14))
    turned_text(canvas, (6, top), "query: looks", font(14))
    pixels = coloured(shade).repeat(cell, 0).repeat(cell, 1)
    masked = np.isnan(shade).repeat(cell, 0).repeat(cell, 1)
    places = np.arange(side)
    stripes = (places % 8)[:, None] == (-places % 8)  # where row + column is a multiple of 8
    pixels[masked & stripes] = HATCH
    canvas.paste(Image.fromarray(pixels), (left, top))
    for i, label in enumerate(labels):
        middle = i * cell + cell / 2
        draw.text((left - 6, top + middle), label, BLACK, label_font, anchor="rm")
        if upright:
            draw.text((left + middle, top - 7), label, BLACK, label_font, anchor="ms")
        else:
            length = int(np.ceil(label_font.getlength(label)))
            turned_text(canvas, (int(left + middle - 9), top - 6 - length), label, label_font)
    colour_bar(canvas, left + side + 14, top, max(side, 120), scale)
    return canvas


def turned_text(canvas: Image.Image, corner: tuple[int, int], text: str, text_font) -> None:
    """Text turned a quarter to the left, its upper left corner at `corner`."""
    box = Image.new("RGB", (int(np.ceil(text_font.getlength(text))), 19), WHITE)
    ImageDraw.Draw(box).text((0, 9), text, BLACK, text_font, anchor="lm")
    canvas.paste(box.transpose(Image.Transpose.ROTATE_90), corner)


def colour_bar(canvas: Image.Image, x: int, y: int, height: int, scale: list[tuple[float, str]]) -> None:
    """What the colours stand for, at most 260 pixels high."""
    height = min(height, 260)
    bar = coloured(np.linspace(1, 0, height))[:, None].repeat(14, 1)
    canvas.paste(Image.fromarray(bar), (x, y))
    draw = ImageDraw.Draw(canvas)
    for shade, label in scale:
        at = y + round((1 - shade) * (height - 1))
        draw.line((x + 14, at, x + 18, at), BLACK)
        draw.text((x + 21, min(max(at, y + 6), y + height - 6)), label, BLACK, font(13), anchor="lm")


def beside(left: Image.Image | None, right: Image.Image) -> Image.Image:
    """Both pictures in one: side by side where a page is wide enough for that, else one above the other."""
    if left is None:
        return right
    wide = left.width + right.width <= 1000
    size = (left.width + right.width, max(left.height, right.height))
    if not wide:
        size = (max(left.width, right.width), left.height + right.height)
    canvas = Image.new("RGB", size, WHITE)
    canvas.paste(left, (0, 0))
    canvas.paste(right, (left.width, 0) if wide else (0, left.height))
    return canvas
