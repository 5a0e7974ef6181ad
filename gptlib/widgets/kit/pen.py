"""A pen for pictures: its coordinates are those of the page, its canvas has SCALE times as many pixels."""

import numpy as np
from PIL import Image, ImageDraw

from gptlib.widgets.kit.palette import BLACK, WHITE
from gptlib.widgets.kit.picture import SCALE, font, png


class Pen:
    """Draws on a canvas of SCALE times `size` pixels; all coordinates are those of the page.

    A frame is a rectangle (left, top, right, bottom).
    """

    def __init__(self, size: tuple[int, int]):
        self.size = size
        self.canvas = Image.new("RGB", (SCALE * size[0], SCALE * size[1]), WHITE)
        self.draw = ImageDraw.Draw(self.canvas)

    def line(self, points, colour=BLACK, width=1.0, frame=None) -> None:
        """A line through points [n, 2], clipped to the frame."""
        points = SCALE * np.asarray(points, dtype=float)
        style = {"fill": colour, "width": round(SCALE * width), "joint": "curve"}
        if frame is None:
            self.draw.line(list(map(tuple, points.tolist())), **style)
            return
        box = tuple(SCALE * edge for edge in frame)
        part = self.canvas.crop(box)  # drawing on a copy of the frame clips at its edges
        points = np.clip(points, -6000, 6000) - box[:2]  # Pillow overflows on distant points
        ImageDraw.Draw(part).line(list(map(tuple, points.tolist())), **style)
        self.canvas.paste(part, box[:2])

    def dots(self, points, colour, frame, radius=2.2) -> None:
        """A dot at each of the points [n, 2] that lie in the frame."""
        left, top, right, bottom = frame
        for x, y in points:
            if left <= x <= right and top <= y <= bottom:
                box = [SCALE * v for v in (x - radius, y - radius, x + radius, y + radius)]
                self.draw.ellipse(box, fill=colour)

    def text(self, x, y, words, size=13, anchor="lm", colour=BLACK, mono=False) -> None:
        """Text of `size` pixels; `anchor` as in Pillow."""
        letters = font(SCALE * size, mono)
        self.draw.text((SCALE * x, SCALE * y), words, colour, letters, anchor=anchor)

    def length(self, words, size=13, mono=False) -> float:
        """How wide a text is."""
        return font(SCALE * size, mono).getlength(words) / SCALE

    def rotated_text(self, x, y, words, size=13, mono=False) -> None:
        """Text that runs upwards, with its upper left corner at (x, y)."""
        height = SCALE * (size + 5)
        box = Image.new("RGB", (int(np.ceil(SCALE * self.length(words, size, mono))), height), WHITE)
        letters = font(SCALE * size, mono)
        ImageDraw.Draw(box).text((0, height / 2), words, BLACK, letters, anchor="lm")
        self.canvas.paste(box.transpose(Image.Transpose.ROTATE_90), (round(SCALE * x), round(SCALE * y)))

    def box(self, frame, colour=BLACK, width: float = 1) -> None:
        """The outline of the frame."""
        edges = [SCALE * edge for edge in frame]
        self.draw.rectangle(edges, outline=colour, width=round(SCALE * width))

    def rounded(self, frame, colour, width: float = 1) -> None:
        """A filled rectangle with rounded corners and a black outline."""
        edges, width = [SCALE * edge for edge in frame], round(SCALE * width)
        self.draw.rounded_rectangle(edges, 4 * SCALE, fill=colour, outline=BLACK, width=width)

    def fill(self, frame, colour) -> None:
        """A filled rectangle; nothing if it is narrower than half a pixel."""
        left, top, right, bottom = (round(SCALE * edge) for edge in frame)
        if frame[2] - frame[0] >= 0.5:
            self.draw.rectangle((left, top, right - 1, bottom - 1), fill=colour)

    def pixels(self, colours: np.ndarray, frame, resampling=Image.Resampling.NEAREST) -> None:
        """An array of colours, uint8 [rows, columns, 3], as cells that fill the frame."""
        left, top, right, bottom = (SCALE * edge for edge in frame)
        cells = Image.fromarray(colours).resize((right - left, bottom - top), resampling)
        self.canvas.paste(cells, (left, top))

    def png(self, colours: int | None = 64) -> bytes:
        """The canvas as PNG, with at most so many colours (None: all): every redraw sends it to the page."""
        if colours is None:
            return png(self.canvas)
        return png(self.canvas.quantize(colours, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE))


def at(points, x_range, y_range, frame) -> np.ndarray:
    """Where points [n, 2] with these ranges of x and y lie in the frame, in pixels: [n, 2]."""
    left, top, right, bottom = frame
    low = np.array([x_range[0], y_range[0]])
    high = np.array([x_range[1], y_range[1]])
    share = (np.asarray(points, dtype=float) - low) / (high - low)
    return np.stack([left + share[:, 0] * (right - left), bottom - share[:, 1] * (bottom - top)], axis=1)
