"""What readers might write for gptlib.intervention: other styles, and mistakes by their key words."""

RIGHT = {
    "ablation": [
        """
def ablation(how, reference):
    def edit(x):
        B, T, size = x.shape
        if how == "zero":
            return 0 * x
        if how == "mean":
            mean = sum(text[:T] for text in reference) / len(reference)
            return mean.repeat(B, 1, 1)
        return torch.stack([reference[(b + 1) % len(reference), :T] for b in range(B)])

    return edit
""",
        """
def ablation(how, reference):
    def edit(x):
        ways = {
            "zero": lambda: torch.zeros(x.shape, dtype=x.dtype),
            "mean": lambda: reference.mean(0)[: x.shape[1]].expand(len(x), -1, -1),
            "resampled": lambda: reference.roll(-1, 0)[torch.arange(len(x)) % len(reference), : x.shape[1]],
        }
        return ways[how]()

    return edit
""",
    ],
}
SAME = {}
BUGS = {
    "ablation": [
        ("torch.zeros_like(x)", "torch.ones_like(x)", "must be 0"),
        (".mean(dim=0)", ".mean(dim=(0, 1))", "one for all positions"),
        ("reference[:, :T].mean(dim=0)", "x.mean(dim=0)", "x itself"),
        (".mean(dim=0)", ".sum(dim=0)", "a sum"),
        (".mean(dim=0).expand_as(x)", ".mean(dim=0)", "shape"),
        ("(torch.arange(B) + 1)", "torch.arange(B)", "may be itself"),
        ("(torch.arange(B) + 1)", "(torch.arange(B) - 1)", "b − 1"),
        ("reference[others, :T]", "reference[1:2, :T].expand(B, T, -1)", "the same one"),
        ("reference[others, :T]", "reference[others, :T].roll(1, dims=1)", "other positions"),
        ("return torch.zeros_like(x)", "return x.zero_()", "in place"),
        ("return reference[others, :T]", "return None", "None"),
    ],
}
