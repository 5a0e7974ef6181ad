"""What readers might write for the task of the benchmark: other styles, and mistakes by their key words."""

RIGHT = {
    "ending_logprobs": [
        """
@torch.no_grad()
def ending_logprobs(model, context, endings):
    sums = []
    for ending in endings:  # one at a time, without padding
        row = torch.tensor([(context + ending)[-model.config.block_size - 1 :]])
        log_p = torch.log_softmax(model(row[:, :-1])[0, -len(ending) :], dim=-1)
        sums.append(log_p[torch.arange(len(ending)), torch.tensor(ending)].sum())
    return torch.stack(sums)
""",
        """
@torch.no_grad()
def ending_logprobs(model, context, endings):
    rows = [(context + ending)[-model.config.block_size - 1 :] for ending in endings]
    idx = padded(rows, "cpu")
    logits = model(idx[:, :-1]).transpose(1, 2)
    each = -torch.nn.functional.cross_entropy(logits, idx[:, 1:], reduction="none")
    places = torch.arange(idx.shape[1] - 1)
    ends = torch.tensor([len(row) - 1 for row in rows])[:, None]
    starts = ends - torch.tensor([len(ending) for ending in endings])[:, None]
    return (each * ((places >= starts) & (places < ends))).sum(dim=1)
""",
    ],
}
SAME = {  # changes that compute the same, and why
    "ending_logprobs": {
        "0 → -1": "the last dimension has one place",
        "True → False": "there are as many rows as endings",
    }
}
BUGS = {
    "ending_logprobs": [
        ("stop = len(row) - 1", "stop = len(row) - 2", "shifted by one"),
        ("of_next[i, stop - len(ending) : stop].sum()", "of_next[i, :stop].sum()", "context's tokens"),
        ("stop - len(ending) : stop].sum()", "stop - len(ending) : stop].mean()", "mean over"),
        ("log_p = log_softmax", "log_p = -log_softmax", "are losses"),
        ("stop - len(ending) : stop]", "stop - len(ending) :]", ""),
        ("idx[:, 1:, None]", "idx[:, :-1, None]", ""),
        ("log_softmax(model(idx[:, :-1]))", "model(idx[:, :-1])", ""),
    ]
}
