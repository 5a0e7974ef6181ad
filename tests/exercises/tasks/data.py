"""What readers might write for the tasks of chapter 02: other styles, and mistakes by their key words."""

from pathlib import Path

import gptlib.data as book

SOURCE = Path(book.__file__).read_text(encoding="utf-8")
BATCHES = "class Batches:" + SOURCE.split("class Batches:", 1)[1].split("\n# %%", 1)[0]

CUT = "cut = int(len(tokens) * (1 - val_fraction))"
RETURN = "return tokens[:cut], tokens[cut:]"
WINDOWS = "return tokens[starts[:, None] + torch.arange(length, device=starts.device)]"
RNG = "rng = np.random.default_rng([self.seed, step])"
STARTS = "starts = rng.integers(0, len(self.tokens) - self.block_size, size=self.batch_size)"
XY = "return chunk[:, :-1], chunk[:, 1:]"
RIGHT = {
    "split": [
        """
def split(tokens, val_fraction=0.1):
    import math
    n_train = math.floor((1 - val_fraction) * len(tokens))
    n_val = len(tokens) - n_train
    return [tokens[:n_train], tokens[-n_val:]]
""".replace("[tokens[:n_train], tokens[-n_val:]]", "(tokens[:n_train], tokens[n_train:len(tokens)])"),
    ],
    "windows": [
        """
def windows(tokens, starts, length):
    return torch.stack([tokens[i : i + length] for i in starts.tolist()])
""",
        """
def windows(tokens, starts, length):
    return tokens.unfold(0, length, 1)[starts]
""",
        """
def windows(tokens, starts, length):
    out = torch.empty(len(starts), length, dtype=tokens.dtype)
    for b in range(len(starts)):
        for t in range(length):
            out[b, t] = tokens[starts[b] + t]
    return out
""",
    ],
    "Batches": [
        BATCHES.replace(RNG, "import random\n        rng = random.Random(f'{self.seed} {step}')").replace(
            STARTS,
            "last = len(self.tokens) - self.block_size - 1\n"
            "        starts = [rng.randint(0, last) for _ in range(self.batch_size)]",
        ),
        BATCHES.replace(RNG, "rng = np.random.default_rng((step, self.seed))")
        .replace(STARTS, "starts = rng.choice(len(self.tokens) - self.block_size, self.batch_size)")
        .replace(XY, "return chunk[:, : self.block_size], chunk[:, 1 : self.block_size + 1]"),
    ],
}
SAME = {}  # changes that compute the same, and why
BUGS = {
    "split": [
        (RETURN, "return tokens[cut:], tokens[:cut]", "comes first"),
        (RETURN, "return tokens[len(tokens) - cut:], tokens[:len(tokens) - cut]", "order of the text"),
        ("(1 - val_fraction))", "val_fraction)", "share of the second part"),
        (CUT, CUT.replace("int(", "round("), "round the length"),
        (CUT, "cut = int(len(tokens) * 0.9)", "val_fraction is not used"),
        ("tokens[cut:]", "tokens[cut + 1 :]", "in neither part"),
        ("tokens[cut:]", "tokens[cut - 1 :]", "in both parts"),
        (RETURN, "return tokens[:cut]", "return two parts"),
        (RETURN, "return sorted(tokens[:cut], reverse=True), tokens[cut:]", "order of the text"),
        (RETURN, "return list(tokens[:cut]), list(tokens[cut:])", "slices"),
    ],
    "windows": [
        (WINDOWS, "return starts[:, None] + torch.arange(length)", "places"),
        ("starts[:, None]", "1 + starts[:, None]", "too late"),
        ("starts[:, None]", "starts[:, None] - 1", "too early"),
        ("starts[:, None] + ", "0 * starts[:, None] + ", "begins at 0"),
        (WINDOWS, "return tokens[starts][:, None].expand(-1, length)", "repeats"),
        ("torch.arange(length,", "torch.arange(length + 1,", "shape"),
        ("starts[:, None] +", "starts +", ""),
        (WINDOWS, "return tokens[starts[:, None] + torch.arange(length)].float()", "int64"),
        (WINDOWS, "return tokens[starts[:, None] + torch.arange(length)].T", "shape"),
        (WINDOWS, "return tokens[starts[:, None] + torch.arange(length).flip(0)]", "it is"),
    ],
    "Batches": [
        (RNG, "rng = np.random.default_rng(self.seed + step)", "mixes them up"),
        (RNG, "rng = np.random.default_rng(self.seed)", "every step has the same"),
        (RNG, "rng = np.random.default_rng(step)", "every seed has the same"),
        (RNG, "rng = np.random.default_rng()", "asked again"),
        (RNG, "rng = np.random.default_rng(1000 * self.seed + step)", "different pairs"),
        (
            STARTS,
            "torch.manual_seed(hash((self.seed, step)))\n"
            "        starts = torch.randint(len(self.tokens) - self.block_size, (self.batch_size,))",
            "global",
        ),
        ("rng.integers(0,", "rng.integers(1,", "never at [0]"),
        (
            "len(self.tokens) - self.block_size, size",
            "len(self.tokens) - self.block_size + 1, size",
            "yours at 6",
        ),
        (
            "len(self.tokens) - self.block_size, size",
            "len(self.tokens) - self.block_size - 1, size",
            "never at [5]",
        ),
        ("size=self.batch_size", "size=self.batch_size // self.world_size", "four machines"),
        (
            STARTS,
            STARTS.replace("size=self.batch_size", "size=1").replace(
                "starts = ", "starts = [1] * self.batch_size * "
            ),
            "one place",
        ),
        (XY, "return chunk[:, 1:], chunk[:, :-1]", "those of the other"),
        (XY, "return chunk[:, :-1], chunk[:, :-1]", "those of the other"),
        (XY, "return chunk[:, :-2], chunk[:, 2:]", "shape"),
        (XY, "return chunk[:-1], chunk[1:]", "shape"),
        (XY, "return chunk[:, :-1]", "two tensors"),
        (XY, "return chunk[:, :-1], chunk[:, :-1] + 1", "the targets"),
    ],
}
