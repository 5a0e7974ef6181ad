"""RoPE's rotation: one pair of a query and of a key as arrows, and its score over the distance.

Three layers: `compute` (numbers in, a frozen state out), `render` (a state in, PNG bytes out), and the widget.
"""

import math
from dataclasses import dataclass

import numpy as np
from IPython.display import Image as StaticImage

from gptlib.widgets.kit.controls import row, whole_slider
from gptlib.widgets.kit.palette import BLACK, BLUE, GREY, LIGHT_GREY, VERMILLION
from gptlib.widgets.kit.pen import Pen
from gptlib.widgets.kit.picture import static_picture
from gptlib.widgets.kit.widget import BookWidget, Picture

HEAD_SIZE, BASE = 16, 10_000.0
LONGEST = 200  # the largest position and distance


@dataclass(frozen=True, eq=False)
class RotationState:
    """What the widget shows: one pair of a query and a key that are equal before they are turned."""

    key_position: int
    distance: int
    pair: int
    speed: float  # radians a position
    key_angle: float
    query_angle: float
    score: float  # the product of the two turned arrows of length 1
    curve: np.ndarray  # [LONGEST + 1]: this pair's score over the distance
    mean: np.ndarray  # [LONGEST + 1]: the mean over all pairs


def compute(key_position: int, distance: int, pair: int) -> RotationState:
    """The angles and scores of a pair of numbers. ValueError for a pair or a place that is not there."""
    if not 0 <= pair < HEAD_SIZE // 2:
        raise ValueError(f"pair={pair} must be one of 0 … {HEAD_SIZE // 2 - 1}")
    if not (0 <= key_position <= LONGEST and 0 <= distance <= LONGEST):
        raise ValueError(f"key_position={key_position}, distance={distance} must lie in 0 … {LONGEST}")
    speeds = BASE ** (-2 * np.arange(HEAD_SIZE // 2) / HEAD_SIZE)
    distances = np.arange(LONGEST + 1)
    speed = float(speeds[pair])
    return RotationState(
        key_position=key_position,
        distance=distance,
        pair=pair,
        speed=speed,
        key_angle=key_position * speed,
        query_angle=(key_position + distance) * speed,
        score=math.cos(distance * speed),
        curve=np.cos(distances * speed),
        mean=np.cos(distances[:, None] * speeds).mean(axis=1),
    )


def summary(state: RotationState) -> str:
    """The state in one line."""
    return (
        f"pair {state.pair} turns {math.degrees(state.speed):.2f}° a position; "
        f"{state.distance} apart: {math.degrees(state.distance * state.speed):.1f}°, score {state.score:.3f}"
    )


CENTRE, RADIUS = (120, 138), 90
FRAME = (310, 40, 680, 236)  # of the curve
SIZE = (700, 300)


def render(state: RotationState) -> bytes:
    """PNG: the two arrows on a circle, and the score over the distance."""
    pen = Pen(SIZE)
    pen.text(8, 16, summary(state), 14)
    turns = np.linspace(0, 2 * np.pi, 90)
    pen.line(np.stack([on_circle(a) for a in turns]), LIGHT_GREY)
    for angle, colour, name in (
        (state.key_angle, VERMILLION, f"key at {state.key_position}"),
        (state.query_angle, BLUE, f"query at {state.key_position + state.distance}"),
    ):
        wide = 7 if colour == VERMILLION else 3  # the key's stays visible under the query's
        pen.line([CENTRE, on_circle(angle)], colour, wide)
        pen.dots([on_circle(angle)], colour, (0, 0, *SIZE), wide + 2)
        pen.text(8, 252 if colour == BLUE else 272, name, 14, colour=colour)
    left, top, right, bottom = FRAME
    pen.box(FRAME, GREY)
    for curve, colour, width in ((state.mean, GREY, 1.5), (state.curve, BLACK, 2)):
        points = [(x_of(d), y_of(value)) for d, value in enumerate(curve)]
        pen.line(points, colour, width)
    pen.line([(x_of(state.distance), top), (x_of(state.distance), bottom)], BLUE)
    pen.dots([(x_of(state.distance), y_of(state.score))], BLUE, FRAME, 5)
    for value in (-1, 0, 1):
        pen.text(left - 6, y_of(value), f"{value}", 13, "rm")
    for d in (0, 50, 100, 150, 200):
        pen.text(x_of(d), bottom + 14, f"{d}", 13, "mm")
    pen.text(left, bottom + 36, f"distance; black: pair {state.pair}, grey: the mean of all pairs", 13)
    return pen.png()


def on_circle(angle: float) -> tuple[float, float]:
    """Where an arrow of this angle ends; the page's y runs down."""
    return CENTRE[0] + RADIUS * math.cos(angle), CENTRE[1] - RADIUS * math.sin(angle)


def x_of(distance: float) -> float:
    """Where a distance lies on the page."""
    return FRAME[0] + (FRAME[2] - FRAME[0]) * distance / LONGEST


def y_of(score: float) -> float:
    """Where a score lies on the page."""
    return FRAME[3] - (FRAME[3] - FRAME[1]) * (score + 1.05) / 2.1


def alt(state: RotationState) -> str:
    """What the picture shows, in words."""
    return f"A key at position {state.key_position} and a query {state.distance} positions later: {summary(state)}"


def figure(state: RotationState) -> StaticImage:
    """The picture for a page without a kernel."""
    return static_picture(render(state), alt(state))


class RopeRotation(BookWidget):
    """The widget. Controls: `key_position`, `distance`, `pair`."""

    def __init__(self):
        self.key_position = whole_slider(3, 0, LONGEST, "key's position")
        self.distance = whole_slider(1, 0, LONGEST, "distance")
        self.pair = whole_slider(0, 0, HEAD_SIZE // 2 - 1, "pair")
        self.image = Picture()
        self.state = self.new_state()
        super().__init__([row(self.key_position, self.distance, self.pair)], [self.image])
        self.follow(self.recompute, self.key_position, self.distance, self.pair)
        self.redraw()

    def new_state(self) -> RotationState:
        return compute(self.key_position.value, self.distance.value, self.pair.value)

    def show_state(self) -> None:
        self.image.show(render(self.state), alt(self.state))
