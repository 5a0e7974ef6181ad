"""`export`: a model in the format that Hugging Face's transformers loads as GPT-2, or as Llama."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro
from safetensors.torch import save_file

from gptlib.commands.model import model_named
from gptlib.files import replacing, write_text
from gptlib.gpt import GPTConfig
from gptlib.llama import llama_settings, to_llama
from gptlib.modern import ModernGPT, build_model
from gptlib.tokenizer import BPETokenizer


FORMATS = {"GPT2LMHeadModel": "GPT-2", "LlamaForCausalLM": "Llama"}


@dataclass(frozen=True)
class Export:
    """Write a model into a new folder that Hugging Face's transformers loads as GPT-2, or as Llama with RoPE."""

    checkpoint: tyro.conf.Positional[str]  # as for sample
    out: tyro.conf.Positional[Path]
    to: Literal["hf"] = "hf"


def run_export(args: Export) -> None:
    """The format's file names, shapes and settings; what it has no place for is said."""
    _, checkpoint = model_named(args.checkpoint)
    if args.out.exists():
        raise ValueError(f"{args.out} exists already: nothing was overwritten; choose another folder")
    model, tokenizer = checkpoint.build_model(build_model), checkpoint.tokenizer
    if isinstance(model, ModernGPT) and model.config.position == "rope":
        weights, settings = to_llama(model), llama_settings(model.config)
    else:
        weights, settings = model.to_gpt2_state_dict(), hf_config(model.config)
    kind = settings["architectures"][0]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(args.out) as folder:
        folder.mkdir()
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        write_text(folder / "config.json", json.dumps(settings, indent=1))
        if isinstance(tokenizer, BPETokenizer):
            vocabulary, merges = tokenizer.gpt2_files()
            write_text(folder / "vocab.json", json.dumps(vocabulary, ensure_ascii=False))
            write_text(folder / "merges.txt", "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
        tokenizer.save(folder / "tokenizer-gptlib.json")
    if not isinstance(tokenizer, BPETokenizer):
        print(
            f"the {tokenizer.kind} tokenizer has no place in {FORMATS[kind]}'s format: its ids are in tokenizer-gptlib.json"
        )
    print(f"written to {args.out}: {kind}.from_pretrained({str(args.out)!r}) loads it")


def hf_config(config: GPTConfig) -> dict:
    """The settings by which transformers builds the same model."""
    sizes = {"n_positions": config.block_size, "n_embd": config.n_embd, "n_layer": config.n_layer}
    dropout = {name: config.dropout for name in ("resid_pdrop", "embd_pdrop", "attn_pdrop")}
    kind = {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "activation_function": "gelu_new"}
    ends = {
        "bos_token_id": None,
        "eos_token_id": None,
        "tie_word_embeddings": True,
        "layer_norm_epsilon": 1e-5,
    }
    return {**kind, "vocab_size": config.vocab_size, "n_head": config.n_head, **sizes, **dropout, **ends}
