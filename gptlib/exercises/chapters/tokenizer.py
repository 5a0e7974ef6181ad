"""The checkers of chapter 01."""

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


@exercise(difficulty=2, minutes=15)
def code_points(attempt):
    """attempt(data) -> the code points of the characters whose UTF-8 bytes `data` is."""
    texts = {
        "one byte each": "plain text\n",
        "two bytes": "naïve ßñ\u0080\u07ff",
        "three bytes": "東京 \u0800\uffff",
        "four bytes": "🙂 \U00010000\U0010ffff",
        "all lengths": "aé東🙂a",
        "nothing": "",
    }
    for name, text in texts.items():
        data, right = text.encode(), [ord(character) for character in text]
        found = attempt(data)
        expect(isinstance(found, list), f"return a list of numbers, not {type(found).__name__}")
        if not right:
            expect(found == [], "no bytes are no characters: return an empty list")
        expect(
            found != list(data) or found == right,
            f"{name}: these are the bytes; put those of a character together",
        )
        expect(
            len(found) == len(right),
            f"{name}: {len(right)} characters, you found {len(found)}; the first byte tells the length",
        )
        for i, (a, b) in enumerate(zip(found, right, strict=True)):
            expect(
                a == b,
                f"{name}: character {i} is {b:#x}, yours is {a:#x}; its bytes are "
                + " ".join(f"{byte:08b}" for byte in text[i].encode()),
            )


@exercise(difficulty=2, minutes=15)
def encode_with(attempt):
    """attempt(ids, pairs) -> ids joined with learned pairs, the earliest learned first."""
    cases = [
        (list(b"aaabdaaabac"), [(97, 97), (97, 98), (256, 257)], "the example on paper"),
        (list(b"aabaab"), [(97, 97), (97, 98), (256, 257)], "a new text"),
        (list(b"abab"), [(98, 97), (97, 98)], "two pairs that want the same letter"),
        (list(b"aaaaa"), [(97, 97), (256, 256)], "an odd run: join from left to right"),
        (list(b"xyz"), [(97, 97)], "no learned pair in the text"),
        ([], [(97, 97)], "no text"),
        ([97], [(97, 97)], "a single id"),
        (list(b"abcabc"), [], "no pairs"),
        (list(b"abcdabcd"), [(99, 100), (98, 256), (97, 98), (97, 257)], "tokens made of tokens"),
    ]
    for ids, pairs, name in cases:
        right = list(ids)
        for i, pair in enumerate(pairs):
            joined, place = [], 0
            while place < len(right):
                if tuple(right[place : place + 2]) == pair:
                    joined.append(256 + i)
                    place += 2
                else:
                    joined.append(right[place])
                    place += 1
            right = joined
        given = list(ids)
        found = attempt(given, list(pairs))
        expect(isinstance(found, list), f"{name}: return a list, not {type(found).__name__}")
        expect(given == ids, f"{name}: the list that was given has changed; work on a copy")
        expect(found == right, f"{name}: {ids} with {pairs} is {right}, yours is {found}")
