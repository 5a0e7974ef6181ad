"""The book's colours as hex codes.

The palette is Okabe and Ito's (2008): colour-blind readers can tell its colours apart.
"""

from PIL import ImageColor

BLUE = "#0072B2"
VERMILLION = "#D55E00"
GREEN = "#009E73"
PURPLE = "#CC79A7"
SKY_BLUE = "#56B4E9"
ORANGE = "#E69F00"

BLACK = "#000000"
DARK_GREY = "#555555"
GREY = "#999999"
LIGHT_GREY = "#CCCCCC"
PALE_GREY = "#E0E0E0"
WHITE = "#FFFFFF"


def rgb(colour: str) -> tuple[int, int, int]:
    """The red, green and blue of a hex code, each from 0 to 255: "#0072B2" is (0, 114, 178)."""
    return ImageColor.getrgb(colour)
