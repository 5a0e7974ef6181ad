"""Right answers and planted bugs for the exercises of chapter 08."""

import torch
from torch.autograd import grad as grad_by_another_name


def averages(T, dtype):
    lower = torch.tril(torch.ones(T, T, dtype=dtype))
    return lower / lower.sum(dim=1, keepdim=True)


def by_loop(grad_out):
    T = len(grad_out)
    rows = [sum(grad_out[t] / (t + 1) for t in range(s, T)) for s in range(T)]
    return torch.stack(rows)


def by_autograd(grad_out):
    x = torch.zeros_like(grad_out, requires_grad=True)
    (averages(len(x), x.dtype) @ x).backward(grad_out)
    return x.grad


def by_hidden_autograd(grad_out):
    x = torch.zeros_like(grad_out, requires_grad=True)
    return grad_by_another_name(averages(len(x), x.dtype) @ x, x, grad_out)[0]


def by_functional_autograd(grad_out):
    forward = torch.func.vjp(lambda x: averages(len(x), x.dtype) @ x, torch.zeros_like(grad_out))
    return forward[1](grad_out)[0]


def in_place(grad_out):
    grad_out /= torch.arange(1, len(grad_out) + 1)[:, None]
    return grad_out.flip(0).cumsum(0).flip(0)


def counts(grad_out):
    return torch.arange(1, len(grad_out) + 1, dtype=grad_out.dtype)[:, None]


def norm_parts(grad_out, x, weight, eps):
    r = torch.rsqrt((x * x).mean(dim=-1, keepdim=True) + eps)
    x_hat, grad_hat = x * r, grad_out * weight
    along = (grad_hat * x_hat).mean(dim=-1, keepdim=True)
    return r, x_hat, grad_hat, along, (grad_out * x_hat).reshape(-1, len(weight)).sum(dim=0)


def from_the_jacobian(grad_out, x, weight, eps):
    """Row by row, with the whole matrix of slopes."""
    dim, rows, total = x.shape[-1], [], torch.zeros_like(weight)
    for g, v in zip(grad_out.reshape(-1, dim), x.reshape(-1, dim), strict=True):
        r = (v.square().mean() + eps) ** -0.5
        slopes = r * torch.eye(dim, dtype=v.dtype) - r**3 * torch.outer(v, v) / dim
        rows.append(slopes @ (g * weight))
        total = total + g * v * r
    return torch.stack(rows).reshape(x.shape), total


def r_fixed(*given):
    r, _, grad_hat, _, grad_w = norm_parts(*given)
    return r * grad_hat, grad_w


def centred(*given):
    r, x_hat, grad_hat, along, grad_w = norm_parts(*given)
    return r * (grad_hat - grad_hat.mean(dim=-1, keepdim=True) - x_hat * along), grad_w


def layer_norm(grad_out, x, weight, eps):
    c = x - x.mean(dim=-1, keepdim=True)
    r, c_hat, grad_hat, along, grad_w = norm_parts(grad_out, c, weight, eps)
    h = r * (grad_hat - c_hat * along)
    return h - h.mean(dim=-1, keepdim=True), grad_w


def mean_of_all(*given):
    r, x_hat, grad_hat, along, grad_w = norm_parts(*given)
    h = r * (grad_hat - x_hat * along)
    return h - h.mean(dim=-1, keepdim=True), grad_w


def without_r(*given):
    _, x_hat, grad_hat, along, grad_w = norm_parts(*given)
    return grad_hat - x_hat * along, grad_w


def summed_along(*given):
    r, x_hat, grad_hat, _, grad_w = norm_parts(*given)
    return r * (grad_hat - x_hat * (grad_hat * x_hat).sum(dim=-1, keepdim=True)), grad_w


def weight_forgotten(grad_out, x, weight, eps):
    r, x_hat, _, _, grad_w = norm_parts(grad_out, x, weight, eps)
    return r * (grad_out - x_hat * (grad_out * x_hat).mean(dim=-1, keepdim=True)), grad_w


def norm_by_autograd(grad_out, x, weight, eps):
    x, weight = x.requires_grad_(), weight.requires_grad_()
    y = torch.nn.functional.rms_norm(x, x.shape[-1:], weight, eps)
    return torch.autograd.grad(y, (x, weight), grad_out)


def norm_by_torch_func(grad_out, x, weight, eps):
    rms_norm = torch.nn.functional.rms_norm
    return torch.func.vjp(lambda x, w: rms_norm(x, x.shape[-1:], w, eps), x, weight)[1](grad_out)


def weight_gradient(change):
    """The right gradient of x, and for the weight what `change` makes of grad_out, x and the normed x."""

    def attempt(grad_out, x, weight, eps):
        r, x_hat, grad_hat, along, _ = norm_parts(grad_out, x, weight, eps)
        return r * (grad_hat - x_hat * along), change(grad_out, x, x_hat)

    return attempt


def over_rows(t):
    return t.reshape(-1, t.shape[-1]).sum(dim=0)


ALTERNATIVES = {
    "average_backward": [
        by_loop,
        lambda grad_out: averages(len(grad_out), grad_out.dtype).T @ grad_out,
        lambda grad_out: by_loop(grad_out.float()).numpy(),
    ],
    "rms_norm_backward": [from_the_jacobian, lambda *given: [t.float() for t in from_the_jacobian(*given)]],
}

BUGS = {
    "average_backward": {
        "forward once more": (lambda g: averages(len(g), g.dtype) @ g, "averages the past"),
        "not divided": (lambda g: g.flip(0).cumsum(0).flip(0), "divide each gradient"),
        "divided by its own place": (lambda g: g.flip(0).cumsum(0).flip(0) / counts(g), "before you add"),
        "one gradient for all": (lambda g: (g / counts(g)).sum(0).expand_as(g), "all outputs"),
        "from the past": (lambda g: (g / counts(g)).cumsum(0), "before s"),
        "only its own place": (lambda g: g / counts(g), "after s"),
        "in place": (in_place, "copy"),
        "by autograd": (by_autograd, "autograd"),
        "by autograd, imported": (by_hidden_autograd, "autograd"),
        "by torch.func": (by_functional_autograd, "autograd"),
    },
    "rms_norm_backward": {
        "r taken as fixed": (r_fixed, "r depends on x"),
        "LayerNorm's two subtractions": (centred, "centred"),
        "LayerNorm's last line": (mean_of_all, "centred"),
        "LayerNorm as it is": (layer_norm, "centred"),
        "r forgotten": (without_r, "factor r"),
        "a sum for the mean": (summed_along, "not the sum"),
        "weight forgotten": (weight_forgotten, "weight is missing"),
        "rows not summed": (weight_gradient(lambda g, x, x_hat: g * x_hat), "add up over the rows"),
        "rows averaged": (
            weight_gradient(lambda g, x, x_hat: over_rows(g * x_hat) * x.shape[-1] / x.numel()),
            "not their mean",
        ),
        "x instead of the normed x": (weight_gradient(lambda g, x, x_hat: over_rows(g * x)), "not by x"),
        "only x": (lambda *given: from_the_jacobian(*given)[0], "2 values"),
        "by autograd": (norm_by_autograd, "autograd"),
        "by torch.func": (norm_by_torch_func, "autograd"),
    },
}
