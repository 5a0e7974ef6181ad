"""How the tests of the widgets look at pictures."""

import io

import numpy as np
import pytest
from PIL import Image

from gptlib.widgets.kit.palette import rgb


@pytest.fixture
def pixels():
    """A function from PNG bytes to int [height, width, 3]."""

    def read(png: bytes) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)

    return read


@pytest.fixture
def painted(pixels):
    """A function from PNG bytes and a colour to bool [height, width]: where the picture has that colour."""

    def find(png: bytes, colour: str) -> np.ndarray:
        return np.abs(pixels(png) - rgb(colour)).max(-1) < 40  # a pen's picture has 64 colours

    return find
