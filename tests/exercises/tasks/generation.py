"""What readers might write for the tasks of chapter 12: other styles, and mistakes by their key words."""

TOP_P = "shares.cumsum(dim=-1) - shares >= p"
BACK = "drop.gather(-1, order.argsort(dim=-1))"
SHIFT = "logits - logits.amax(dim=-1, keepdim=True)"
WINDOW = "window = idx[:, -model.config.block_size :]"
APPEND = "idx = torch.cat([idx, new], dim=1)"
RETURN = "return self.k[:, :, :end], self.v[:, :, :end]"
WRITE = """        start, end = self.length, self.length + T
        self.k[:, :, start:end] = k
        self.v[:, :, start:end] = v
        self.length = end
"""
RAISED_FIRST = """        self.length = end = self.length + T
        self.k[:, :, end : end + T] = k
        self.v[:, :, end : end + T] = v
"""
CACHE = """
class LayerCache:
    def __init__(self, block_size):
        self.block_size, self.length = block_size, 0
        self.k = self.v = None

    def append(self, k, v):
        B, H, T, head_size = k.shape
        if self.k is None:
            self.k, self.v = (t.new_zeros(B, H, self.block_size, head_size) for t in (k, v))
        PUT
        self.length += T
        return self.k.narrow(2, 0, self.length), self.v.narrow(2, 0, self.length)
"""
RIGHT = {
    "draw": [
        """
def draw(logits, temperature, generator=None):
    import torch.nn.functional as F
    if temperature > 0:
        p = F.softmax((logits - logits.max(-1, keepdim=True).values) / temperature, -1)
        return p.multinomial(1, generator=generator)
    return logits.max(-1).indices[:, None]
""",
        """
def draw(logits, temperature, generator=None):
    if temperature == 0:
        return logits.topk(1).indices
    weights = ((logits - logits.amax(1)[:, None]) / temperature).exp()
    below = weights.cumsum(-1)
    marks = torch.rand(len(logits), 1, generator=generator) * below[:, -1:]
    return (below <= marks).sum(-1, keepdim=True)
""",
    ],
    "keep_top_k": [
        """
def keep_top_k(logits, k):
    places = logits.argsort(dim=-1, descending=True)[:, k:]
    return logits.scatter(1, places, -math.inf)
""",
        """
def keep_top_k(logits, k):
    kept = torch.full_like(logits, -math.inf)
    for old, new in zip(logits, kept):
        for i in sorted(range(len(old)), key=lambda i: -old[i].item())[:k]:
            new[i] = old[i]
    return kept
""",
    ],
    "keep_top_p": [
        """
def keep_top_p(logits, p):
    kept = torch.full_like(logits, -math.inf)
    for row, (old, shares) in enumerate(zip(logits, logits.softmax(-1))):
        mass = 0.0
        for i in shares.argsort(descending=True).tolist():
            if mass < p:
                kept[row, i] = old[i]
            mass += shares[i].item()
    return kept
""",
        """
def keep_top_p(logits, p):
    shares, order = logits.softmax(-1).sort(-1, descending=True)
    before = torch.cat([torch.zeros_like(shares[:, :1]), shares.cumsum(-1)[:, :-1]], dim=-1)
    keep = torch.zeros_like(before, dtype=torch.bool).scatter(-1, order, before < p)
    return torch.where(keep, logits, torch.tensor(-math.inf, dtype=logits.dtype))
""",
    ],
    "stream_plainly": [
        """
def stream_plainly(model, idx, count, settings):
    temperature, top_k, top_p, generator = settings
    room = model.config.block_size
    while count:
        idx = idx[:, -room:]
        new = choose(last_logits(model, idx), temperature, top_k, top_p, generator)
        yield new
        idx = torch.cat((idx, new), 1)
        count -= 1
""",
    ],
    "LayerCache": [
        CACHE.replace(
            "PUT", "self.k.narrow(2, self.length, T).copy_(k); self.v.narrow(2, self.length, T).copy_(v)"
        ),
        CACHE.replace(
            "PUT",
            "for t in range(T):\n"
            "            self.k[:, :, self.length + t] = k[:, :, t]\n"
            "            self.v[:, :, self.length + t] = v[:, :, t]",
        ),
    ],
}
ROWS = "rows and columns are all there are, so the last dimension is dimension 1"
SAME = {  # changes that compute the same, and why
    "draw": {"-1 → 1": ROWS},
    "keep_top_k": {
        "-1 → 1": ROWS,
        "min(k, logits.shape[-1]) → min(logits.shape[-1], k)": "the smaller one of two",
    },
    "keep_top_p": {"-1 → 1": ROWS},
}
BUGS = {
    "draw": [
        ("/ temperature", "* temperature", "divide"),
        ("(shifted / temperature).softmax(dim=-1)", "shifted.softmax(dim=-1)", "changes nothing"),
        ("(shifted / temperature).softmax(dim=-1)", "logits.softmax(dim=-1) / temperature", ""),
        ("(shifted / temperature).softmax(dim=-1)", "torch.ones_like(logits)", "do nothing"),
        ("(shifted / temperature).softmax(dim=-1)", "(shifted / temperature).softmax(dim=0)", "dim=-1"),
        (SHIFT, "logits", "overflow"),
        (SHIFT, "logits - logits.max()", "each row"),
        (
            "torch.multinomial(p, 1, generator=generator)",
            "p.argmax(dim=-1, keepdim=True)",
            "always the same token",
        ),
        ("generator=generator)", "generator=None)", "generator that is given"),
        ("generator=generator)", "generator=torch.Generator().manual_seed(0))", "another seed"),
        ("logits.argmax(dim=-1, keepdim=True)", "logits.argmax(dim=-1)", "shape [3, 1]"),
        ("logits.argmax(dim=-1, keepdim=True)", "logits.amax(dim=-1, keepdim=True)", "whole numbers"),
        ("logits.argmax", "logits.argmin", "the likeliest of these rows"),
        ("torch.multinomial(p, 1,", "torch.multinomial(p[:1].expand_as(p), 1,", "logits of its own"),
    ],
    "keep_top_k": [
        ("min(k, logits.shape[-1])", "k", "keeps all"),
        ("-math.inf", "0.0", "the logit 0"),
        (
            "logits.topk(min(k, logits.shape[-1]))",
            "logits.topk(min(k, logits.shape[-1]), largest=False)",
            "the smallest",
        ),
        (
            "largest, kept = logits.topk(min(k, logits.shape[-1]))",
            "k = min(k, logits.shape[-1])\n"
            "    return logits.masked_fill(logits < logits.topk(k).values[:, -1:], -math.inf)",
            "equal",
        ),
        (
            "largest, kept = logits.topk(min(k, logits.shape[-1]))",
            "k = min(k, logits.numel())\n"
            "    return logits.masked_fill(logits < logits.flatten().topk(k).values[-1], -math.inf)",
            "not k in all rows",
        ),
        ("torch.full_like(logits, -math.inf)", "logits.fill_(-math.inf)", "you changed the logits"),
        (".scatter(-1, kept, largest)", ".scatter(-1, kept, largest.softmax(-1))", "stay as they are"),
        ("min(k, logits.shape[-1])", "min(k + 1, logits.shape[-1])", "the 3 largest stay"),
    ],
    "keep_top_p": [
        (TOP_P, "shares.cumsum(dim=-1) > p", "crosses the line"),
        (TOP_P, "shares.cumsum(dim=-1) - shares > p", "reach p exactly"),
        (TOP_P, "shares.cumsum(dim=0) - shares >= p", "of each row, dim=-1"),
        ("ordered.softmax(dim=-1)", "ordered.softmax(dim=0)", "of each row, dim=-1"),
        (TOP_P, "shares.cumsum(dim=-1) < p", ""),
        (BACK, "drop", "own order"),
        (BACK, "drop.gather(-1, order)", "own order"),
        ("-math.inf", "0.0", "the logit 0"),
        ("descending=True", "descending=False", "must stay"),
        ("logits.masked_fill(", "logits.masked_fill_(", "you changed the logits"),
        ("shares = ordered.softmax(dim=-1)", "shares = ordered", ""),
        (TOP_P, "shares >= p", ""),
        ("return logits.masked_fill", "return logits.softmax(dim=-1).masked_fill", "stay as they are"),
        (TOP_P, "shares.cumsum(dim=-1) - shares >= 1 - p", ""),
    ],
    "stream_plainly": [
        (WINDOW, "window = idx", "room for 4"),
        (WINDOW, "window = idx[:, : model.config.block_size]", "last block_size"),
        (WINDOW, "window = idx[:, -1:]", "must hold"),
        (APPEND, "pass", "append it to idx"),
        (APPEND, "idx = torch.cat([new, idx], dim=1)", "in order"),
        (
            "choose(last_logits(model, window), *settings)",
            "choose(last_logits(model, window), 0.0, None, None, None)",
            "pass the settings",
        ),
        ("        yield new", "        yield idx", "one token for each row"),
        ("        yield new", "    yield new", "asked for, yours yields"),
        ("        yield new", "    return idx", "generator"),
        ("range(count)", "range(count + 1)", "asked for, yours yields"),
        (
            "        yield new",
            "        tokens = [new] if _ == 0 else [*tokens, new]\n    yield from tokens if count else []",
            "as soon as",
        ),
        ("*settings)", "*settings[:3], None)", "same seed"),
    ],
    "LayerCache": [
        (RETURN, "return k, v", "new positions only"),
        (RETURN, "return self.k, self.v", "whole room"),
        (RETURN, "return self.v[:, :, :end], self.k[:, :, :end]", "exchanged"),
        (RETURN, "return self.k[:, :, :end]", "two tensors"),
        (RETURN, "return self.k[:, :, :end], self.k[:, :, :end]", "these are the keys"),
        ("self.length = end", "pass", "length must be"),
        (WRITE, RAISED_FIRST, "before the write"),
        ("start, end = self.length, self.length + T", "start, end = 0, T", ""),
        ("start, end = self.length, self.length + T", "start, end = self.length, self.length + 1", ""),
        ("self.v[:, :, start:end] = v", "pass", "values"),
        ("self.v[:, :, start:end] = v", "self.v[:, :, start:end] = k", "these are the keys"),
        (
            "self.k[:, :, start:end] = k",
            "self.k = torch.cat([self.k[:, :, :start], k], dim=2)",
            "room is taken once",
        ),
    ],
}
