"""The checkers of chapter 04. Each calls the reader's function on inputs of several sizes and names the mistake."""

import math

import torch
import torch.nn.functional as F

from gptlib.exercises import exercise, expect
from gptlib.exercises.answer import expect_close, parts, tensor
from gptlib.exercises.limits import without_autograd


@exercise(difficulty=1, minutes=5)
def rms_norm(attempt):
    """attempt(x [..., dim], weight [dim], eps) -> x over the root of the mean square, scaled."""
    for shape, eps, seed in (((3, 5), 0.5, 1), ((4,), 1e-5, 0), ((2, 3, 8), 0.5, 2)):
        g = torch.Generator().manual_seed(seed)
        x = 2 + torch.randn(shape, generator=g, dtype=torch.float64)
        weight = torch.rand(shape[-1], generator=g, dtype=torch.float64)
        y = tensor(attempt(x.clone(), weight.clone(), eps), shape)
        square = x * x
        mean = square.mean(dim=-1, keepdim=True)
        mistakes = {
            "multiply with the weight at the end": F.rms_norm(x, shape[-1:], None, eps),
            "that is LayerNorm: RMSNorm does not subtract the mean": F.layer_norm(
                x, shape[-1:], weight, None, eps
            ),
            "eps belongs under the root: sqrt(mean + eps)": x * weight / (mean.sqrt() + eps),
            "eps is left out: it keeps the root from being 0": x * weight / mean.sqrt(),
            "the root is missing: divide by sqrt(mean + eps)": x * weight / (mean + eps),
            "take the mean of the squares, not their sum": (
                x * weight / (square.sum(dim=-1, keepdim=True) + eps).sqrt()
            ),
            "the mean goes over the last dimension only": x * weight / (square.mean() + eps).sqrt(),
        }
        expect_close(y, F.rms_norm(x, shape[-1:], weight, eps), mistakes)
    zero = tensor(attempt(torch.zeros(2, 3), torch.ones(3), 1e-5), (2, 3))
    expect((zero == 0).all(), "a vector of zeros must stay zero: eps keeps the root from being 0")


@exercise(difficulty=2, minutes=15)
def linear_backward(attempt):
    """attempt(dY [N, n_out], X [N, n_in], W [n_out, n_in]) -> dX, dW, db as autograd gives them."""
    for N, n_in, n_out, seed in ((4, 3, 2, 0), (5, 5, 5, 1), (1, 2, 7, 2)):
        g = torch.Generator().manual_seed(seed)
        X, W, dY = (
            torch.randn(shape, generator=g, dtype=torch.float64)
            for shape in ((N, n_in), (n_out, n_in), (N, n_out))
        )
        with without_autograd():
            answer = attempt(dY.clone(), X.clone(), W.clone())
        dX, dW, db = parts(answer, "dX", "dW", "db")
        begins_with_db = getattr(dX, "ndim", 2) == 1
        expect(not begins_with_db, "the order is dX, dW, db; yours begins with db")
        dX = tensor(dX, (N, n_in), "dX")
        dW = tensor(dW, (n_out, n_in), "dW")
        unsummed = getattr(db, "ndim", 1) == 2
        expect(not unsummed, "db is not summed: the bias is added to every row, so add up over the rows")
        db = tensor(db, (n_out,), "db")
        where = f"N={N}, n_in={n_in}, n_out={n_out}, "
        mistakes = {
            "that is X itself; multiply dY by W": X,
            "it is not divided by N: dY already holds the loss's own mean": dY @ W / N,
        }
        expect_close(dX, dY @ W, mistakes, where + "dX: ")
        right = dY.T @ X
        mistakes = {
            "that is W itself; each row of dY times the row of X, added up": W,
            "it is the sum over the rows, not their mean: dY already holds the loss's own mean": right / N,
            "that is X.T @ dY, the transpose": X.T @ dY,
        }
        expect_close(dW, right, mistakes, where + "dW: ")
        right = dY.sum(dim=0)
        mistakes = {"it is the sum over the rows, not their mean: dY already holds the mean": right / N}
        expect_close(db, right, mistakes, where + "db: ")


@exercise(difficulty=2, minutes=15)
def gelu_slope(attempt):
    """attempt(x [...]) -> the derivative of x · Φ(x), Φ the standard normal distribution."""
    for shape, seed in (((9,), 0), ((2, 5), 1), ((3, 1, 7), 2)):
        x = 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        with without_autograd():
            answer = attempt(x.clone())
        slope = tensor(answer, shape)
        below, bell = torch.special.ndtr(x), torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        mistakes = {
            "that is Φ alone; the product rule adds x times the bell curve": below,
            "that is x times the bell curve alone; the product rule has a second part, Φ": x * bell,
            "that is Φ plus the bell curve: the second part is multiplied with x": below + bell,
            "that is GELU itself, not its slope": F.gelu(x),
            "that is the slope of ReLU: Φ rises smoothly from 0 to 1": (x > 0).double(),
            "the bell curve lacks its factor 1/√(2π)": below + x * torch.exp(-x * x / 2),
            "the bell curve's exponent is -x²/2": below + x * torch.exp(-x * x) / math.sqrt(2 * math.pi),
            "the two parts are added, not subtracted": below - x * bell,
            "that is the slope of the tanh form, not of the exact GELU": slope_of_tanh_form(x),
        }
        expect_close(slope, below + x * bell, mistakes)


def slope_of_tanh_form(x):
    """The slope of the approximation of GELU by a tanh."""
    x = x.clone().requires_grad_()
    return torch.autograd.grad(F.gelu(x, approximate="tanh").sum(), x)[0]
