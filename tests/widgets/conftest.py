"""How the tests of the widgets look at pictures."""

import io

import numpy as np
import pytest
from PIL import Image

from gptlib.widgets.kit.palette import rgb
from gptlib.widgets.kit.picture import SCALE


@pytest.fixture
def pixels():
    """A function from PNG bytes to int [height, width, 3], in the pixels of the page."""

    def read(png: bytes) -> np.ndarray:
        picture = Image.open(io.BytesIO(png)).convert("RGB")
        assert picture.width % SCALE == 0 or "dpi" in Image.open(io.BytesIO(png)).info  # matplotlib crops
        return np.asarray(picture.reduce(SCALE)).astype(int)

    return read


@pytest.fixture
def painted(pixels):
    """A function from PNG bytes and a colour to bool [height, width]: where the picture has that colour."""

    def find(png: bytes, colour: str) -> np.ndarray:
        return np.abs(pixels(png) - rgb(colour)).max(-1) < 40  # a pen's picture has 64 colours

    return find
