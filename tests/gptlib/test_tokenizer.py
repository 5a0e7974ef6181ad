"""Tokenizers against tiktoken, on the corpus and on any Unicode, and against their own promises."""

import json

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from gptlib.data import load_corpus
from gptlib.files import DATA
from gptlib.tokenizer import BPETokenizer, ByteTokenizer, CharTokenizer, load_tokenizer

# tiktoken's own pattern for GPT-2
PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""
UNICODE = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)  # every scalar value, no surrogates
NASTY = [
    "",
    " ",
    "\n",
    "  \n\n  x",
    "a   b",
    "it's we'll THEY'RE I'VE 's",
    "Hello, Hello,Hello",
    "e\u0301 \u0301a",  # combining marks
    "\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea",
    "שלום عليكم",
    "\x00\x1f\x7f\x85\u2028",
    "١٢٣ ½ Ⅷ 2026",
    " " * 300,
    "<|endoftext|>",
    "\U0010ffff\ufffd\ufeff",
    "don’t",
]


def gpt2_by_tiktoken() -> tiktoken.Encoding:
    """GPT-2's encoding, built from vocab.bpe with tiktoken's own reader of that format."""
    order = [*range(33, 127), *range(161, 173), *range(174, 256)]
    order += [b for b in range(256) if b not in order]
    byte_of = {}
    for extra, b in enumerate(order):
        byte_of[chr(b) if extra < 188 else chr(256 + extra - 188)] = b
    ranks = {bytes([b]): i for i, b in enumerate(order)}
    for line in (DATA / "gpt2" / "vocab.bpe").read_text(encoding="utf-8").split("\n")[1:-1]:
        token = bytes(byte_of[c] for c in line.replace(" ", ""))
        ranks[token] = len(ranks)
    return tiktoken.Encoding(
        "gpt2_from_file",
        pat_str=PATTERN,
        mergeable_ranks=ranks,
        special_tokens={"<|endoftext|>": 50256},
    )


GPT2, TIKTOKEN = BPETokenizer.gpt2(), gpt2_by_tiktoken()
OWN_TEXT = load_corpus("plays").text[:60_000]
OWN = BPETokenizer.train(OWN_TEXT, 500)
OWN_TIKTOKEN = tiktoken.Encoding(
    "own",
    pat_str=PATTERN,
    mergeable_ranks={OWN.decode_bytes([i]): i for i in range(OWN.vocab_size)},
    special_tokens={},
)


def test_gpt2_ids_equal_tiktoken_on_the_plays():
    text = load_corpus("plays").text
    assert GPT2.encode(text) == TIKTOKEN.encode_ordinary(text)


@pytest.mark.tinyshakespeare
def test_gpt2_ids_equal_tiktoken_on_tinyshakespeare():
    text = load_corpus().text
    train, val = text[:1_003_854], text[1_003_854:]
    ids = GPT2.encode(train), GPT2.encode(val)
    assert (len(ids[0]), len(ids[1])) == (301_966, 36_059)
    assert ids == (TIKTOKEN.encode_ordinary(train), TIKTOKEN.encode_ordinary(val))


@settings(max_examples=300, deadline=None)
@given(UNICODE)
def test_gpt2_ids_equal_tiktoken_on_unicode(text):
    ids = GPT2.encode(text)
    assert ids == TIKTOKEN.encode_ordinary(text)
    assert GPT2.decode(ids) == text


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_nasty_cases(text):
    assert GPT2.encode(text) == TIKTOKEN.encode_ordinary(text)
    assert OWN.encode(text) == OWN_TIKTOKEN.encode_ordinary(text)
    for tokenizer in (GPT2, OWN, ByteTokenizer()):
        assert tokenizer.decode(tokenizer.encode(text)) == text


@settings(max_examples=200, deadline=None)
@given(UNICODE)
def test_trained_merges_equal_tiktoken(text):
    assert OWN_TIKTOKEN.n_vocab == OWN.vocab_size == 500
    assert OWN.encode(text) == OWN_TIKTOKEN.encode_ordinary(text)


def test_gpt2_vocabulary():
    assert GPT2.vocab_size == 50257
    assert GPT2.decode([50256]) == "<|endoftext|>"
    assert GPT2.encode("Hello world") == [15496, 995]
    assert all(GPT2.decode_bytes([i]) == TIKTOKEN.decode_single_token_bytes(i) for i in range(50257))


def test_training_stops_when_no_pair_is_left():
    assert BPETokenizer.train("ab", 1000).vocab_size == 257
    assert BPETokenizer.train("", 300).vocab_size == 256
    with pytest.raises(ValueError, match="vocab_size=255"):
        BPETokenizer.train("ab", 255)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 50256), max_size=30))
def test_decode_bytes_of_any_ids(ids):
    assert GPT2.decode_bytes(ids) == TIKTOKEN.decode_bytes(ids)
    assert GPT2.decode(ids) == TIKTOKEN.decode(ids)


def test_bytes():
    tokenizer = ByteTokenizer()
    assert tokenizer.vocab_size == 256
    assert tokenizer.encode("aé€") == [97, 195, 169, 226, 130, 172]
    assert tokenizer.decode_bytes([226, 130]) == b"\xe2\x82"
    assert tokenizer.decode([97, 226, 130]) == "a\ufffd"


@pytest.mark.parametrize("tokenizer", [ByteTokenizer(), GPT2, OWN], ids=["byte", "gpt2", "own"])
def test_lone_surrogate(tokenizer):
    with pytest.raises(ValueError, match=r"position 5 holds the lone surrogate '\\ud800'"):
        tokenizer.encode("two b\ud800c")


@pytest.mark.parametrize("tokenizer", [ByteTokenizer(), GPT2, OWN, CharTokenizer("abc")])
@pytest.mark.parametrize("bad", [-1, 60_000])
def test_ids_outside_the_vocabulary(tokenizer, bad):
    with pytest.raises(ValueError, match=f"{bad}"):
        tokenizer.decode([0, bad])


def test_characters():
    tokenizer = CharTokenizer.from_text("hello")
    assert tokenizer.vocab_size == 4
    assert tokenizer.encode("hole") == [1, 3, 2, 0]
    assert tokenizer.decode([1, 3, 2, 0]) == "hole"
    with pytest.raises(ValueError, match="unknown character 'é' at position 2.*4 characters"):
        tokenizer.encode("heé")
    with pytest.raises(ValueError, match="empty"):
        CharTokenizer.from_text("")


def test_both_corpora_have_the_same_65_characters():
    characters = "\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    assert CharTokenizer.from_text(load_corpus("plays").text).characters == characters
    assert CharTokenizer.from_text(load_corpus().text).characters == characters


@pytest.mark.parametrize(
    "tokenizer",
    [CharTokenizer('aé\u2028"\\'), ByteTokenizer(), OWN, GPT2],
    ids=["char", "byte", "own", "gpt2"],
)
def test_save_and_load(tokenizer, tmp_path):
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    again = load_tokenizer(path)
    text = "aé" * 3
    assert type(again) is type(tokenizer)
    assert (again.vocab_size, again.fingerprint) == (tokenizer.vocab_size, tokenizer.fingerprint)
    assert again.encode(text) == tokenizer.encode(text)
    assert json.loads(path.read_text(encoding="utf-8"))["kind"] == tokenizer.kind
    assert [p.name for p in tmp_path.iterdir()] == ["tokenizer.json"]


def test_fingerprints_differ():
    tokenizers = [
        CharTokenizer("ab"),
        CharTokenizer("abc"),
        ByteTokenizer(),
        OWN,
        GPT2,
        BPETokenizer([(97, 98)]),
    ]
    assert len({tokenizer.fingerprint for tokenizer in tokenizers}) == len(tokenizers)
    assert CharTokenizer("ba").fingerprint == CharTokenizer("ab").fingerprint


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"characters": "ab"}',
        b'{"kind": "word"}',
        b'{"kind": "char"}',
        b'{"kind": "char", "characters": 7}',
        b'{"kind": "bpe", "merges": [[1]], "byte_order": null, "special": []}',
        b'{"kind": "bpe", "merges": [[97, 9999]], "byte_order": null, "special": []}',
    ],
)
def test_damaged_file_is_named(content, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="tokenizer.json"):
        load_tokenizer(path)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_tokenizer(tmp_path / "none.json")
