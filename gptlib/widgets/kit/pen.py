"""A pen for line pictures: it draws at twice the size and scales down, which makes the lines smooth."""

import numpy as np
from PIL import Image, ImageDraw

from gptlib.widgets.kit.palette import BLACK, WHITE
from gptlib.widgets.kit.picture import font, png

SCALE = 2


class Pen:
    """Draws on a canvas of SCALE times `size` pixels; all coordinates are those of the small picture.

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

    def text(self, x, y, words, size=13, anchor="lm", colour=BLACK) -> None:
        """Text of `size` pixels; `anchor` as in Pillow."""
        self.draw.text((SCALE * x, SCALE * y), words, colour, font(SCALE * size), anchor=anchor)

    def box(self, frame, colour=BLACK, width: int = 1) -> None:
        """The outline of the frame."""
        self.draw.rectangle([SCALE * edge for edge in frame], outline=colour, width=SCALE * width)

    def fill(self, frame, colour) -> None:
        """A filled rectangle; nothing if it is narrower than half a pixel."""
        if frame[2] - frame[0] >= 0.5:
            self.draw.rectangle([SCALE * edge for edge in frame], fill=colour)

    def png(self) -> bytes:
        """The small picture as PNG, with 64 colours: every redraw sends the file to the page."""
        small = self.canvas.resize(self.size, Image.Resampling.BOX)
        return png(small.quantize(64, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE))


def at(points, x_range, y_range, frame) -> np.ndarray:
    """Where points [n, 2] with these ranges of x and y lie in the frame, in pixels: [n, 2]."""
    left, top, right, bottom = frame
    low = np.array([x_range[0], y_range[0]])
    high = np.array([x_range[1], y_range[1]])
    share = (np.asarray(points, dtype=float) - low) / (high - low)
    return np.stack([left + share[:, 0] * (right - left), bottom - share[:, 1] * (bottom - top)], axis=1)
