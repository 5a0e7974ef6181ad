"""The checkers of chapter 06."""

import torch

from gptlib.exercises import exercise, expect


@exercise(difficulty=1, minutes=5)
def block_parameters(attempt):
    """attempt(n_embd, bias) -> the number of weights in a block of that width."""
    from gptlib.block import Block  # the reader's own: it may have been exported a moment ago

    for n_embd, bias in ((4, True), (12, False), (64, True), (64, False)):
        found = attempt(n_embd, bias)
        right = sum(p.numel() for p in Block(n_embd, 2, 8, bias=bias).parameters())
        expect(isinstance(found, int), f"return a whole number, not {type(found).__name__}")
        expect(found != 12 * n_embd**2, "the matrices are right; LayerNorm and biases are missing")
        expect(
            found == right,
            f"n_embd={n_embd}, bias={bias}: it has {right:,} weights, yours is off by {found - right:+,}",
        )


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
        y, n = attempt(x, ln, attn, mlp), (x @ c).tanh()
        expect(torch.equal(x, before), "x was changed in place: later layers need it as it was")
        expect(torch.is_tensor(y) and y.shape == x.shape, f"the result must have shape {list(shape)}")
        expect(not torch.allclose(y, attn(n) + mlp(n)), "the parts are right, but x itself is not added")
        expect(not torch.allclose(y, n + attn(n) + mlp(n)), "add x as it came in, not the normalised x")
        expect(not torch.allclose(y, x + attn(x) + mlp(x)), "the parts must read the normalised x")
        one_by_one = x + attn(n)
        one_by_one = one_by_one + mlp((one_by_one @ c).tanh())
        expect(
            not torch.allclose(y, one_by_one), "that is the ordinary block: here both parts read the same x"
        )
        expect(torch.allclose(y, x + attn(n) + mlp(n)), "the result is not x + attn(ln(x)) + mlp(ln(x))")
        expect(
            calls.count("ln") == 1,
            f"normalise once and use it twice; yours calls ln {calls.count('ln')} times",
        )


@exercise(difficulty=2, minutes=10)
def contributions(attempt):
    """attempt(blocks, x) -> the input and what each part wrote, in order."""
    from gptlib.block import Block  # the reader's own: it may have been exported a moment ago

    for n, sizes, shape in ((2, (8, 2, 5), (1, 5, 8)), (3, (6, 3, 4), (2, 3, 6)), (0, (8, 2, 5), (1, 2, 8))):
        torch.manual_seed(n)
        blocks, x = [Block(*sizes).double() for _ in range(n)], torch.randn(*shape, dtype=torch.float64)
        before, right = x.clone(), what_was_written(blocks, x)
        with torch.no_grad():
            found = attempt(blocks, x)
        expect(torch.equal(x, before), "x was changed in place: later parts write into a copy of your own")
        expect(isinstance(found, list | tuple), f"return a list, not {type(found).__name__}")
        expect(
            len(found) == 1 + 2 * n,
            f"{n} blocks and the input make {1 + 2 * n} tensors, yours are {len(found)}",
        )
        for i, (yours, wanted) in enumerate(zip(found, right, strict=True)):
            name = "the input" if i == 0 else f"what {('mlp', 'attn')[i % 2]} of block {(i - 1) // 2} wrote"
            expect(torch.is_tensor(yours) and yours.shape == x.shape, f"{name} must have shape {list(shape)}")
            stream = sum(right[:i], wanted)
            expect(
                i == 0 or not torch.allclose(yours, stream),
                f"{name}: that is the stream afterwards; give the part's own output, without the sum",
            )
            if i and i % 2 == 0:
                block, early = blocks[i // 2 - 1], sum(right[: i - 2], right[i - 2])
                expect(
                    not torch.allclose(yours, block.mlp(block.ln_2(early))),
                    f"{name}: the mlp reads the stream after attention has written into it",
                )
            expect(torch.allclose(yours, wanted), f"{name} is something else")


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
        x = torch.randn(2, sizes[2], sizes[0]) * 3
        y = block(x)
        for name, part, ln in (("attention", block.attn, block.ln_1), ("the MLP", block.mlp, block.ln_2)):
            expect((part(ln(x)) == 0).all(), f"{name} still writes something into the stream")
        expect(torch.equal(y, x), "block(x) is not x")
        changed = [name for name, p in block.named_parameters() if not torch.equal(p, before[name])]
        expect(
            not [name for name in changed if "c_proj" not in name],
            f"{changed[0] if changed else ''} need not change: set as few numbers as possible",
        )
        stuck = [name for name, p in block.named_parameters() if not p.requires_grad]
        expect(not stuck, f"{stuck[0] if stuck else ''} can no longer learn: requires_grad is off")
        (y * torch.randn(y.shape)).sum().backward()
        for name, p in block.named_parameters():
            if name.endswith("c_proj.weight"):
                expect(p.grad is not None and p.grad.abs().max() > 0, f"no gradient arrives in {name}")
