"""The checkers of chapter 01. Each calls the reader's function on several inputs and names the mistake."""

from gptlib.exercises import exercise, expect
from gptlib.exercises.answer import as_list, whole_number
from gptlib.exercises.checker import NotYet


@exercise(difficulty=2, minutes=20)
def fewest_tokens(attempt):
    """attempt(data, tokens) -> the smallest number of tokens or single bytes that are the data."""
    for data, tokens in (
        (b"abcd", {b"ab", b"bc", b"cd"}),
        (b"abcde", {b"ab", b"bcde", b"cde"}),
        (b"abcde", {b"abc", b"bcde"}),
        (b"abcdef", {b"abcd", b"ab", b"cdef"}),
        (b"abcdef", {b"abc", b"def", b"cdef"}),
        (b"aaaaa", {b"aa", b"aaa"}),
        (b"xyz", set()),
        (b"xyz", {b"longer than the data"}),
        (b"banana", {b"ban", b"ana", b"na"}),
        (b"a", {b"a"}),
        (b"", {b"ab"}),
    ):
        found = whole_number(attempt(data, set(tokens)), "the number of tokens")
        right, where = fewest(data, tokens), f"{data} with {sorted(tokens)}: "
        if found == right:
            continue
        from_the_left = greedy(data, tokens)
        from_the_right = greedy(data[::-1], {token[::-1] for token in tokens})
        expect(
            found != from_the_left, f"{where}the longest token at each place makes {found}, {right} will do"
        )
        expect(
            found != from_the_right, f"{where}the longest token from the end makes {found}, {right} will do"
        )
        expect(found != right + 1, f"{where}{right} will do, yours is {found}: one too many")
        expect(
            found > right, f"{where}{found} are too few: every byte belongs to one piece, {right} it takes"
        )
        expect(False, f"{where}{right} will do, yours is {found}")


def fewest(data: bytes, tokens: set[bytes]) -> int:
    """The smallest number of pieces, shorter beginnings first."""
    best = [0]
    for n in range(1, len(data) + 1):
        lengths = {1, *(len(token) for token in tokens if data[:n].endswith(token))}
        best.append(1 + min(best[n - length] for length in lengths))
    return best[-1]


def greedy(data: bytes, tokens: set[bytes]) -> int:
    """How many pieces there are when the longest token is taken at each place."""
    count = 0
    while data:
        data = data[max([1, *(len(token) for token in tokens if data.startswith(token))]) :]
        count += 1
    return count


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
