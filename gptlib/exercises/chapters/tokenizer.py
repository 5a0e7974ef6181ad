"""The checkers of chapter 01. Each calls the reader's function on several inputs and names the mistake."""

from collections import Counter

from gptlib.exercises import exercise, expect
from gptlib.exercises.answer import as_list, parts, whole_number
from gptlib.exercises.checker import NotYet


@exercise(difficulty=1, minutes=5)
def most_frequent_pair(attempt):
    """attempt(ids) -> the most frequent pair of neighbours, of equals the lowest."""
    for ids in (
        [1, 2],
        [7, 7, 2, 1, 2, 1, 7],
        [5, 1, 2, 1, 2, 9],
        [3] * 4,
        [7, 8, 1, 2, 7, 8, 1, 2],
        [9, 1, 9, 1, 0],
    ):
        counts = Counter(zip(ids, ids[1:], strict=False))
        most = max(counts.values())
        equals = [pair for pair, n in counts.items() if n == most]
        found = tuple(map(whole_number, parts(attempt(list(ids)), "a", "b")))
        if found in equals:
            which = "first" if found == equals[0] else "highest" if found == max(equals) else "wrong one"
            several = f"in {ids} several pairs occur {most} times; the lowest is {min(equals)}, yours is the {which}"
            expect(found == min(equals), several)
            continue
        alone = tuple(i for i, _ in Counter(ids).most_common(2))
        expect(found != alone, f"{found} are the most frequent ids in {ids}; count pairs of neighbours")
        apart = Counter(zip(ids[::2], ids[1::2], strict=False))
        skipped = found == min(apart, key=lambda pair: (-apart[pair], pair))
        expect(not skipped, f"in {ids} pairs overlap: every id but the last begins one, zip(ids, ids[1:])")
        expect(found in counts, f"{found} are no neighbours in {ids}")
        rarest = counts[found] == min(counts.values())
        expect(not rarest, f"{found} is the rarest pair in {ids}, not the most frequent")
        expect(False, f"{found} occurs {counts[found]} times in {ids}, another pair {most} times")


class Undecodable(bytes):
    """Bytes that do not decode themselves, nor do their slices."""

    def decode(self, *arguments, **options):
        raise NotYet("decode does the whole exercise: read the bits yourself")

    def __getitem__(self, key):
        found = super().__getitem__(key)
        return Undecodable(found) if isinstance(key, slice) else found


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
        found = as_list(attempt(Undecodable(data)), "a list of numbers")
        if found == right:
            continue
        where = f"{name}: "
        mistakes = {
            "these are the bytes; put those of a character together": list(data),
            "the first byte keeps the bits that only tell the length": read(data, first=0xFF),
            "a following byte brings six bits: shift by 6, not by 8": read(data, shift=8),
            "a following byte keeps its mark, the two bits 10: take & 0b00111111": read(data, following=0xFF),
            "characters of four bytes are not read: their first byte is 240 or more": read(data, longest=3),
        }
        for message, wrong in mistakes.items():
            expect(found != wrong, where + message)
        counts = f"{len(right)} characters, you found {len(found)}"
        expect(
            len(found) == len(right), f"{where}{counts}; the first byte tells the length: below 128, 224, 240"
        )
        for i, (a, b) in enumerate(zip(found, right, strict=True)):
            bits = " ".join(f"{byte:08b}" for byte in text[i].encode())
            expect(a == b, f"{where}character {i} is {b}, yours is {a}; its bytes are {bits}")


def read(data: bytes, first=None, shift=6, following=0b00111111, longest=4) -> list[int]:
    """The code points, or what a mistake makes of them: the bits that are taken, the shift, the longest."""
    found, i = [], 0
    while i < len(data):
        length = min(longest, 1 + sum(data[i] >= limit for limit in (128, 224, 240)))
        value = data[i] & (first or (0x7F if length == 1 else 0xFF >> (length + 1)))
        for byte in data[i + 1 : i + length]:
            value = (value << shift) + (byte & following)
        found.append(value)
        i += length
    return found


@exercise(difficulty=2, minutes=15)
def encode_with(attempt):
    """attempt(ids, pairs) -> ids joined with learned pairs, the earliest learned first."""
    for ids, pairs, name in (
        (list(b"aaabdaaabac"), [(97, 97), (97, 98), (256, 257)], "the example on paper"),
        (list(b"aabaab"), [(97, 97), (97, 98), (256, 257)], "a new text"),
        (list(b"abab"), [(98, 97), (97, 98)], "two pairs that want the same letter"),
        (list(b"aaaaa"), [(97, 97), (256, 256)], "an odd run"),
        (list(b"xyz"), [(97, 97)], "no learned pair in the text"),
        ([], [(97, 97)], "no text"),
        ([97], [(97, 97)], "a single id"),
        (list(b"abcabc"), [], "no pairs"),
        (list(b"abcdabcd"), [(99, 100), (98, 256), (97, 98), (97, 257)], "tokens made of tokens"),
    ):
        given = list(ids)
        found = as_list(attempt(given, list(pairs)), f"a list of ids for {name}")
        expect(given == ids, f"{name}: the list that was given has changed; work on a copy")
        right = in_order(ids, enumerate(pairs))
        if found == right:
            continue
        learned = list(enumerate(pairs))
        mistakes = {
            "a pair is joined everywhere, not only at its first place": in_order(ids, learned, most=1),
            "join from left to right": in_order(ids[::-1], [(i, pair[::-1]) for i, pair in learned])[::-1],
            "the earliest learned pair comes first; yours takes the most frequent": (
                most_frequent_first(ids, pairs)
            ),
            "the earliest learned pair comes first; yours begins with the latest": (
                in_order(ids, learned[::-1])
            ),
            "one round is not enough: go on until no learned pair is left": in_order(ids, learned[:1]),
            "pair i gets the number 256 + i, yours begins at 0": in_order(ids, learned, offset=0),
            "pair i gets the number 256 + i, yours begins at 257": in_order(ids, learned, offset=257),
        }
        for message, wrong in mistakes.items():
            expect(found != wrong, f"{name}: {message}")
        expect(False, f"{name}: {ids} with {pairs} is {right}, yours is {found}")


def joined(ids: list[int], pair: tuple, new: int, most: int | None = None) -> list[int]:
    """`ids` with the pair replaced by `new` from left to right, at most `most` times."""
    result, i, times = [], 0, 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) == pair and times != most:
            result.append(new)
            times += 1
            i += 2
        else:
            result.append(ids[i])
            i += 1
    return result


def in_order(ids: list[int], learned, most: int | None = None, offset: int = 256) -> list[int]:
    """`ids` after joining the numbered pairs one after the other."""
    for i, pair in learned:
        ids = joined(ids, pair, offset + i, most)
    return list(ids)


def most_frequent_first(ids: list[int], pairs: list[tuple]) -> list[int]:
    """`ids` after joining the most frequent of the learned pairs until none is left, of equals the latest."""
    numbers = {pair: i for i, pair in enumerate(pairs)}
    while known := Counter(pair for pair in zip(ids, ids[1:], strict=False) if pair in numbers):
        pair = max(known, key=lambda pair: (known[pair], numbers[pair]))
        ids = joined(ids, pair, 256 + numbers[pair])
    return list(ids)
