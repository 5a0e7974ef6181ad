"""The weights that the web book's live widgets load: 8 bits a number, one scale a row of each matrix.

`python -m web.weights FOLDER` writes weights-char-cpu.js, weights-char-gpu-best.js and merges-gpt2.js.
"""

import argparse
import base64
import json
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from gptlib.files import DATA, write_text
from gptlib.widgets.shipped_model import trained_model

MODELS = ("char-cpu", "char-gpu-best")
LARGEST = 127  # the whole numbers of 8 bits go from -128 to 127; without -128 they are symmetric


def quantise(matrix: Float[Tensor, "n_out n_in"]) -> tuple[Tensor, Tensor]:
    """Whole numbers int8 [n_out, n_in] and scales float32 [n_out]: row j is nearly scales[j] times its numbers.

    The largest number of a row in size becomes ±127. [[1, -2]] becomes [[64, -127]] with the scale 2/127.
    """
    matrix = matrix.detach().float()
    scales = matrix.abs().amax(dim=1) / LARGEST
    divisors = torch.where(scales > 0, scales, 1)  # a row of zeros stays one
    return (matrix / divisors[:, None]).round().to(torch.int8), scales


def dequantise(whole: Tensor, scales: Tensor) -> Float[Tensor, "n_out n_in"]:
    """The matrix that the page computes with."""
    return whole.float() * scales[:, None]


def stored(model) -> dict[str, Tensor]:
    """The model's weights by name; `lm_head` is the token table again."""
    return {name: p.detach() for name, p in model.named_parameters() if name != "lm_head.weight"}


@torch.no_grad()
def dequantised(model):
    """The model with the weights that the page has, changed in place; vectors stay as they are."""
    for p in stored(model).values():
        if p.ndim == 2:
            p.copy_(dequantise(*quantise(p)))
    return model


def script(name: str) -> str:
    """The script of a shipped model: its configuration, its characters, and each weight in base64."""
    trained = trained_model(name)
    tensors = {key: packed(p) for key, p in stored(trained.model).items()}
    config = {key: getattr(trained.model.config, key) for key in ("vocab_size", "block_size", "n_layer")}
    config |= {key: getattr(trained.model.config, key) for key in ("n_head", "n_embd")}
    file = {"config": config, "tokenizer": trained.tokenizer.spec(), "tensors": tensors}
    return f"Live.weights({json.dumps(name)}, {json.dumps(file)});\n"


def packed(tensor: Tensor) -> dict:
    """A matrix as whole numbers with scales, a vector as float32."""
    if tensor.ndim == 1:
        return {"shape": list(tensor.shape), "values": base64_of(tensor.float())}
    whole, scales = quantise(tensor)
    return {"shape": list(tensor.shape), "scales": base64_of(scales), "values": base64_of(whole)}


def base64_of(tensor: Tensor) -> str:
    """The tensor's bytes, the lowest byte of a number first, as browsers read them."""
    numbers = tensor.contiguous().numpy()
    return base64.b64encode(numbers.astype(numbers.dtype.newbyteorder("<")).tobytes()).decode("ascii")


def merges_script() -> str:
    """The script of GPT-2's merges: the text of vocab.bpe."""
    merges = (DATA / "gpt2" / "vocab.bpe").read_text(encoding="utf-8")
    return f"Live.merges({json.dumps(merges, ensure_ascii=False)});\n"


def write(folder: Path) -> None:
    """Write the scripts into `folder`."""
    for name in MODELS:
        write_text(folder / f"weights-{name}.js", script(name))
    write_text(folder / "merges-gpt2.js", merges_script())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the scripts go")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    write(folder)


if __name__ == "__main__":
    main()
