"""What readers might write for the table of chapter 03: other styles, and mistakes by their key words."""

RIGHT = {
    "PlainNGram": [
        """
class PlainNGram:
    def __init__(self, order):
        self.order = order

    def fit(self, tokens, vocab_size):
        self.vocab_size, self.tables = vocab_size, []
        for k in range(self.order):
            table = {}
            for i in range(k, len(tokens)):
                table.setdefault(str(tokens[i - k : i]), []).append(tokens[i])
            self.tables.append(table)
        return self

    def probability(self, context, token):
        p = 1 / self.vocab_size
        for k, table in enumerate(self.tables):
            after = table.get(str(list(context[-k:] if k else [])), [])
            if k <= len(context) and after:
                kinds = len(set(after))
                p = after.count(token) / (len(after) + kinds) + p * kinds / (len(after) + kinds)
        return p
""",
    ],
}
SAME = {  # changes that compute the same, and why
    "PlainNGram": {
        "min(self.order, i + 1) → min(i + 1, self.order)": "the smaller one of two",
        "min(self.order, len(context) + 1) → min(len(context) + 1, self.order)": "the smaller one of two",
    },
}
BUGS = {
    "PlainNGram": [
        ("range(min(self.order, i + 1))", "range(min(self.order + 1, i + 1))", "0 to order - 1"),
        ("tuple(tokens[i - k : i])", "tuple(tokens[i - k : i + 1])", "end before"),
        ("context[len(context) - k :]", "context[-k:]", "for k = 0"),
        (
            "(seen[token] + len(seen) * p) / (seen.total() + len(seen))",
            "seen[token] / seen.total()",
            "never seen",
        ),
        ("(seen.total() + len(seen))", "seen.total()", "count + kinds"),
        ("len(seen) * p)", "len(seen) / self.vocab_size)", "is lost"),
        (
            "(seen[token] + len(seen) * p) / (seen.total() + len(seen))",
            "p if k == 0 else (seen[token] + len(seen) * p) / (seen.total() + len(seen))",
            "empty history",
        ),
        ("[token] += 1", "[token] = 1", "counts once more"),
        (
            "range(min(self.order, len(context) + 1))",
            "range(min(self.order - 1, len(context) + 1))",
            "empty history is missing",
        ),
        ("context[len(context) - k :]", "context[:k]", "not its beginning"),
        ("range(min(self.order, i + 1))", "range(self.order)", "beginning of the text"),
        ("for i, token in enumerate(tokens):", "for i, token in list(enumerate(tokens))[1:]:", "first token"),
        (
            "if seen is not None:",
            "if seen is None:\n                p = 1 / self.vocab_size\n            else:",
            "decides alone",
        ),
        ("len(seen) * p) / (seen.total() + len(seen))", "seen.total() * p) / (2 * seen.total())", "order 1"),
    ],
}
