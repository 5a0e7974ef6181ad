"""The checkers of chapter 00."""

import torch

from gptlib.exercises import exercise, expect


@exercise(difficulty=1, minutes=5)
def squared_distances(attempt):
    """attempt(a [n, d], b [m, d]) -> [n, m]: the squared distance of every pair of points."""
    for n, m, d, seed in ((2, 3, 4, 0), (3, 3, 3, 1), (1, 5, 2, 2), (4, 1, 1, 3)):
        g = torch.Generator().manual_seed(seed)
        a, b = torch.randn(n, d, generator=g), torch.randn(m, d, generator=g)
        found = attempt(a.clone(), b.clone())
        expect(torch.is_tensor(found), f"return a tensor, not {type(found).__name__}")
        expect(
            found.shape == (n, m),
            f"for a [{n}, {d}] and b [{m}, {d}] the shape must be [{n}, {m}], yours is {list(found.shape)}",
        )
        right = torch.cdist(a.double(), b.double()) ** 2
        expect(
            not torch.allclose(found**2, right.to(found.dtype), atol=1e-4) or n == m == 1,
            "leave the distance squared: no root",
        )
        expect(
            not torch.allclose(found, (right / d).to(found.dtype), atol=1e-4) or d == 1,
            "sum over the coordinates; yours takes their mean",
        )
        worst = (found - right).abs().max().item()
        expect(worst < 1e-4, f"off by {worst:.3g}: entry [i, j] belongs to a[i] and b[j]")


@exercise(difficulty=2, minutes=10)
def fit_line(attempt):
    """attempt(x [n], y [n]) -> (slope, offset) with the least mean squared error."""
    for slope, offset, noise, seed in ((3.0, -1.0, 0.0, 0), (-0.5, 2.0, 0.3, 1), (1.5, 0.0, 1.0, 2)):
        g = torch.Generator().manual_seed(seed)
        x = 4 * torch.rand(40, generator=g) - 2
        y = slope * x + offset + noise * torch.randn(40, generator=g)
        best = torch.linalg.lstsq(torch.stack([x, torch.ones_like(x)], dim=1), y[:, None]).solution[:, 0]
        found = attempt(x.clone(), y.clone())
        expect(isinstance(found, tuple) and len(found) == 2, "return two values: slope, offset")
        for name, value, right in zip(("slope", "offset"), found, best.tolist(), strict=True):
            expect(
                abs(float(value) - right) < 0.01,
                f"the best {name} for these points is {right:.3f}, yours is {float(value):.3f}: more steps, "
                "the mean of the squares, and gradients cleared before each backward",
            )
