"""Byte-pair encoding: what is learned and how it is applied, against the paper's few lines."""

import random

import regex

from gptlib.bpe import apply_merges, joined, learn, learn_merges, merge, visible_bytes
from gptlib.data import load_corpus
from gptlib.tokenizer import BPETokenizer

# tiktoken's own pattern for GPT-2
PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""
PLAYS = load_corpus("plays").text[:4000]


def numbered(pairs) -> dict[tuple[int, int], int]:
    return {pair: 256 + i for i, pair in enumerate(pairs)}


def naive_merges(text: str, count: int) -> list[tuple[int, int]]:
    """BPE training as the paper's few lines do it: count every pair of every word again for each merge."""
    words = [tuple(word.encode()) for word in regex.findall(PATTERN, text)]
    merges = []
    for new in range(256, 256 + count):
        counts = {}
        for word in words:
            for pair in zip(word, word[1:], strict=False):
                counts[pair] = counts.get(pair, 0) + 1
        best = max(counts.items(), key=lambda item: (item[1], -item[0][0], -item[0][1]))[0]
        merges.append(best)
        for w, word in enumerate(words):
            joined, i = [], 0
            while i < len(word):
                hit = word[i : i + 2] == best
                joined.append(new if hit else word[i])
                i += 2 if hit else 1
            words[w] = tuple(joined)
    return merges


def test_incremental_training_equals_naive_training():
    text = PLAYS[:4000] + " ééé aaaaaaaa aaaa"
    assert learn_merges(text, 60) == naive_merges(text, 60)


def test_textbook_example():
    # Wikipedia's example of byte-pair encoding: aaabdaaabac -> ZabdZabac -> ZYdZYac -> XdXac
    pairs = learn_merges("aaabdaaabac", 3)
    assert pairs == [(97, 97), (97, 98), (256, 257)]
    assert joined(list(b"aaabdaaabac"), numbered(pairs)) == (258, 100, 258, 97, 99)


def test_joining_by_heap_equals_one_merge_after_the_other():
    pairs = learn_merges(PLAYS, 100)
    draw = random.Random(0)
    for length in [0, 1, 2, *range(3, 60)]:
        ids = [draw.choice(b"aaetheo  nd") for _ in range(length)]
        expected = ids
        for pair, new in numbered(pairs).items():
            expected = merge(expected, pair, new)
        assert list(joined(ids, numbered(pairs))) == expected


def test_learning_stops_when_no_pair_is_left():
    assert learn_merges("ab", 10) == [(97, 98)] and learn_merges("", 10) == []


def test_every_byte_is_spelled_by_one_visible_character():
    spelled = visible_bytes()
    assert sorted(spelled) == list(range(256)) and len(set(spelled.values())) == 256
    assert not any(character.isspace() for character in spelled.values()) and spelled[32] == "Ġ"


def test_the_plain_forms_are_the_fast_ones():
    pairs, left = learn(list(b"the_theatre_there_"), 8)
    assert learn_merges("theatre", 6) == learn(list(b"theatre"), 6)[0]
    assert apply_merges(list(b"the_theatre_there_"), numbered(pairs)) == left
    draw = random.Random(1)
    merges = numbered(learn_merges(PLAYS, 100))
    for length in range(80):
        ids = [draw.choice(b"aaetheo  nd") for _ in range(length)]
        assert tuple(apply_merges(ids, merges)) == joined(ids, merges)
        assert learn(ids, 5)[0] == naive_merges_of_one(ids, 5)
    assert learn([], 3) == ([], []) and learn([5], 3) == ([], [5])


def naive_merges_of_one(ids: list[int], count: int) -> list[tuple[int, int]]:
    """What one list of ids teaches, by counting slices."""
    pairs, text = [], tuple(ids)
    for new in range(256, 256 + count):
        found = [text[i : i + 2] for i in range(len(text) - 1)]
        if not found:
            break
        best = min(sorted(set(found)), key=lambda pair: -found.count(pair))
        pairs.append(best)
        text = tuple(merge(list(text), best, new))
    return pairs


def test_short_and_long_pretokens_are_encoded_alike():
    tokenizer = BPETokenizer(learn_merges(PLAYS, 100))
    for length in (1, 31, 32, 33, 64):
        word = ("the" * length)[:length]
        assert tokenizer.encode_pretoken(word) == joined(list(word.encode()), tokenizer.merges)
