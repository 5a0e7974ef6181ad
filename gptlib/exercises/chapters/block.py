"""The checkers of chapter 06. Those on blocks use gptlib's Block, which the reader may have exported just now."""

import torch

from gptlib.exercises import exercise, expect
from gptlib.exercises.answer import as_list, close, expect_close, tensor, whole_number
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


@exercise(difficulty=2, minutes=10)
def contributions(attempt):
    """attempt(blocks, x) -> the input and what each part wrote, in order."""
    from gptlib.block import Block

    for n, sizes, shape in ((2, (8, 2, 5), (1, 5, 8)), (3, (6, 3, 4), (2, 3, 6)), (0, (8, 2, 5), (1, 2, 8))):
        torch.manual_seed(n)
        blocks = [Block(*sizes).double() for _ in range(n)]
        x = torch.randn(*shape, dtype=torch.float64)
        before, right = x.clone(), what_was_written(blocks, x)
        with torch.no_grad():
            answer = attempt(blocks, x)
        expect(torch.equal(x, before), "x was changed in place: keep the stream in a tensor of your own")
        found = as_list(answer, "a list of tensors")
        wanted = f"{n} blocks and the input make {1 + 2 * n} tensors, yours are {len(found)}"
        expect(len(found) != 2 * n or n == 0, f"{wanted}: the input comes first")
        expect(len(found) != 1 + n or n == 0, f"{wanted}: attention and MLP each write one")
        expect(len(found) == 1 + 2 * n, wanted)
        found = [tensor(part, shape, f"tensor {i} of the list") for i, part in enumerate(found)]
        flipped = n > 0 and close(torch.stack(found), torch.stack(right[::-1]))
        expect(not flipped, "the order is reversed: the input comes first")
        for i, (yours, wanted) in enumerate(zip(found, right, strict=True)):
            name = "the input" if i == 0 else f"what {('mlp', 'attn')[i % 2]} of block {(i - 1) // 2} wrote"
            expect_close(yours, wanted, written_mistakes(blocks, right, i), f"{name}: ")


@torch.no_grad()
def what_was_written(blocks, x) -> list[torch.Tensor]:
    """What hooks on the real blocks saw: the input, then the output of each part."""
    written = [x]
    parts = [part for block in blocks for part in (block.attn, block.mlp)]
    hooks = [part.register_forward_hook(lambda part, given, y: written.append(y)) for part in parts]
    for block in blocks:
        x = block(x)
    for hook in hooks:
        hook.remove()
    return written


@torch.no_grad()
def written_mistakes(blocks, right, i) -> dict:
    """What usual mistakes give for tensor `i` of the list, by the message for each."""
    if i == 0:
        return {}
    block = blocks[(i - 1) // 2]
    stream = sum(right[: i - 1], right[i - 1])
    mistakes = {
        "that is the stream afterwards; give the part's own output, without the sum": stream + right[i]
    }
    if i % 2:
        mistakes["the stream is not normalised: attention reads ln_1 of it"] = block.attn(stream)
        mistakes["it reads the input; it must read the stream, into which other blocks have written"] = (
            block.attn(block.ln_1(right[0]))
        )
    else:
        early = sum(right[: i - 2], right[i - 2])
        mistakes["the stream is not normalised: the mlp reads ln_2 of it"] = block.mlp(stream)
        mistakes["the mlp reads the stream after attention has written into it"] = block.mlp(
            block.ln_2(early)
        )
    return mistakes


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
