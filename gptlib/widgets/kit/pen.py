"""A pen for line pictures: it draws at twice the size and shrinks the result, so that lines are smooth."""

import io

import numpy as np
from PIL import Image, ImageDraw

from gptlib.widgets.attention_picture import font

WHITE, BLACK, GREY, SOFT, PALE = (255,) * 3, (0,) * 3, (110,) * 3, (165,) * 3, (205,) * 3
BLUE, ORANGE = (0, 114, 178), (213, 94, 0)
SCALE = 2


class Pen:
    """Draws with coordinates of the small picture on the large canvas."""

    def __init__(self, size: tuple[int, int]):
        self.size = size
        self.canvas = Image.new("RGB", (SCALE * size[0], SCALE * size[1]), WHITE)
        self.draw = ImageDraw.Draw(self.canvas)

    def line(self, points, colour=BLACK, width=1.0, frame=None) -> None:
        """A line through points [n, 2], cut off at the frame."""
        points = np.asarray(points, dtype=float)
        if frame is not None:
            points = np.clip(points, -3000, 3000)  # far points would overflow the drawing
        target, shift = self.inside(frame)
        flat = [tuple(p) for p in (SCALE * points - shift).tolist()]
        target.line(flat, fill=colour, width=round(SCALE * width), joint="curve")
        self.put_back(frame)

    def inside(self, frame):
        """Where to draw: the canvas, or a copy of the frame's part of it, which cuts lines off at its edge."""
        if frame is None:
            return self.draw, np.zeros(2)
        box = tuple(SCALE * edge for edge in frame)
        self.part = self.canvas.crop(box)
        return ImageDraw.Draw(self.part), np.array(box[:2])

    def put_back(self, frame) -> None:
        """Paste the frame's part where it was taken from."""
        if frame is not None:
            self.canvas.paste(self.part, tuple(SCALE * edge for edge in frame[:2]))

    def dots(self, points, colour, frame, radius=2.2) -> None:
        """A dot at each of the points [n, 2] that lie in the frame."""
        left, top, right, bottom = frame
        for x, y in points:
            if left <= x <= right and top <= y <= bottom:
                box = [SCALE * v for v in (x - radius, y - radius, x + radius, y + radius)]
                self.draw.ellipse(box, fill=colour)

    def text(self, x, y, words, size=13, anchor="lm", colour=BLACK) -> None:
        self.draw.text((SCALE * x, SCALE * y), words, colour, font(SCALE * size), anchor=anchor)

    def box(self, frame, colour=BLACK, width: int = 1) -> None:
        """The outline of left, top, right, bottom."""
        self.draw.rectangle([SCALE * edge for edge in frame], outline=colour, width=SCALE * width)

    def fill(self, frame, colour) -> None:
        """A filled rectangle; nothing where it would be narrower than half a pixel."""
        if frame[2] - frame[0] >= 0.5:
            self.draw.rectangle([SCALE * edge for edge in frame], fill=colour)

    def png(self) -> bytes:
        """The small picture's bytes, with few enough colours to be quick to send."""
        small = self.canvas.resize(self.size, Image.Resampling.BOX)
        buffer = io.BytesIO()
        small.quantize(64, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(buffer, "png")
        return buffer.getvalue()


def at(points, x_range, y_range, frame) -> np.ndarray:
    """Where points [n, 2] of those ranges lie in the picture's frame: [n, 2]."""
    left, top, right, bottom = frame
    low, high = np.array([x_range[0], y_range[0]]), np.array([x_range[1], y_range[1]])
    share = (np.asarray(points, dtype=float) - low) / (high - low)
    return np.stack([left + share[:, 0] * (right - left), bottom - share[:, 1] * (bottom - top)], axis=1)
