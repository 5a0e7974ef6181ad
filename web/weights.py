"""The weights that the web book's live widgets load: 8 bits a number, one scale a row of each matrix.

`python -m web.weights FOLDER` writes a script for each model, and what other widgets need: GPT-2's merges,
the text that chapter 03 counts in, the head that chapter 05 trains, and pictures of trainings.
"""

import argparse
import base64
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gptlib.attention import attention_weights, causal_mask
from gptlib.data import load_corpus, split
from gptlib.files import DATA, write_text
from gptlib.tokenizer import CharTokenizer
from gptlib.widgets.shipped_model import trained_model
from web import pictures
from web.chapter import definitions

CARDS = ("fd4e1fb1", "9162a8da")  # the cells of chapter 05 that define `deal` and `train_head`
MODELS = ("char-cpu", "char-gpu-best")
LARGEST = 127  # the whole numbers of 8 bits go from -128 to 127; without -128 they are symmetric


def quantise(matrix: Float[Tensor, "n_out n_in"]) -> tuple[Tensor, Tensor]:
    """Whole numbers int8 [n_out, n_in], scales float32 [n_out]: row j is about scales[j] times its numbers.

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


def cards_script() -> str:
    """The script of chapter 05's head that looks up cards: three matrices [18, head_size]."""
    matrices = dict(zip(("W_q", "W_k", "W_v"), cards_head(), strict=True))
    rows = {name: [[round(x, 4) for x in row] for row in W.tolist()] for name, W in matrices.items()}
    return f"Live.cards_head({json.dumps(rows)});\n"


def cards_head() -> list[Tensor]:
    """The matrices W_q, W_k, W_v of that head, trained by the chapter's own functions."""
    names = {"torch": torch, "F": F, "attention_weights": attention_weights, "causal_mask": causal_mask}
    chapter = definitions("05_attention", CARDS, names)
    return chapter["train_head"](look=True)[0]


def corpus_script() -> str:
    """The script of the training text, in which chapter 03's tables are counted."""
    corpus = load_corpus()
    characters = CharTokenizer.from_text(corpus.text).characters
    file = {"name": corpus.name, "characters": characters, "train": split(corpus.text)[0]}
    return f"Live.corpus({json.dumps(file, ensure_ascii=False)});\n"


def merges_script() -> str:
    """The script of GPT-2's merges: the text of vocab.bpe."""
    merges = (DATA / "gpt2" / "vocab.bpe").read_text(encoding="utf-8")
    return f"Live.merges({json.dumps(merges, ensure_ascii=False)});\n"


def write(folder: Path) -> None:
    """Write the scripts into `folder`."""
    for name in MODELS:
        write_text(folder / f"weights-{name}.js", script(name))
    write_text(folder / "merges-gpt2.js", merges_script())
    write_text(folder / "corpus.js", corpus_script())
    write_text(folder / "cards.js", cards_script())
    pictures.write(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the scripts go")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    write(folder)


if __name__ == "__main__":
    main()
