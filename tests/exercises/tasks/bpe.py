"""What readers might write for the tasks of bpe.py, chapter 01: other styles, mistakes by their key words."""

LEARN_BEST = "best = min(counts, key=lambda pair: (-counts[pair], pair))"
EARLIEST = "earliest = min(zip(ids, ids[1:]), key=lambda pair: merges.get(pair, math.inf))"
MERGE = """    out, (first, second) = [], pair
    for i in ids:
        if i == second and out and out[-1] == first:
            out[-1] = new
        else:
            out.append(i)
    return out"""
BY_INDEX = """    out, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            out.append(new)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out"""

RIGHT = {
    "merge": [
        f"def merge(ids, pair, new):\n{BY_INDEX}",
        """
def merge(ids, pair, new):
    if len(ids) < 2:
        return list(ids)
    if tuple(ids[:2]) == tuple(pair):
        return [new] + merge(ids[2:], pair, new)
    return [ids[0]] + merge(ids[1:], pair, new)
""",
    ],
    "learn": [
        """
def learn(ids, n_merges):
    pairs, ids = [], list(ids)
    while len(pairs) < n_merges and len(ids) > 1:
        counts = {}
        for a, b in zip(ids[:-1], ids[1:]):
            counts[a, b] = counts.get((a, b), 0) + 1
        most = max(counts.values())
        pairs.append(sorted(pair for pair in counts if counts[pair] == most)[0])
        ids = merge(ids, pairs[-1], 255 + len(pairs))
    return tuple(pairs), ids
""",
    ],
    "apply_merges": [
        """
def apply_merges(ids, merges):
    while True:
        new = min((merges[pair] for pair in zip(ids, ids[1:]) if pair in merges), default=None)
        if new is None:
            return tuple(ids)
        pair = next(pair for pair in zip(ids, ids[1:]) if merges.get(pair) == new)
        ids = merge(ids, pair, new)
""",
        """
def apply_merges(ids, merges):
    known = [(merges[pair], pair) for pair in zip(ids, ids[1:]) if pair in merges]
    if not known:
        return ids
    new, pair = min(known)
    return apply_merges(merge(ids, pair, new), merges)
""",
    ],
}
SAME = {}  # changes that compute the same, and why
BUGS = {
    "merge": [
        (MERGE, "    return ids", "still there"),
        (MERGE, "    return tuple(ids)", "return a list"),
        (MERGE, MERGE.replace("else:\n            out", "if i != new:\n            out"), "both ids"),
        (MERGE, BY_INDEX.replace("i += 2", "i += 1"), "both ids"),
        (MERGE, BY_INDEX.replace("            i += 1", "            i += 0"), "does not end"),
        (MERGE, BY_INDEX.replace("while i < len(ids)", "while i < len(ids) - 1"), "last id is missing"),
        (MERGE, BY_INDEX.replace("i + 1 < len(ids) and ", ""), "index out of range"),
        (
            MERGE,
            "    ids = ids[::-1]\n    pair = pair[::-1]\n" + MERGE.replace("return out", "return out[::-1]"),
            "left to right",
        ),
        ("out[-1] == first:", "out[-1] == first and new not in out:", "only the first"),
        (
            MERGE,
            "    for i in range(len(ids) - 2, -1, -1):\n        if (ids[i], ids[i + 1]) == pair:\n"
            "            ids[i : i + 2] = [new]\n    return ids",
            "has changed",
        ),
        ("i == second and out and out[-1] == first", "out and out[-1] in pair and i in pair", "it is"),
    ],
    "learn": [
        (LEARN_BEST, "best = counts.most_common(1)[0][0]", "yours is the first"),
        (LEARN_BEST, "best = max(counts, key=lambda pair: (counts[pair], pair))", "yours is the highest"),
        ("(-counts[pair], pair)", "(counts[pair], pair)", "rarest"),
        ("zip(ids, ids[1:])", "zip(ids[::2], ids[1::2])", "overlap"),
        ("range(256, 256 + n_merges)", "range(n_merges)", "256, yours 0"),
        ("range(256, 256 + n_merges)", "range(257, 257 + n_merges)", "256, yours 257"),
        ("if not counts:", "if max(counts.values(), default=0) < 2:", "even one that occurs once"),
        ("        if not counts:\n            break\n", "", "empty"),
        ("ids = merge(ids, best, new)", "ids[:] = merge(ids, best, new)", "has changed"),
        ("ids = merge(ids, best, new)", "merge(ids, best, new)", "those after the merges"),
        (
            "pairs.append(best)\n    # end\n    return pairs, ids",
            "pairs.append(best)\n    # end\n    return pairs",
            "",
        ),
        ("256 + n_merges)", "257 + n_merges)", "merges, yours has"),
    ],
    "apply_merges": [
        ("merges.get(pair, math.inf)", "-merges.get(pair, -1)", "begins with the latest"),
        (EARLIEST, "earliest = next((p for p in zip(ids, ids[1:]) if p in merges), None)", "leftmost"),
        (
            EARLIEST,
            "earliest = min((p for p in zip(ids, ids[1:]) if p in merges), default=None)",
            "lowest pair",
        ),
        (
            "    while len(ids) > 1:\n",
            "    for _ in range(1):\n        if len(ids) < 2: break\n",
            "go on until",
        ),
        ("return ids", "return None", "return a list"),
        ("        if earliest not in merges:\n            break\n", "", "(100, 256)"),
        (
            "ids = merge(ids, earliest, merges[earliest])",
            "merge(ids, earliest, merges[earliest])",
            "does not end",
        ),
        ("merges[earliest])", "256)", "it is"),
        ("ids = merge(ids", "ids[:] = merge(ids", "has changed"),
        (
            "while len(ids) > 1:",
            "for pair, new in merges.items():\n        ids = merge(ids, pair, new)\n    while False:",
            "goes through all merges",
        ),
        (
            EARLIEST,
            "known = [p for p in zip(ids, ids[1:]) if p in merges]\n"
            "        earliest = min(known, key=lambda p: (-known.count(p), merges[p]), default=None)",
            "most frequent",
        ),
    ],
}
