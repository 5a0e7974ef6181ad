"""The checkers of chapter 06. Those on blocks use gptlib's Block, which the reader may have exported just now."""

import torch

from gptlib.exercises import exercise, expect
from gptlib.exercises.answer import expect_close, tensor, whole_number
from gptlib.exercises.limits import without_modules


@exercise(difficulty=1, minutes=5)
def block_parameters(attempt):
    """attempt(n_embd, bias) -> the number of weights in a block of that width."""
    from gptlib.block import Block

    for C, bias in ((12, True), (12, False), (64, True), (4, False)):
        right = sum(p.numel() for p in Block(C, 2, 8, bias=bias).parameters())
        with without_modules():
            found = whole_number(attempt(C, bias))
        norms, biases = (4 * C, 9 * C) if bias else (2 * C, 0)
        mistakes = {
            "the matrices are right; LayerNorm and biases are missing": 12 * C**2,
            "without bias, neither LayerNorm nor a linear layer has one": 12 * C**2 + 13 * C,
            "with bias, the linear layers have 9C and LayerNorm has a shift": 12 * C**2 + 2 * C,
            "the biases of the linear layers, 9C, are missing": right - biases,
            "LayerNorm is missing": right - norms,
            "a block has two LayerNorms": right - norms // 2,
            "attention's c_proj, C · C, is missing": right - C**2,
            "the MLP is 4C wide inside": right - 6 * C**2,
            "c_attn makes queries, keys and values: 3C · C": right - 2 * C**2,
        }
        expect_close(found, right, mistakes, f"n_embd={C}, bias={bias}: ")


@exercise(difficulty=2, minutes=10)
def parallel_block(attempt):
    """attempt(x, ln, attn, mlp) -> x + attn(ln(x)) + mlp(ln(x))."""
    for shape, seed in (((2, 3, 4), 0), ((1, 5, 2), 1)):
        g = torch.Generator().manual_seed(seed)
        a, b, c = (torch.randn(shape[-1], shape[-1], generator=g) for _ in range(3))
        calls = []

        def ln(x, c=c, calls=calls):
            calls.append("ln")
            return (x @ c).tanh()

        def attn(x, a=a):
            return x @ a

        def mlp(x, b=b):
            return (x @ b).sin()

        x = torch.randn(*shape, generator=g)
        before = x.clone()
        y = tensor(attempt(x, ln, attn, mlp), shape)
        used = calls.count("ln")
        expect(torch.equal(x, before), "x was changed in place: later layers need it as it was")
        n = ln(x)
        after_attention = x + attn(n)
        mistakes = {
            "the parts are right, but x itself is not added": attn(n) + mlp(n),
            "add x as it came in, not the normalised x": n + attn(n) + mlp(n),
            "the parts must read the normalised x": x + attn(x) + mlp(x),
            "that is the ordinary block: here both parts read the same x": (
                after_attention + mlp(ln(after_attention))
            ),
            "the mlp reads what attention wrote: here both read ln(x)": after_attention + mlp(attn(n)),
            "the mlp is missing": x + attn(n),
            "attention is missing": x + mlp(n),
            "that is post-norm: normalise what the parts read, not the sum": ln(x + attn(x) + mlp(x)),
        }
        expect_close(y, x + attn(n) + mlp(n), mistakes)
        expect(used == 1, f"normalise once and use it twice; yours calls ln {used} times")


@exercise(difficulty=1, minutes=5)
def begin_as_nothing(attempt):
    """attempt(block) changes a Block in place so that block(x) == x, and it can still learn."""
    from gptlib.block import Block

    for sizes, seed in (((8, 2, 5), 0), ((12, 3, 4), 1)):
        torch.manual_seed(seed)
        block = Block(*sizes)
        with torch.no_grad():
            for p in block.parameters():
                p.add_(0.1 * torch.randn(p.shape))  # biases too, so that a forgotten one shows
        before = {name: p.detach().clone() for name, p in block.named_parameters()}
        attempt(block)
        changed = [name for name, p in block.named_parameters() if not torch.equal(p, before[name])]
        expect(changed, "no weight of the block has changed: work in place, on the block that is given")
        for name in changed:
            expect("c_proj" in name, f"{name} need not change: set as few numbers as possible")
        x = torch.randn(2, sizes[2], sizes[0]) * 3
        y = block(x)
        for name, part, ln in (("attention", block.attn, block.ln_1), ("the MLP", block.mlp, block.ln_2)):
            written = part(ln(x))
            bias_alone = (written == written[0, 0]).all() and (written != 0).any()
            expect(not bias_alone, f"the bias of c_proj in {name} still writes into the stream")
            expect((written == 0).all(), f"{name} still writes into the stream: its c_proj is not 0")
        expect(torch.equal(y, x), "block(x) is not x")
        for name, p in block.named_parameters():
            expect(p.requires_grad, f"{name} can no longer learn: requires_grad is off")
        (y * torch.randn(y.shape)).sum().backward()
        for name, p in block.named_parameters():
            if name.endswith("c_proj.weight"):
                expect(p.grad is not None and p.grad.abs().max() > 0, f"no gradient arrives in {name}")
