"""The checker of chapter 01."""

from collections import Counter

from gptlib.exercises import exercise, expect


@exercise(difficulty=1, minutes=5)
def most_frequent_pair(attempt):
    """attempt(ids) -> the most frequent pair of neighbours, of equals the lowest."""
    for ids in ([1, 2], [5, 1, 2, 1, 2, 9], [3, 3, 3, 3], [7, 8, 1, 2, 7, 8, 1, 2], [9, 1, 9, 1, 0]):
        counts = Counter(zip(ids, ids[1:], strict=False))
        most = max(counts.values())
        found = attempt(list(ids))
        expect(isinstance(found, tuple) and len(found) == 2, "return a tuple of two ids")
        expect(found in counts, f"{found} are no neighbours in {ids}")
        expect(
            counts[found] == most, f"{found} occurs {counts[found]} times in {ids}, another pair {most} times"
        )
        lowest = min(pair for pair, n in counts.items() if n == most)
        expect(found == lowest, f"in {ids} several pairs occur {most} times; the lowest of them is {lowest}")
