"""Options that several commands have, and the presets of all chapters."""

from typing import Literal

from gptlib import config
from gptlib.modern_config import MODERN_PRESETS
from gptlib.programs import PYTHON_PRESETS

Device = Literal["auto", "cpu", "cuda", "mps"]
PRESETS = {**config.PRESETS, **PYTHON_PRESETS, **MODERN_PRESETS}
Step = Literal["auto", "eager", "fused", "captured", "compiled"]
