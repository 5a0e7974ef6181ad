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
