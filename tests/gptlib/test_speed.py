"""Fast steps: fused, compiled and replayed steps against eager ones."""

import copy
import dataclasses
import os
import shutil
import subprocess
import sys

import pytest
import torch
from tiny_model import losses, model

from gptlib import speed
from gptlib.config import TrainConfig
from gptlib.data import Batches, load_corpus
from gptlib.decoder import CapturedDecoder
from gptlib.generation import KVCache, generate
from gptlib.gpt import GPT, GPTConfig
from gptlib.kernels import fused_kernels
from gptlib.tokenizer import CharTokenizer
from gptlib.trainer import Trainer, eager_step
from gptlib.training import train

CONFIG = TrainConfig(
    max_steps=50, batch_size=4, warmup_steps=5, eval_interval=25, log_interval=1, precision="fp32"
)
TOKENS = torch.randint(0, 11, (400,), generator=torch.Generator().manual_seed(0))

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a CUDA GPU")


# --- steps


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_a_whole_step_with_and_without_kernels_is_the_eager_step(kind):
    config = dataclasses.replace(CONFIG, optimizer=kind)
    trainers = [Trainer(model().double(), config) for _ in range(3)]
    batches = Batches(TOKENS, 4, 8)
    for step in range(5):
        eager = eager_step(trainers[0], *batches.at(step))
        plain = speed.whole_step(trainers[1], *batches.at(step))
        with fused_kernels(trainers[2].model, trainers[2].optimizer):
            fused = speed.whole_step(trainers[2], *batches.at(step))
        for ours in (plain, fused):
            for a, b in zip(ours[:2], eager[:2], strict=True):
                assert a.item() == pytest.approx(b.item(), rel=1e-6)
    for p, q in zip(trainers[0].model.parameters(), trainers[2].model.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-9)


@pytest.mark.parametrize("micro_batch_size", [1, 2])
def test_a_whole_step_in_micro_batches_is_the_eager_step(micro_batch_size):
    config = dataclasses.replace(CONFIG, micro_batch_size=micro_batch_size)
    trainers = [Trainer(model().double(), config) for _ in range(2)]
    for step in range(3):
        batch = Batches(TOKENS, 4, 8).at(step)
        eager, whole = eager_step(trainers[0], *batch), speed.whole_step(trainers[1], *batch)
        for a, b in zip(eager[:2], whole[:2], strict=True):
            assert a.item() == pytest.approx(b.item(), rel=1e-6)
    for p, q in zip(*(trainer.model.parameters() for trainer in trainers), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "seconds, threads",
    [({8: 1.0, 4: 1.9, 2: 3.7, 1: 7.2}, 8), ({8: 9.0, 4: 5.0, 2: 2.0, 1: 2.1}, 1), ({8: 1.0, 4: 1.05}, 4)],
    ids=["quiet", "beside others", "no gain from the second half"],
)
def test_as_many_threads_as_pay(seconds, threads, monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: max(seconds))
    monkeypatch.setattr(torch, "set_num_threads", lambda number: None)
    monkeypatch.setattr(speed, "product_seconds", lambda number: seconds.get(number, 9.0))
    assert speed.threads_that_pay() == threads
    monkeypatch.undo()
    assert 1 <= speed.threads_that_pay() <= before == torch.get_num_threads()


@pytest.mark.parametrize("kind", ["adamw", "muon"])
@pytest.mark.parametrize("steps_before", [0, 3])
def test_what_the_warm_up_did_is_taken_back(kind, steps_before):
    trainer = Trainer(model(dropout=0.2), dataclasses.replace(CONFIG, optimizer=kind))
    batches = Batches(TOKENS, 4, 8)
    for step in range(steps_before):
        eager_step(trainer, *batches.at(step))
    twin = Trainer(model(dropout=0.2), dataclasses.replace(CONFIG, optimizer=kind))
    twin.restore(copy.deepcopy(trainer.state(0, 0.0, 0)))
    places = [t.data_ptr() for t in trainer.model.parameters()]
    random = torch.get_rng_state()
    with speed.unchanged(trainer):
        eager_step(trainer, *batches.at(9))
    assert [t.data_ptr() for t in trainer.model.parameters()] == places
    assert torch.equal(torch.get_rng_state(), random)
    outcomes = []
    for one in (trainer, twin):
        torch.set_rng_state(random)
        outcomes.append([eager_step(one, *batches.at(step)).loss.item() for step in range(3)])
    assert outcomes[0] == outcomes[1]


def test_who_takes_only_eager_steps():
    assert speed.only_eager(torch.float32) is None and speed.only_eager(torch.bfloat16) is None
    assert "scaler" in speed.only_eager(torch.float16)
    captured = train(model(), TOKENS, TOKENS[:50], CONFIG, step_fn=speed.CapturedStep(compiled=False))
    assert losses(captured) == losses(train(model(), TOKENS, TOKENS[:50], CONFIG))  # on a CPU it is eager


COMPILED = """
import sys; sys.path.insert(0, "tests/gptlib")
from test_speed import *
for kind in ("adamw", "muon"):
    config = dataclasses.replace(CONFIG, optimizer=kind, max_steps=20)
    eager = losses(train(model(), TOKENS, TOKENS[:50], config))
    compiled = losses(train(model(), TOKENS, TOKENS[:50], config, step_fn=speed.CompiledStep()))
    print(max(abs(a - b) for a, b in zip(eager, compiled, strict=True)))
"""


@pytest.mark.skipif(
    not (shutil.which("c++") or shutil.which("g++")), reason="torch.compile needs a C++ compiler"
)
def test_compiled_steps_equal_eager_ones():
    """In a process without shape checks, which torch.compile does not understand."""
    environment = {k: v for k, v in os.environ.items() if k != "GPTLIB_CHECK_SHAPES"} | {"TQDM_DISABLE": "1"}
    done = subprocess.run([sys.executable, "-c", COMPILED], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(float(line) < 1e-4 for line in done.stdout.split()) and len(done.stdout.split()) == 2


@needs_gpu
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_captured_steps_equal_eager_ones(kind, compiled, monkeypatch):
    """Muon without its rounding to bf16, which makes 1e-3 of 1e-7 within 50 steps."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda tensor: tensor)
    config = dataclasses.replace(CONFIG, optimizer=kind)
    val = TOKENS[:50]
    eager = train(model().cuda(), TOKENS, val, config)
    captured = train(model().cuda(), TOKENS, val, config, step_fn=speed.CapturedStep(compiled))
    assert max(abs(a - b) for a, b in zip(losses(eager), losses(captured), strict=True)) < 1e-4


@needs_gpu
@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_captured_runs_in_bf16_with_dropout_end_where_eager_ones_do(kind):
    """Other dropout masks, the same loss: the means of three seeds differ by less than seeds do."""
    corpus = load_corpus()
    tokens = torch.tensor(CharTokenizer.from_text(corpus.text).encode(corpus.text))[:300_000]
    config = TrainConfig(
        300, batch_size=32, learning_rate=3e-3, warmup_steps=20, optimizer=kind, eval_interval=300
    )
    shape = GPTConfig(65, 64, n_layer=2, n_head=2, n_embd=128, dropout=0.2)
    ends = {False: [], True: []}
    for seed in (1, 2, 3):
        for captured, found in ends.items():
            gpt = GPT(shape, torch.Generator().manual_seed(seed))
            step_fn = speed.CapturedStep() if captured else None
            run = dataclasses.replace(config, seed=seed)
            found.append(train(gpt.cuda(), tokens[:250_000], tokens[250_000:], run, step_fn=step_fn).val_loss)
    print(kind, ends)
    spread = max(max(found) - min(found) for found in ends.values())
    assert abs(sum(ends[True]) - sum(ends[False])) / 3 < spread < 0.1


@needs_gpu
def test_an_overflow_in_fp16_is_skipped_with_the_captured_step_and_the_run_ends_as_the_eager_one():
    def run(step_fn):
        gpt, steps = model().cuda(), []
        gpt.lm_head.register_forward_hook(
            lambda module, x, logits: logits * float("inf") if len(steps) == 7 and gpt.training else logits
        )

        def counted(trainer, x, y):
            steps.append(trainer.dtype)
            return step_fn(trainer, x, y)

        config = dataclasses.replace(CONFIG, precision="fp16")
        result = train(gpt, TOKENS, TOKENS[:50], config, step_fn=counted)
        assert set(steps) == {torch.float16}
        return [r["step"] for r in result.records if "skipped" in r], losses(result), result.val_loss

    (skipped, captured, end), eager = run(speed.CapturedStep()), run(eager_step)
    assert 7 in skipped and len(captured) == 50 - len(skipped)
    assert (skipped, captured, end) == (
        eager[0],
        pytest.approx(eager[1], abs=1e-4),
        pytest.approx(eager[2], abs=1e-4),
    )


@needs_gpu
def test_a_captured_run_resumes_and_draws_new_dropout_masks():
    def run(start=None, **changes):
        config, states = dataclasses.replace(CONFIG, checkpoint_interval=20, **changes), []
        step_fn = speed.CapturedStep(compiled=False)

        def keep(state, val_loss):
            if val_loss is None:
                states.append(copy.deepcopy(state))

        model_ = model(dropout=0.2).cuda()
        return train(
            model_, TOKENS, TOKENS[:50], config, step_fn=step_fn, checkpointer=keep, start=start
        ), states

    whole, states = run()
    torch.manual_seed(99)
    resumed, _ = run(start=states[0])
    assert states[0].step == 20
    assert losses(resumed) == pytest.approx(losses(whole)[20:], abs=1e-5)
    still, _ = run(learning_rate=1e-9, min_learning_rate=0.0)  # the weights stand still, the batches differ
    assert len(set(losses(still))) > 45


def test_a_step_that_the_machine_cannot_take_is_refused_by_name():
    assert speed.make_step("auto", torch.device("cpu")) is speed.fused_step
    assert speed.make_step("eager", torch.device("cuda")) is eager_step
    assert isinstance(speed.make_step("compiled", torch.device("cpu")), speed.CompiledStep)
    with pytest.raises(ValueError, match="--step captured needs a CUDA GPU: leave it out, or take compiled"):
        speed.make_step("captured", torch.device("cpu"))
    with pytest.raises(ValueError, match="step='fast' is unknown: choose auto, eager"):
        speed.make_step("fast", torch.device("cpu"))


@pytest.mark.parametrize(
    "step_fn, dtype",
    [(lambda: speed.CapturedStep(compiled=False), torch.float32), (speed.CompiledStep, torch.float16)],
    ids=["captured, on a CPU", "compiled, in fp16"],
)
def test_a_step_without_finite_numbers_is_skipped_in_the_eager_fallback_too(step_fn, dtype, monkeypatch):
    monkeypatch.setattr("gptlib.trainer.choose_precision", lambda wanted, device: dtype)  # fp16 on a CPU
    spoilt = model()
    spoilt.lm_head.register_forward_hook(
        lambda module, x, logits: logits * float("nan") if batch_is(3) and spoilt.training else logits
    )
    steps = []
    batch_is = lambda number: len(steps) == number  # noqa: E731
    take = step_fn()

    def counted(trainer, x, y):
        steps.append(1)
        return take(trainer, x, y)

    config = dataclasses.replace(CONFIG, max_steps=8)
    result = train(spoilt, TOKENS, TOKENS[:50], config, step_fn=counted)
    assert [record["step"] for record in result.records if "skipped" in record] == [3]
    assert result.step == 8 and all(p.isfinite().all() for p in spoilt.parameters())


# --- decoding


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_gpu)])
def test_the_decoder_writes_what_the_model_writes(device):
    gpt = model(dropout=0.2).to(device).eval()
    decoder = CapturedDecoder(gpt)
    for B, T, new in (
        (1, 3, 12),
        (1, 1, 7),
        (3, 2, 6),
        (1, 7, 5),
    ):  # beyond block_size=8 too, other batch sizes
        idx = torch.randint(0, 11, (B, T), generator=torch.Generator().manual_seed(B + T)).to(device)
        assert torch.equal(generate(decoder, idx, new, temperature=0), generate(gpt, idx, new, temperature=0))


@needs_gpu
def test_the_compiled_decoder_writes_what_the_model_writes():
    gpt = model().cuda().eval()
    idx = TOKENS[None, :2].cuda()
    decoder = CapturedDecoder(gpt, compiled=True)
    assert torch.equal(generate(decoder, idx, 12, temperature=0), generate(gpt, idx, 12, temperature=0))


def test_the_decoder_leaves_the_model_as_it_was():
    """Also what an instance had of its own: here the choice of attention."""
    gpt = model().eval()
    gpt.h[1].attn.fused = False
    generate(CapturedDecoder(gpt), TOKENS[None, :2], 3, temperature=0)
    assert [block.attn.fused for block in gpt.h] == [True, False]
    assert not any({"mask", "forward"} & vars(part).keys() for part in gpt.modules())


@torch.no_grad()
def test_the_decoders_logits_are_the_models():
    gpt = model().double().eval()
    decoder, idx = CapturedDecoder(gpt), TOKENS[None, :8]
    cache = KVCache(2, 8)
    torch.use_deterministic_algorithms(True)  # then memory that nobody has written holds NaN
    logits = [decoder(idx[:, :3], cache)] + [decoder(idx[:, t : t + 1], cache) for t in range(3, 8)]
    torch.use_deterministic_algorithms(False)
    torch.testing.assert_close(torch.cat(logits, dim=1), gpt(idx), rtol=0, atol=1e-12)
    assert cache.length == 8
