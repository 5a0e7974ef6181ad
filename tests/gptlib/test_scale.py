"""What several processes do by hand, on threads that play them: sums, means, sharded state and weights."""

import pytest
import torch

from gptlib.exercises.checker import NotYet
from gptlib.exercises.processes import source_of
from gptlib.exercises.threads import in_threads
from gptlib.gpt import GPT, GPTConfig
from gptlib.loss import cross_entropy
from gptlib.muon import make_muon
from gptlib.optimizer import make_adamw
from gptlib.scale import FullySharded, ShardedOptimizer, average_gradients, ring_all_reduce, slice_of

SHAPE = GPTConfig(11, 8, 2, 2, 16)
X, Y = torch.randint(0, 11, (2, 12, 8), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 4), (2, 3, 5)])
def test_a_ring_adds_tensors_of_every_shape(n, shape):
    tensors = [
        torch.randint(0, 9, shape, generator=torch.Generator().manual_seed(r)).double() for r in range(n)
    ]

    def work(ranks):
        mine = tensors[ranks.rank].clone()
        ring_all_reduce(mine, ranks)
        return mine

    found, ranks = in_threads(n, work)
    assert all(torch.equal(mine, sum(tensors)) for mine in found)
    assert sum(rank.bytes_sent for rank in ranks) == 2 * (n - 1) * sum(tensors).numel() * 8


def train(
    n, wrap=lambda model, ranks: model, moved=lambda optimizer, ranks: optimizer, make=make_adamw, steps=4
):
    """Weights of n threads after some steps, and what their optimizers keep."""

    def work(ranks):
        model = wrap(GPT(SHAPE, torch.Generator().manual_seed(1)).double(), ranks)
        optimizer = make(model)
        stepper = moved(optimizer, ranks)
        own = slice(12 // n * ranks.rank, 12 // n * (ranks.rank + 1))
        for _ in range(steps):
            stepper.zero_grad()
            cross_entropy(model(X[own]), Y[own]).backward()
            average_gradients([p for name, p in model.named_parameters() if ".parts." not in name], ranks)
            stepper.step()
        return model, optimizer

    return in_threads(n, work)[0]


@pytest.mark.parametrize("n", [2, 3, 4])
def test_data_parallel_is_one_process(n):
    (alone, _), together = train(1)[0], train(n)
    for model, _ in together:
        for p, q in zip(alone.parameters(), model.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", [make_adamw, make_muon])
@pytest.mark.parametrize("n", [2, 3])
def test_a_sharded_optimizer_is_the_whole_one(n, make):
    whole, sharded = train(n, make=make), train(n, moved=ShardedOptimizer, make=make)
    for (model, _), (other, _) in zip(whole, sharded, strict=True):
        assert all(torch.equal(p, q) for p, q in zip(model.parameters(), other.parameters(), strict=True))
    kept = [
        sum(bool(s) for o in getattr(opt, "optimizers", [opt]) for s in o.state.values())
        for _, opt in sharded
    ]
    assert sum(kept) == len(list(whole[0][0].parameters()))


def shard_blocks(model, ranks):
    for i, block in enumerate(model.h):
        model.h[i] = FullySharded(block, ranks)
    return model


@pytest.mark.parametrize("n", [1, 2, 3])
def test_sharded_weights_are_the_whole_ones(n):
    whole, sharded = train(n)[0][0], train(n, wrap=shard_blocks)
    for i, block in enumerate(whole.h):
        for k, (name, p) in enumerate(block.named_parameters()):
            parts = [list(model.h[i].parts.parameters())[k].detach() for model, _ in sharded]
            assert sharded[0][0].h[i].names[k] == name
            torch.testing.assert_close(torch.cat(parts)[: len(p)], p.detach(), rtol=0, atol=1e-12)


def test_a_slice_is_filled_up_with_zeros():
    weight = torch.arange(1.0, 6.0)
    parts, _ = in_threads(2, lambda ranks: slice_of(weight, ranks))
    assert [part.tolist() for part in parts] == [[1, 2, 3], [4, 5, 0]]


# --- the threads themselves


def waits_for_ever(ranks):
    ranks.receive(torch.zeros(1), 1 - ranks.rank)


def calls_another(ranks):
    (ranks.all_reduce if ranks.rank else ranks.all_mean)(torch.zeros(1))


def sends_too_much(ranks):
    if ranks.rank:
        ranks.send(torch.zeros(2), 0).wait()
    else:
        ranks.receive(torch.zeros(1), 1)


def changes_what_is_sent(ranks):
    message = torch.zeros(2)
    request = ranks.send(message, 1 - ranks.rank)
    message += 1
    ranks.receive(torch.zeros(2), 1 - ranks.rank)
    request.wait()


def never_waits(ranks):
    ranks.send(torch.zeros(1), 1 - ranks.rank)
    ranks.receive(torch.zeros(1), 1 - ranks.rank)


def is_never_read(ranks):
    ranks.send(torch.zeros(1), 1 - ranks.rank)


def waits_before_it_receives(ranks):
    ranks.send(torch.zeros(1), 1 - ranks.rank).wait()
    ranks.receive(torch.zeros(1), 1 - ranks.rank)


def sends_another_type(ranks):
    if ranks.rank:
        ranks.send(torch.zeros(1, dtype=torch.float64), 0).wait()
    else:
        ranks.receive(torch.zeros(1), 1)


def ends_early(ranks):
    if ranks.rank:
        ranks.all_reduce(torch.zeros(1))


@pytest.mark.parametrize(
    ("work", "word"),
    [
        (waits_for_ever, "for ever"),
        (calls_another, "all_mean and all_reduce"),
        (sends_too_much, "room for 1 numbers, process 1 sends 2"),
        (changes_what_is_sent, "changed while it is sent"),
        (never_waits, "never waited for"),
        (is_never_read, "never received"),
        (waits_before_it_receives, "its own request before it has received"),
        (sends_another_type, "room for torch.float32, process 1 sends torch.float64"),
        (ends_early, "for ever"),
        (lambda ranks: ranks.send(torch.zeros(1), 5), "there is no process 5"),
        (lambda ranks: ranks.send(torch.zeros(1), ranks.rank), "sends to itself"),
    ],
)
def test_threads_name_what_goes_wrong(work, word):
    with pytest.raises(NotYet, match=word):
        in_threads(2, work)


def test_an_error_of_one_thread_comes_through():
    def work(ranks):
        if ranks.rank:
            raise KeyError("mine")
        ranks.receive(torch.zeros(1), 1)

    with pytest.raises(KeyError, match="mine"):
        in_threads(2, work)


def test_the_source_of_what_a_page_defines():
    assert source_of(slice_of).startswith("def slice_of") and source_of(FullySharded).startswith(
        "class FullySharded"
    )
    assert "@torch.no_grad()\n    def step" in source_of(ShardedOptimizer)
