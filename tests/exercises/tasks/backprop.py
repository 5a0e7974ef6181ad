"""What readers might write for the backward functions of chapter 08: other styles, and mistakes."""

RIGHT = {
    "numerical_gradient": [
        """
def numerical_gradient(f, x, h=1e-5):
    slopes = torch.zeros_like(x)
    for i in range(x.numel()):
        values = []
        for step in (h, -h):
            moved = x.clone().flatten()
            moved[i] += step
            values.append(f(moved.reshape(x.shape)))
        slopes.view(-1)[i] = (values[0] - values[1]) / (2 * h)
    return slopes
""",
        """
def numerical_gradient(f, x, h=1e-5):
    near, far = [], []
    for step in torch.eye(x.numel(), dtype=x.dtype).reshape(-1, *x.shape):
        near.append((f(x + h * step) - f(x - h * step)) / (2 * h))
        far.append((f(x + 2 * h * step) - f(x - 2 * h * step)) / (4 * h))
    near, far = (torch.tensor([float(slope) for slope in s], dtype=x.dtype) for s in (near, far))
    return ((4 * near - far) / 3).reshape(x.shape).numpy()
""",
    ],
    "matmul_backward": [
        """
def matmul_backward(grad_out, a, b):
    grad_a = torch.einsum("...ij,...sj->...is", grad_out, b)
    grad_b = torch.einsum("...is,...ij->...sj", a, grad_out)
    return [grad_a, grad_b]
""",
    ],
    "linear_backward": [
        """
def linear_backward(grad_out, x, weight):
    grad_w, grad_b = torch.zeros_like(weight), torch.zeros_like(weight[:, 0])
    for g, row in zip(grad_out.reshape(-1, len(weight)), x.reshape(-1, weight.shape[1])):
        grad_w += torch.outer(g, row)
        grad_b += g
    return (grad_out.unsqueeze(-1) * weight).sum(-2), grad_w, grad_b
""",
    ],
    "cross_entropy_backward": [
        """
def cross_entropy_backward(grad_out, logits, targets):
    grad = logits.log_softmax(-1).exp()
    grad = grad.scatter_add(-1, targets[..., None], -torch.ones_like(grad[..., :1]))
    return grad_out * grad / max(1, targets.numel())
""",
        """
def cross_entropy_backward(grad_out, logits, targets):
    rows = logits.reshape(-1, logits.shape[-1]).softmax(1)
    rows[torch.arange(len(rows)), targets.reshape(-1)] -= 1
    return (rows * grad_out / len(rows)).reshape(logits.shape)
""",
    ],
    "softmax_backward": [
        """
def softmax_backward(grad_out, p):
    slopes = torch.diag_embed(p) - p.unsqueeze(-1) * p.unsqueeze(-2)  # [..., n, n]
    return (slopes @ grad_out.unsqueeze(-1)).squeeze(-1)
""",
    ],
    "layer_norm_backward": [
        """
def layer_norm_backward(grad_out, x, weight, eps=1e-5):
    n = x.shape[-1]
    r = 1 / (x.var(-1, keepdim=True, correction=0) + eps).sqrt()
    x_hat = (x - x.mean(-1, keepdim=True)) * r
    g = grad_out * weight
    grad_x = r / n * (n * g - g.sum(-1, keepdim=True) - x_hat * (g * x_hat).sum(-1, keepdim=True))
    rows = (grad_out * x_hat).reshape(-1, n).sum(0)
    return [grad_x, rows, grad_out.reshape(-1, n).sum(0)]
""",
    ],
    "attention_backward": [
        """
def attention_backward(grad_out, q, k, v, mask=None):
    p = attention_weights(q, k, mask)
    grad_p = grad_out @ v.mT
    grad_s = p * (grad_p - (grad_p * p).sum(-1, keepdim=True)) * q.shape[-1] ** -0.5
    return grad_s @ k, grad_s.mT @ q, p.mT @ grad_out
""",
    ],
    "embedding_backward": [
        """
def embedding_backward(grad_out, idx, n):
    table = torch.zeros(n, grad_out.shape[-1], dtype=grad_out.dtype)
    for row, gradient in zip(idx.flatten(), grad_out.reshape(-1, grad_out.shape[-1])):
        table[row] += gradient
    return table
""",
        """
def embedding_backward(grad_out, idx, n):
    chosen = torch.nn.functional.one_hot(idx.reshape(-1), n).to(grad_out.dtype)
    return chosen.T @ grad_out.reshape(-1, grad_out.shape[-1])
""",
    ],
}
H_LINE = "h = r * (grad_hat - x_hat * (grad_hat * x_hat).mean(dim=-1, keepdim=True))"
FOR_WEIGHT = "unbroadcast(grad_out * x_hat, weight.shape)"
ADD_UP = ".index_add_(0, idx.reshape(-1), rows)"
TABLE = "    return grad_out.new_zeros(n, grad_out.shape[-1])" + ADD_UP
LAST_ONLY = """    table = grad_out.new_zeros(n, grad_out.shape[-1])
    table[idx.reshape(-1)] += rows
    return table"""
ONE_HOT = """    chosen = torch.nn.functional.one_hot(idx.reshape(-1), n).float()
    return chosen.T @ grad_out.reshape(-1, grad_out.shape[-1]).float()
"""
BY_FUNC = """    return torch.func.grad(lambda z: cross_entropy(z, targets))(logits)
"""
PRODUCT_BY_GRAD = """    a, b = a.requires_grad_(), b.requires_grad_()
    return torch.autograd.grad(a @ b, (a, b), grad_out)
"""
LINEAR_BY_BACKWARD = """    x, weight = x.requires_grad_(), weight.requires_grad_()
    (x @ weight.T).backward(grad_out)
"""
NORM_BY_GRAD = """    x = x.requires_grad_()
    torch.autograd.grad(torch.nn.functional.layer_norm(x, weight.shape), x, grad_out)
"""
ATTENTION_BY_GRAD = """    q = q.requires_grad_()
    torch.autograd.grad(attention_weights(q, k, mask) @ v, q, grad_out)
"""
SLOPES_BY_GRAD = """    x = x.clone().requires_grad_()
    return torch.autograd.grad(f(x), x)[0]
"""
MIDDLE, RESULT = "grad_middle = grad_out + grad_branch", "return grad_middle + grad_branch, grads"
BUGS = {
    "numerical_gradient": [
        ("(2 * h)", "h", "2h, not h"),
        ("/ (2 * h)", "* 1.0", "divide by the distance"),
        ("f(x - nudge)", "f(x)", ""),
        ("float(f(x - nudge))) / (2 * h)", "float(f(x))) / h", "up and down"),
        ("nudge[i] = h", "nudge[:] = h", "one at a time"),
        ("f(x + nudge)) - float(f(x - nudge))", "f(x - nudge)) - float(f(x + nudge))", "sign"),
        ("torch.tensor(slopes, dtype=x.dtype)", "torch.tensor(slopes)", "float64"),
        (".reshape(x.shape)\n    # end", "\n    # end", "shape"),
        ("    slopes = []\n", "    slopes = []\n    x += h\n", "x has changed"),
        ("    slopes = []\n", SLOPES_BY_GRAD, "autograd"),
        ("    slopes = []\n", "    return torch.func.grad(f)(x)\n", "autograd"),
    ],
    "matmul_backward": [
        ("grad_out @ b.mT", "grad_out @ b", "transpose is missing"),
        ("grad_out @ b.mT", "b.mT @ grad_out", "factors are swapped"),
        ("a.mT @ grad_out", "a @ grad_out", "transpose is missing"),
        ("a.mT @ grad_out", "grad_out @ a.mT", "factors are swapped"),
        ("a.mT @ grad_out", "grad_out.mT @ a", "it is transposed"),
        ("grad_out @ b.mT", "b @ grad_out.mT", "it is transposed"),
        ("grad_out @ b.mT, a.mT @ grad_out", "a.mT @ grad_out, grad_out @ b.mT", "gradient of b"),
        ("b.mT", "b.transpose(0, 1)", ""),
        ("    return grad_out", PRODUCT_BY_GRAD + "    return grad_out", "autograd"),
        ("grad_out @ b.mT, a.mT @ grad_out", "grad_out @ b.mT", "2 values"),
    ],
    "linear_backward": [
        ("grad_out @ weight,", "grad_out @ weight.T,", "transposed"),
        ("rows.T @ inputs", "inputs.T @ rows", "transposed"),
        ("rows.sum(dim=0)", "grad_out", "not summed"),
        ("rows.sum(dim=0)", "rows.mean(dim=0)", "mean"),
        ("rows.T @ inputs", "rows.T @ inputs / len(rows)", "mean"),
        ("rows.T @ inputs, rows.sum(dim=0)", "rows.sum(dim=0), rows.T @ inputs", "shape"),
        ("    rows = ", "    grad_out *= 1.5\n    rows = ", "changed"),
        ("    rows = ", LINEAR_BY_BACKWARD + "    rows = ", "autograd"),
    ],
    "cross_entropy_backward": [
        ("(p - y)", "(y - p)", "sign"),
        (" / targets.numel()", "", "number of positions"),
        ("targets.numel()", "logits.numel()", "number of positions"),
        ("targets.numel()", "targets.shape[0]", "targets.numel()"),
        ("targets.numel()", "len(targets)", "targets.numel()"),
        ("(grad_out / targets.numel())", "(1 / targets.numel())", "grad_out is left out"),
        ("(p - y)", "p", "subtract 1"),
        ("(p - y)", "-y", "p is missing"),
        ("logits.softmax(dim=-1)", "logits", "softmax is missing"),
        ("logits.softmax(dim=-1)", "logits.softmax(dim=0)", "dimension"),
        ("logits.softmax(dim=-1)", "logits.exp() / logits.exp().sum(-1, keepdim=True)", "finite"),
        ("    p = ", BY_FUNC + "    p = ", "autograd"),
    ],
    "softmax_backward": [
        ("(grad_out - average)", "grad_out", "not subtracted"),
        ("(grad_out * p).sum(dim=-1, keepdim=True)", "grad_out.mean(dim=-1, keepdim=True)", "plain mean"),
        ("(grad_out * p).sum", "(grad_out * p).mean", "not its mean"),
        ("(dim=-1, keepdim=True)", "()", "of all rows"),
        ("p * (grad_out - average)", "grad_out - average", "multiply the difference by p"),
        ("grad_out - average", "average - grad_out", "sign"),
        ("grad_out - average", "grad_out + average", "added"),
        ("    average", "    p = p.softmax(-1)\n    average", "softmax already"),
        ("p * (grad_out - average)", "grad_out * p * (1 - p)", "own score"),
        (", keepdim=True", "", ""),
    ],
    "layer_norm_backward": [
        ("grad_x = h - h.mean(dim=-1, keepdim=True)", "grad_x = h", "from c to x"),
        (H_LINE, "h = r * grad_hat", "r depends on x"),
        ("h = r * (", "h = (", "factor r"),
        ("grad_out * weight\n", "grad_out\n", "weight is missing"),
        ("(grad_hat * x_hat).mean(", "(grad_hat * x_hat).sum(", "not the sum"),
        ("grad_hat - x_hat *", "grad_hat + x_hat *", "subtracted"),
        ("h - h.mean(dim=-1, keepdim=True)", "h - h.mean()", "each row"),
        (FOR_WEIGHT, "grad_out * x_hat", "not summed"),
        (FOR_WEIGHT, "unbroadcast(grad_out * x, weight.shape)", "not by x"),
        (FOR_WEIGHT, "unbroadcast(grad_hat * x_hat, weight.shape)", "no part"),
        ("unbroadcast(grad_out, weight.shape)", "unbroadcast(grad_hat, weight.shape)", "no part"),
        ("    grad_hat = ", NORM_BY_GRAD + "    grad_hat = ", "autograd"),
    ],
    "attention_backward": [
        (" / math.sqrt(q.shape[-1])", "", "step 3"),
        ("math.sqrt(q.shape[-1])", "q.shape[-1]", "root"),
        (" / math.sqrt(q.shape[-1])", " * math.sqrt(q.shape[-1])", "multiplied by √head_size"),
        ("math.sqrt(q.shape[-1])", "math.sqrt(q.shape[-2])", "√T"),
        ("q, k.mT)", "q, k)", "takes q and k.mT"),
        (
            "return grad_q, grad_k_transposed.mT, grad_v",
            "return grad_v, grad_q, grad_k_transposed.mT",
            "that is the gradient of v",
        ),
        (
            "return grad_q, grad_k_transposed.mT, grad_v",
            "return grad_q, grad_v, grad_k_transposed.mT",
            "that is the gradient of v",
        ),
        ("softmax_backward(grad_weights, weights)", "grad_weights", "step 2 is missing"),
        ("softmax_backward(grad_weights, weights)", "softmax_backward(weights, grad_weights)", "swapped"),
        (
            "return grad_q, grad_k_transposed.mT, grad_v",
            "return grad_k_transposed.mT, grad_q, grad_v",
            "order is q, k, v",
        ),
        ("grad_k_transposed.mT, grad_v", "grad_k_transposed, grad_v", "transposed"),
        ("matmul_backward(grad_out, weights, v)", "(grad_out @ v.mT, weights @ grad_out)", "transpose of P"),
        ("    grad_weights,", ATTENTION_BY_GRAD + "    grad_weights,", "autograd"),
    ],
    "embedding_backward": [
        (ADD_UP, ".index_copy_(0, idx.reshape(-1), rows)", "add up"),
        (TABLE, LAST_ONLY, "add up"),
        (ADD_UP, ADD_UP + " / torch.bincount(idx.reshape(-1), minlength=n).clamp(min=1)[:, None]", "average"),
        ("grad_out.new_zeros(n,", "torch.zeros(n,", ""),
        ("grad_out.new_zeros(n,", "grad_out.new_zeros(int(idx.max()) + 1,", "shape"),
        ("grad_out.new_zeros(n,", "grad_out.new_ones(n,", "which row"),
        ("    rows = ", ONE_HOT + "    rows = ", "dtype"),
    ],
    "block_backward": [
        (MIDDLE, "grad_middle = grad_branch", "lacks grad_out"),
        (MIDDLE, "grad_middle = grad_out", "through the MLP"),
        (MIDDLE, "grad_middle = grad_out - grad_branch", "subtracted"),
        (RESULT, "return grad_branch, grads", "only what came back through attention"),
        (RESULT, "return grad_middle, grads", "attention is missing"),
        (RESULT, "return grad_out + grad_branch, grads", "not grad_out"),
        (RESULT, "return grad_out + grad_middle + grad_branch, grads", "grad_out twice"),
        (RESULT, "return grad_middle - grad_branch, grads", "subtracted"),
        (RESULT, "return grad_middle + grad_branch", "2 values"),
        (RESULT, "return grad_middle + grad_branch, {}", "by name"),
    ],
}
