"""What readers might write for the tasks in rope.py: other styles, and mistakes by their key words."""

RIGHT = {
    "rope_tables": [
        """
def rope_tables(positions, head_size, base=10_000.0):
    pairs = [base ** (-2 * i / head_size) for i in range(head_size // 2)]
    pairs = torch.tensor(pairs, dtype=torch.float64, device=positions.device)
    angles = torch.outer(positions.double(), pairs)
    return torch.cos(angles).float(), torch.sin(angles).float()
""",
    ],
    "rotate": [
        """
def rotate(x, tables):
    cos, sin = (torch.cat([t, t], dim=-1) for t in tables)
    half = x.shape[-1] // 2
    swapped = torch.cat([-x[..., half:], x[..., :half]], dim=-1)
    return (x * cos + swapped * sin).to(x.dtype)
""",
        """
def rotate(x, tables):
    half = x.shape[-1] // 2
    z = torch.complex(x[..., :half].double(), x[..., half:].double())
    z = z * torch.complex(tables[0].double(), tables[1].double())
    return torch.cat([z.real, z.imag], dim=-1).to(x.dtype)
""",
    ],
}
SAME = {}
BUGS = {
    "rope_tables": [
        ("torch.arange(0, head_size, 2, ", "torch.arange(0, head_size // 2, 1, ", "yours has i/head_size"),
        ("(1.0 / base**share)", "base**share", "negative"),
        ("base**share", "10_000.0**share", "is not used"),
        (", device=positions.device", "", "device=positions.device"),
        ("positions[:, None] * ", "torch.ones(len(positions), 1) * ", "multiply by it"),
        ("positions[:, None]", "(positions + 1)[:, None]", "count from 0"),
        (
            "positions.device) / head_size",
            "positions.device) / (head_size // 2)",
            "not by the number of pairs",
        ),
        ("angles.cos(), angles.sin()", "angles.sin(), angles.cos()", "cosine comes first"),
        ("angles.cos(), angles.sin()", "angles.cos(), -angles.sin()", "wrong sign"),
        ("return angles.cos(), angles.sin()", "return angles", "two tensors"),
    ],
    "rotate": [
        ("a * cos - b * sin, b * cos + a * sin", "a * cos + b * sin, b * cos - a * sin", "wrong way"),
        ("a * cos - b * sin, b * cos + a * sin", "b * cos + a * sin, a * cos - b * sin", "swapped"),
        ("b * cos + a * sin", "b * cos - a * sin", "reflection"),
        ("a * cos - b * sin, b * cos + a * sin", "a * cos, b * cos", "only the cosines"),
        ("a, b = x.chunk(2, dim=-1)", "a, b = x[..., 0::2], x[..., 1::2]", "put together again"),
        (".to(x.dtype)", "", "end with .to(x.dtype)"),
    ],
}
