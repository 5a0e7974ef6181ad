"""Which text and which tokenizer a name means."""

from pathlib import Path

from gptlib.commands.shards import shards_of
from gptlib.data import Corpus, load_corpus, split
from gptlib.tokenizer import BPETokenizer, ByteTokenizer, CharTokenizer, Tokenizer

TEXTS = ("tinyshakespeare", "plays")  # of `load_corpus`


def text_named(files: tuple[str, ...]) -> Corpus:
    """The text in these files, folders and patterns; TinyShakespeare where none is named."""
    return Corpus.from_files(*files) if files else load_corpus()


def text_of(settings: dict) -> Corpus:
    """The text of a run, read again; ValueError when it is another one now."""
    text = settings.get("text", {})
    if settings.get("shards"):
        corpus = shards_of(Path(text["source"]))[0]
        if corpus.sha256 != text["sha256"]:
            raise ValueError(f"the shards in {text['source']} are not those that the run was trained on")
        return corpus
    own_file = Path(text.get("source", "")).name == settings["corpus"]  # it may be called "plays", too
    if settings["corpus"] in TEXTS and not own_file:
        corpus = load_corpus(settings["corpus"])
    else:
        corpus = Corpus.from_files(*text["source"].split("\n"))
    before = text.get("sha256", corpus.sha256)
    if corpus.name != settings["corpus"] or corpus.sha256 != before:
        raise ValueError(
            f"the text {settings['corpus']} is not what the run was trained on: its checksum differs"
        )
    return corpus


def tokenizer_named(name: str, corpus: Corpus) -> Tokenizer:
    """char, byte, gpt2, or bpe:N: byte pairs learned from the training part of the text."""
    kind, _, size = name.partition(":")
    if kind == "bpe" and size.isdecimal():
        print(f"learning a vocabulary of {int(size):,} tokens from {corpus.name}")
        return BPETokenizer.train(split(corpus.text)[0], int(size))
    if name == "char":
        return CharTokenizer.from_text(corpus.text)
    if name in ("byte", "gpt2"):
        return ByteTokenizer() if name == "byte" else BPETokenizer.gpt2()
    raise ValueError(f"tokenizer={name!r} is unknown: choose char, byte, bpe:N (bpe:1024, say) or gpt2")


def tokenizer_name(tokenizer: Tokenizer) -> str:
    """The name by which `tokenizer_named` makes this tokenizer."""
    if tokenizer.kind != "bpe":
        return tokenizer.kind
    published = tokenizer.special and tokenizer.fingerprint == BPETokenizer.gpt2().fingerprint
    return "gpt2" if published else f"bpe:{tokenizer.vocab_size}"
