"""What readers might write for the tasks of chapter 03: other styles, and mistakes by their key words."""

RIGHT = {
    "log_softmax": [
        """
def log_softmax(logits):
    return logits - logits.logsumexp(dim=-1, keepdim=True)
""",
        """
def log_softmax(logits):
    largest = logits.max(-1).values
    total = (logits - largest[..., None]).exp().sum(-1)
    return logits - (largest + total.log())[..., None]
""",
    ],
    "cross_entropy": [
        """
def cross_entropy(logits, targets):
    rows = log_softmax(logits).reshape(-1, logits.shape[-1])
    return -rows[torch.arange(len(rows)), targets.reshape(-1)].mean()
""",
        """
def cross_entropy(logits, targets):
    came = torch.arange(logits.shape[-1]) == targets.unsqueeze(-1)
    return (log_softmax(logits) * came).sum(-1).mean().neg()
""",
    ],
    "evaluate": [
        """
@torch.no_grad()
def evaluate(model, tokens, block_size, batch_size=64):
    tokens = torch.as_tensor(tokens)
    training = getattr(model, "training", False)
    if training:
        model.eval()
    windows = [tokens[s : s + block_size + 1] for s in range(0, len(tokens) - 1, block_size)]
    total = 0.0
    while windows:
        group = [w for w in windows[:batch_size] if len(w) == len(windows[0])]
        windows = windows[len(group) :]
        batch = torch.stack(group)
        losses = F.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten(), reduction="none")
        total += losses.sum().item()
    if training:
        model.train()
    return total / (len(tokens) - 1)
""".replace("F.cross_entropy", "torch.nn.functional.cross_entropy"),
    ],
    "bits_per_character": [
        """
def bits_per_character(loss, n_tokens, n_characters):
    return math.log2(math.exp(loss)) * (n_tokens / n_characters)
""",
    ],
}
SAME = {  # changes that compute the same, and why
    "evaluate": {
        "zip(*whole, strict=True) → zip(*whole, strict=False)": "inputs and targets have as many batches",
        "True → False": "inputs and targets have as many batches, so strict=True of zip never complains",
    },
}
BUGS = {
    "log_softmax": [
        (".log()", ".log2()", "base 2"),
        (
            "return shifted - shifted.exp().sum(dim=-1, keepdim=True).log()",
            "return shifted.softmax(-1).log2()",
            "base 2",
        ),
        ("shifted.exp().sum(dim=-1, keepdim=True).log()", "0", "not subtracted"),
        (".sum(dim=-1, keepdim=True).log()", ".sum(dim=-1, keepdim=True)", "not its logarithm"),
        ("return shifted - shifted.exp()", "return -shifted + shifted.exp()", "signs"),
        ("logits - logits.amax(dim=-1, keepdim=True)", "logits", "subtract the largest score"),
        ("logits - logits.amax(dim=-1, keepdim=True)", "logits - logits.max()", "its own largest"),
        (".sum(dim=-1, keepdim=True)", ".sum()", "each row needs its own"),
        (".sum(dim=-1, keepdim=True)", ".sum(dim=0, keepdim=True)", "first dimension"),
        (
            "return shifted - shifted.exp().sum(dim=-1, keepdim=True).log()",
            "return shifted.softmax(-1)",
            "probabilities",
        ),
        (
            "return shifted - shifted.exp().sum(dim=-1, keepdim=True).log()",
            "return shifted.softmax(-1).log()",
            "rounded probability",
        ),
        ("shifted = logits - logits", "shifted = logits.sub_(1) - logits", "changed the logits"),
    ],
    "cross_entropy": [
        ("-log_p.mean()", "-log_p.exp().mean()", "−p"),
        ("-log_p.mean()", "-log_p.mean().item()", "no gradient"),
        ("-log_p.mean()", "log_p.mean()", "sign"),
        ("-log_p.mean()", "-log_p.sum()", "sum"),
        ("log_softmax(logits).gather", "logits.gather", "score of the target"),
        ("-log_p.mean()", "-log_p.mean() / math.log(2)", "bits"),
        (".gather(-1, targets.unsqueeze(-1))", "", "whole vocabulary"),
        (".gather(-1, targets.unsqueeze(-1))", "[..., targets]", "every row"),
        ("log_p.mean()", "log_p.exp().mean().log()", "mean of the logarithms"),
        ("-log_p.mean()", "log_p.exp().mean()", "probability itself"),
        ("log_softmax(logits)", "logits.softmax(-1).log()", "overflow"),
        ("-log_p.mean()", "torch.tensor(-log_p.mean().item())", "no gradient"),
        ("-log_p.mean()", "-log_p", "shape"),
    ],
    "evaluate": [
        (" * y.numel()", " * len(y)", "B · T"),
        ("if y.numel():", "if y.numel() and x.shape[1] == block_size:", "counted in the number"),
        (".item() * y.numel()", ".item()", "number of their targets"),
        (".split(batch_size) for", ".split(len(tokens)) for", "batch_size windows at once"),
        (".split(batch_size) for", ".split(1) for", "calls of the model"),
        ("if y.numel():", "if True:", "left over"),
        (".item() * y.numel()", " * y.numel()", "Python number"),
        ("inputs[None, full:], targets[None, full:]", "inputs[full:], targets[full:]", "[B, T]"),
        ("total += ", "total = ", ""),
        (
            "for x, y in [*zip(*whole, strict=True), rest]:",
            "for x, y in [(inputs[None], targets[None])]:",
            "more than block_size",
        ),
        ("cross_entropy(model(x), y)", "cross_entropy(model(x), x)", "one token later"),
        ("        model.eval()", "        pass", "eval mode"),
    ],
    "bits_per_character": [
        (
            "loss * n_tokens / n_characters / math.log(2)",
            "math.log2(loss) * n_tokens / n_characters",
            "only the unit",
        ),
        (" / math.log(2)", "", "nats"),
        ("/ math.log(2)", "* math.log(2)", "divide by ln 2"),
        (" * n_tokens / n_characters", "", "bits per token"),
        ("n_tokens / n_characters", "n_characters / n_tokens", "swapped"),
        (" / n_characters", "", "whole text"),
        (
            "loss * n_tokens / n_characters / math.log(2)",
            "math.log2(loss * n_tokens / n_characters)",
            "only the unit",
        ),
    ],
}
