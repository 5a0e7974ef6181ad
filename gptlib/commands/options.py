"""Options that several commands have."""

from typing import Literal

Device = Literal["auto", "cpu", "cuda", "mps"]
Step = Literal["auto", "eager", "fused", "captured", "compiled"]
