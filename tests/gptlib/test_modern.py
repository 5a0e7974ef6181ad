"""The modern GPT: at its defaults the book's; each switch by itself, all, combinations by seed."""

import copy
import dataclasses
import os
import random
import shutil
import subprocess
import sys

import pytest
import torch

from gptlib.batched import batched_optimizer
from gptlib.checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from gptlib.commands.model import FAMILY
from gptlib.config import TrainConfig
from gptlib.decoder import CapturedDecoder
from gptlib.generation import KVCache, generate
from gptlib.gpt import GPT, GPTConfig
from gptlib.kernels import fused_kernels, next_token_loss
from gptlib.loss import cross_entropy
from gptlib.modern import ModernGPT, build_model
from gptlib.modern_config import MODERN_PRESETS, ModernConfig, config_from
from gptlib.speed import CapturedStep, fused_step
from gptlib.tokenizer import CharTokenizer
from gptlib.trainer import Trainer, eager_step
from gptlib.training import train

TINY = dict(vocab_size=11, block_size=8, n_layer=2, n_head=4, n_embd=16)
CHOICES = {
    "position": ("learned", "rope", "none"),
    "norm": ("layer", "rms"),
    "mlp": ("gelu", "relu2", "swiglu"),
    "qk_norm": (False, True),
    "bias": (True, False),
    "tied": (True, False),
    "cap": (0.0, 15.0),
    "n_kv_head": (None, 2, 1),
    "shortcuts": (False, True),
    "mlp_width": (None, 24),
}
SINGLE = [{name: value} for name, values in CHOICES.items() for value in values[1:]]
ALL = dict(position="rope", norm="rms", mlp="swiglu", qk_norm=True, bias=False, tied=False, cap=15.0)
ALL |= dict(n_kv_head=2, shortcuts=True)
DRAW = random.Random(16)
DRAWN = [{name: DRAW.choice(values) for name, values in CHOICES.items()} for _ in range(20)]
SWITCHES = [{}, *SINGLE, ALL, *DRAWN]


def named(switches: dict) -> str:
    return ",".join(f"{name}={value}" for name, value in switches.items()) or "none"


every = pytest.mark.parametrize("switches", SWITCHES, ids=named)


def model_with(switches: dict, seed: int = 1, **shape) -> ModernGPT:
    """A model whose every parameter is drawn, also those that begin at 0 or 1."""
    g = torch.Generator().manual_seed(seed)
    model = ModernGPT(ModernConfig(**{**TINY, **shape, **switches}), g)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=g))
    return model


def tokens(*shape, seed: int = 2) -> torch.Tensor:
    return torch.randint(11, shape, generator=torch.Generator().manual_seed(seed))


def test_the_defaults_are_the_books_gpt():
    for bias in (True, False):
        shape = dict(TINY, dropout=0.2, bias=bias)
        ours = ModernGPT(ModernConfig(**shape), torch.Generator().manual_seed(3)).train()
        theirs = GPT(GPTConfig(**shape), torch.Generator().manual_seed(3)).train()
        assert list(ours.state_dict()) == list(theirs.state_dict())
        losses = []
        for model in (ours, theirs):
            torch.manual_seed(4)  # dropout
            losses.append(cross_entropy(model(tokens(3, 8)), tokens(3, 8, seed=5)))
            losses[-1].backward()
        assert torch.equal(*losses)
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(a, b) and torch.equal(a.grad, b.grad)


@every
def test_cached_generation_equals_uncached(switches):
    model = model_with(switches).double().eval()
    prompt = tokens(2, 3)
    uncached = generate(model, prompt, 10, temperature=0, use_cache=False)
    assert torch.equal(generate(model, prompt, 10, temperature=0), uncached)
    assert torch.equal(generate(CapturedDecoder(model), prompt, 10, temperature=0), uncached)
    cache = KVCache(2, 8)
    parts = [model(tokens(2, 8)[:, a:b], cache) for a, b in ((0, 3), (3, 4), (4, 8))]
    torch.testing.assert_close(torch.cat(parts, dim=1), model(tokens(2, 8)), rtol=1e-9, atol=1e-9)


@every
def test_the_explicit_attention_is_the_fused_one_and_sees_no_future(switches):
    model = model_with(switches).double().eval()
    fused = model(tokens(2, 8))
    changed = tokens(2, 8)
    changed[:, 5:] = (changed[:, 5:] + 1) % 11
    assert torch.equal(model(changed)[:, :5], fused[:, :5])
    for block in model.h:
        block.attn.fused = False
    torch.testing.assert_close(model(tokens(2, 8)), fused, rtol=1e-9, atol=1e-9)
    weights = model.h[0].attn.weights(torch.randn(2, 8, 16, dtype=torch.float64))
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4, 8, dtype=torch.float64))


@every
def test_kernels_and_the_loss_of_compiled_steps(switches):
    model = model_with(switches).double()
    x, y = tokens(2, 8), tokens(2, 8, seed=6)
    plain = cross_entropy(model(x), y)
    with fused_kernels(model):
        fused = next_token_loss(model.hidden(x), model.lm_head.weight, y, model.capped)
    torch.testing.assert_close(fused, plain, rtol=1e-6, atol=1e-8)
    assert all("forward" not in vars(part) for part in model.modules())  # all is put back


@every
def test_a_checkpoint_and_a_resumed_run(switches, tmp_path):
    config = TrainConfig(6, batch_size=2, warmup_steps=1, optimizer="muon", eval_interval=0, precision="fp32")
    text, kept = torch.arange(300) ** 2 % 11, []
    shape = dict(TINY, dropout=0.1)

    def run(start=None, steps=6, seed=7):
        model = ModernGPT(ModernConfig(**shape, **switches), torch.Generator().manual_seed(seed))
        settings = dataclasses.replace(config, checkpoint_interval=3)

        def stop(step):
            return KeyboardInterrupt() if step == steps else None

        try:
            train(
                model,
                text,
                text[:40],
                settings,
                step_fn=fused_step,
                optimizer_fn=batched_optimizer,
                start=start,
                stop=stop,
                checkpointer=lambda state, _: kept.append(copy.deepcopy(state)),
            )
        except KeyboardInterrupt:
            pass
        return model

    shape = {name: value for name, value in shape.items() if name not in switches}
    run(steps=3)
    state = next(state for state in kept if state.step == 3)
    whole = run()
    checkpoint = Checkpoint(state, whole.config, config, CharTokenizer("abcdefghijk"))
    save_checkpoint(tmp_path / "three", checkpoint)
    loaded = load_checkpoint(tmp_path / "three", family=FAMILY)
    assert loaded.model_config == whole.config and type(loaded.model_config) is ModernConfig
    resumed = run(loaded.state, seed=8)
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    built = loaded.build_model(build_model)
    assert not built.training and torch.equal(built.wte.weight, state.model["wte.weight"])
    if not whole.config.tied:
        assert torch.equal(built.head.weight, state.model["head.weight"])


def test_a_plain_checkpoint_stays_plain(tmp_path):
    model = GPT(GPTConfig(**TINY))
    trainer = Trainer(model, TrainConfig(3))
    checkpoint = Checkpoint(
        trainer.state(1, 1.0, 1), model.config, trainer.config, CharTokenizer("abcdefghijk")
    )
    save_checkpoint(tmp_path / "c", checkpoint)
    loaded = load_checkpoint(tmp_path / "c", family=FAMILY)
    assert type(loaded.model_config) is GPTConfig and type(loaded.build_model(build_model)) is GPT


def test_a_checkpoint_whose_weights_are_another_models_is_refused(tmp_path):
    model = model_with({"norm": "rms"})
    trainer = Trainer(model, TrainConfig(3))
    wrong = ModernConfig(**TINY)
    checkpoint = Checkpoint(trainer.state(1, 1.0, 1), wrong, trainer.config, CharTokenizer("abcdefghijk"))
    save_checkpoint(tmp_path / "c", checkpoint)
    with pytest.raises(CheckpointError, match="tensors do not fit"):
        load_checkpoint(tmp_path / "c", family=FAMILY)


COMPILED = """
import sys

import torch

from gptlib.batched import batched_optimizer
from gptlib.config import TrainConfig
from gptlib.modern import ModernGPT
from gptlib.modern_config import ModernConfig
from gptlib.speed import CompiledStep
from gptlib.trainer import eager_step
from gptlib.training import train

config = TrainConfig(6, batch_size=4, warmup_steps=1, precision="fp32", optimizer="muon", log_interval=1)
text, compiled = torch.arange(400) ** 2 % 11, CompiledStep()
for switches in eval(sys.argv[1]):
    ends = []
    for step_fn in (eager_step, compiled):
        model = ModernGPT(ModernConfig(11, 8, 1, 4, 16, **switches), torch.Generator().manual_seed(1))
        result = train(model, text, text[:50], config, step_fn=step_fn, optimizer_fn=batched_optimizer)
        ends.append([row["train_loss"] for row in result.records if "train_loss" in row])
    print(max(abs(a - b) for a, b in zip(*ends, strict=True)), result.records[0]["train_loss"])
"""


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("c++") or shutil.which("g++")), reason="needs a C++ compiler")
def test_compiled_steps_train_as_eager_ones():
    """The full set, a low cap, and RoPE by itself, in a process without shape checks."""
    environment = {k: v for k, v in os.environ.items() if k != "GPTLIB_CHECK_SHAPES"} | {"TQDM_DISABLE": "1"}
    command = [sys.executable, "-c", COMPILED, repr([ALL, {"cap": 0.1}, {"position": "rope"}])]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [tuple(map(float, line.split())) for line in done.stdout.splitlines()]
    assert len(rows) == 3 and all(difference < 1e-4 for difference, _ in rows)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@every
def test_captured_steps_train_as_eager_ones(switches):
    config = TrainConfig(6, batch_size=4, warmup_steps=1, precision="fp32", optimizer="adamw", log_interval=1)
    text, ends = torch.arange(400) ** 2 % 11, []
    for step_fn in (eager_step, CapturedStep(compiled=False)):
        model = model_with(switches).cuda()
        result = train(model, text, text[:50], config, step_fn=step_fn, optimizer_fn=batched_optimizer)
        ends.append([row["train_loss"] for row in result.records if "train_loss" in row])
    torch.testing.assert_close(*map(torch.tensor, ends), rtol=0, atol=1e-4)


@every
def test_each_switch_changes_something(switches):
    """A negative control: the function of the model, or at least its parameters, are others than GPT-2's."""
    if any(value != CHOICES[name][0] for name, value in switches.items()):
        ours, plain = ModernGPT(ModernConfig(**TINY, **switches)), ModernGPT(ModernConfig(**TINY))
        generator = torch.Generator().manual_seed(9)
        with torch.no_grad():
            for p in (*ours.parameters(), *plain.parameters()):
                p.fill_(0.0).add_(torch.randn(p.shape, generator=generator))
        same_names = [n for n, _ in ours.named_parameters()] == [n for n, _ in plain.named_parameters()]
        same_shapes = same_names and all(
            a.shape == b.shape for a, b in zip(ours.parameters(), plain.parameters(), strict=True)
        )
        if same_shapes:
            plain.load_state_dict(ours.state_dict())
            assert not torch.equal(ours(tokens(2, 8)), plain(tokens(2, 8)))


@pytest.mark.parametrize(
    ("switches", "words"),
    [
        (dict(n_kv_head=3), "n_kv_head=3 does not divide n_head=4.*choose from 1, 2, 4"),
        (dict(n_kv_head=8), "n_kv_head=8 does not divide n_head=4"),
        (dict(n_kv_head=0), "n_kv_head=0 must be above 0"),
        (dict(n_embd=20, position="rope"), "head size n_embd/n_head=5 is odd: try n_embd=24"),
        (dict(cap=-1.0), "cap=-1.0 must be at least 0"),
        (dict(cap=float("nan")), "cap=nan must be a finite number"),
        (dict(rope_base=500.0), "rope_base=500.0 has no use with position='learned'"),
        (dict(position="rope", rope_base=0.5), "rope_base=0.5 must be above 1"),
        (dict(n_embd=18), "n_embd=18 is not divisible by n_head=4"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(switches, words):
    with pytest.raises(ValueError, match=words):
        ModernConfig(**{**TINY, **switches})
    assert ModernConfig(**{**TINY, "n_kv_head": 2, "position": "rope"})  # what makes sense is not


WRONG_TYPES = """
from gptlib.modern_config import ModernConfig

wrong = [dict(position="alibi"), dict(norm="batch"), dict(mlp="geglu"), dict(qk_norm=1), dict(tied="no")]
for switches in [*wrong, dict(mlp_width=2.5), dict(n_kv_head=True)]:
    try:
        ModernConfig(11, 8, 2, 4, 16, **switches)
    except ValueError as error:
        print(error)
"""


def test_values_of_another_type_are_refused_by_name():
    """In a process without shape checks, which look at types first."""
    environment = {k: v for k, v in os.environ.items() if k != "GPTLIB_CHECK_SHAPES"}
    done = subprocess.run(
        [sys.executable, "-c", WRONG_TYPES], env=environment, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [
        "position='alibi' is unknown: choose from learned, rope, none",
        "norm='batch' is unknown: choose from layer, rms",
        "mlp='geglu' is unknown: choose from gelu, relu2, swiglu",
        "qk_norm=1 must be True or False",
        "tied='no' must be True or False",
        "mlp_width=2.5 must be a whole number",
        "n_kv_head=True must be a whole number",
    ], done.stderr


def test_the_configuration_is_frozen_and_comes_back_from_its_values():
    config = ModernConfig(**TINY, **ALL)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.cap = 1.0
    assert config_from(**dataclasses.asdict(config)) == config
    plain = GPTConfig(**TINY)
    assert type(config_from(**dataclasses.asdict(plain))) is GPTConfig


def test_too_long_texts_are_refused():
    model = model_with({"position": "rope"})
    with pytest.raises(ValueError, match="T=9 exceeds block_size=8"):
        model(tokens(1, 9))
    with pytest.raises(ValueError, match="T=9 exceeds"):
        model.h[0].attn(torch.randn(1, 9, 16))


def test_rotated_attention_with_a_cache_asks_for_its_tables():
    attention = model_with({"position": "rope"}).h[0].attn
    with pytest.raises(ValueError, match="needs the tables"):
        attention(torch.randn(1, 1, 16), KVCache(2, 8).layers[0])


def test_the_tables_keep_32_bits():
    model = model_with({"position": "rope"}).to(torch.bfloat16)
    assert {table.dtype for table in model.tables} == {torch.float32}
    assert model(tokens(1, 8)).dtype == torch.bfloat16


def test_gpt2s_format_has_no_place_for_the_switches():
    for switches in SINGLE:
        if "bias" not in switches:
            (name,) = switches
            with pytest.raises(ValueError, match=f"no place for {name}="):
                model_with(switches).to_gpt2_state_dict()
    assert model_with({"bias": False}).to_gpt2_state_dict()


def test_the_preset_is_as_large_as_the_books_and_trains_as_long():
    from gptlib.config import PRESETS

    best, modern = PRESETS["char-gpu-best"], MODERN_PRESETS["char-gpu-modern"]
    with torch.device("meta"):
        size = sum(p.numel() for p in ModernGPT(modern.model).parameters())
    assert abs(size / 10.8e6 - 1) < 0.02
    for name in ("max_steps", "batch_size"):
        assert getattr(modern.train, name) == getattr(best.train, name)
    assert modern.model.block_size == best.model.block_size
