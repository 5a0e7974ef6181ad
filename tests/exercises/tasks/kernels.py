"""What readers might write for the task of the module kernels, chapter 14: other styles, and mistakes."""

RIGHT = {
    "chunked_loss": [
        """
def chunked_loss(hidden, table, targets, rows=1024):
    h, t = hidden.reshape(-1, hidden.shape[-1]), targets.reshape(-1)

    def part(h, t):
        return next_token_loss(h[None], table, t[None]) * len(t)

    total = 0.0
    for start in range(0, len(t), rows):
        chunk = slice(start, start + rows)
        total = total + checkpoint(part, h[chunk], t[chunk], use_reentrant=False)
    return total / len(t)
""",
        """
def chunked_loss(hidden, table, targets, rows=1024):
    h, t = hidden.flatten(0, 1), targets.flatten()

    def part(h, t, table):
        logits = F.linear(h, table)
        return (logits.logsumexp(-1) - logits.gather(-1, t[:, None])[:, 0]).sum()

    parts = [checkpoint(part, a, b, table, use_reentrant=False) for a, b in zip(h.split(rows), t.split(rows))]
    return torch.stack(parts).sum() / t.numel()
""",
    ],
}
BUGS = {
    "chunked_loss": [
        (', reduction="sum")', ")", "multiplied by its length"),
        (" / targets.numel()", "", "sum over all positions"),
        ("targets.numel()", "len(targets)", "number of windows"),
        ("checkpoint(summed, h, t, use_reentrant=False)", "summed(h, t)", "kept for the backward pass"),
        ("hidden.flatten(0, 1).split(rows)", "hidden.flatten(0, 1).split(2 * rows)", ""),
        ("h @ table.T", "h.detach() @ table.T", "no gradient"),
        ("h @ table.T", "h @ table.detach().T", "no gradient"),
        ("return sum(", "return 0.0 * sum(", "yours is 0"),
        (
            "return sum(checkpoint(summed, h, t, use_reentrant=False) for h, t in chunks) / targets.numel()",
            "return F.cross_entropy((hidden @ table.T).flatten(0, 1), targets.flatten())",
            "chunk by chunk",
        ),
        (
            "return sum(checkpoint(summed, h, t, use_reentrant=False) for h, t in chunks) / targets.numel()",
            "return checkpoint(next_token_loss, hidden, table, targets, use_reentrant=False)",
            "chunk by chunk",
        ),
        (
            "return sum(checkpoint(summed, h, t, use_reentrant=False) for h, t in chunks) / targets.numel()",
            "chunks = list(chunks)\n"
            "    total = lambda hidden: sum(summed(h, t) for h, t in zip(hidden.flatten(0, 1).split(rows), "
            "targets.flatten().split(rows)))\n"
            "    return checkpoint(total, hidden, use_reentrant=False) / targets.numel()",
            "checkpoint each chunk by itself",
        ),
        (" / targets.numel()", ".item() / targets.numel()", "without .item()"),
    ],
}
