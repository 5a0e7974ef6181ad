"""What readers might write for the tasks of the module roofline, chapter 14: other styles, and mistakes."""

RIGHT = {
    "step_products": [
        """
def step_products(config, batch_size):
    C, T, V, L, H = config.n_embd, config.block_size, config.vocab_size, config.n_layer, config.n_head
    found = []
    for _ in range(L):
        for width_in, width_out in ((C, 3 * C), (C, C), (C, 4 * C), (4 * C, C)):
            found.append([1, batch_size * T, width_in, width_out])
        found.append((H * batch_size, T, C // H, T))
        found.append((H * batch_size, T, T, C // H))
    return tuple(found) + ((1, batch_size * T, C, V),)
""",
    ],
    "step_flops": [
        """
def step_flops(config, batch_size):
    C, T = config.n_embd, config.block_size
    forward = config.n_layer * (24 * C * C + 4 * T * C) + 2 * C * config.vocab_size
    return 3 * forward * batch_size * T
""",
    ],
    "step_bytes": [
        """
def step_bytes(config, batch_size, width=4):
    total = 0
    for many, m, k, n in step_products(config, batch_size):
        for rows, columns in ((m, k), (k, n), (m, n)):
            total += many * rows * columns
    return float(total * width * 3)
""",
    ],
    "least_seconds": [
        """
def least_seconds(flops, moved, peak, bandwidth):
    speed = min(peak, bandwidth * flops / moved)
    return flops / speed
""",
    ],
}
SAME = {
    "least_seconds": {
        "max(flops / peak, moved / bandwidth) → max(moved / bandwidth, flops / peak)": "any order",
    },
}
BUGS = {
    "step_products": [
        ("(1, rows, C, 3 * C)", "(3, rows, C, C)", "c_attn"),
        ("(heads, T, head_size, T)", "(heads, T, C, T)", "the scores"),
        ("(heads, T, T, head_size)", "(heads, T, head_size, T)", "weighted sums"),
        ("batch_size * config.n_head", "config.n_head", "the scores"),
        ("        (1, rows, C, C),\n", "", "attention's c_proj"),
        ("(1, rows, 4 * C, C)", "(1, rows, C, 4 * C)", "the MLP's c_proj"),
        ("config.n_layer * many", "many", "queries, keys and values"),
        (" + [(1, rows, C, config.vocab_size)]", "", "the logits"),
        ("[(1, rows, C, config.vocab_size)]", "[(config.n_layer, rows, C, config.vocab_size)]", "the logits"),
        ("rows, heads = batch_size * T", "rows, heads = batch_size", "missing"),
        ("(config.n_layer * many, m, k, n)", "(m, k, n)", "four numbers"),
        (
            "[(1, rows, C, config.vocab_size)]",
            "[(1, rows, C, config.vocab_size), (1, rows, T, T)]",
            "no such product",
        ),
    ],
    "step_flops": [
        ("3 * sum", "sum", "forward pass alone"),
        ("3 * sum", "2 * sum", "not one"),
        ("2 * many", "many", "addition"),
        ("2 * many * m", "2 * m", "`how many`"),
        ("step_products(config, batch_size))", "step_products(config, batch_size)[:-1])", "logits"),
    ],
    "step_bytes": [
        ("3 * sum", "sum", "forward pass alone"),
        ("3 * sum", "2 * sum", "not one"),
        ("width * many", "many", "not bytes"),
        (" + m * n)", ")", "written too"),
        ("m * k + k * n + m * n", "m * n", "are read"),
        ("width * many", "width", "`how many`"),
        ("width: int = 4", "width: int = 2", "without `width`"),
    ],
    "least_seconds": [
        ("max(flops / peak, moved / bandwidth)", "flops / peak + moved / bandwidth", "not the sum"),
        ("max(", "min(", "not the shorter"),
        ("max(flops / peak, moved / bandwidth)", "flops / peak", "memory is left out"),
        ("max(flops / peak, moved / bandwidth)", "moved / bandwidth", "computing is left out"),
        ("max(flops / peak, moved / bandwidth)", "min(peak, bandwidth * flops / moved)", "speed"),
        ("max(flops / peak, moved / bandwidth)", "max(flops * peak, moved * bandwidth)", "divided by"),
    ],
}
