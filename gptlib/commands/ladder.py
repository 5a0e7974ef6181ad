"""The ladder of n-gram tables of a run's text: fitted, kept with the run, printed."""

import json
from pathlib import Path

from tqdm.auto import tqdm

from gptlib.commands.text import text_of
from gptlib.data import split
from gptlib.files import write_text
from gptlib.ngram import BEST, FEWEST, best_ngram, fits, ladder
from gptlib.tokenizer import CharTokenizer


def own_ladder(train_text: str, val_text: str) -> dict[str, float]:
    """N-gram tables of characters fitted to this text, in nats per character."""
    characters = CharTokenizer.from_text(train_text + val_text)
    size, tokens = characters.vocab_size, [characters.encode(text) for text in (train_text, val_text)]
    orders = [n for n in range(6) if fits(n, size) and n <= len(train_text)]
    rungs = ladder(*tokens, size, tqdm(orders, "fitting the ladder", leave=False, unit="table"))
    if len(tokens[0]) >= FEWEST:
        rungs[BEST] = best_ngram(tokens[0], size).loss(tokens[1])
    return rungs


def keep_ladder(folder: Path, texts: tuple[str, str]) -> dict[str, float]:
    """Fit the ladder of a run's text and keep it with the run."""
    rungs = own_ladder(*texts)
    write_text(folder / "ladder.json", json.dumps(rungs, indent=1))
    return rungs


def rungs_of(run: Path, settings: dict) -> dict[str, float]:
    """The ladder of a run's text: kept with the run, else fitted again."""
    if settings.get("shards"):
        return {}  # there is no text to fit tables to
    path = run / "ladder.json"
    if not path.exists():
        return own_ladder(*split(text_of(settings).text))
    try:
        return {name: float(loss) for name, loss in json.loads(path.read_text(encoding="utf-8")).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} cannot be read ({error}): delete it, and it is made again") from None


def print_ladder(rungs: dict[str, float], losses: dict[str, float]) -> None:
    """Where losses, in nats per character, stand among the n-gram tables."""
    print("\nThe loss ladder, in nats per character on the same validation text:")
    for name, value in sorted([*rungs.items(), *losses.items()], key=lambda rung: -rung[1]):
        print(f"  {value:.3f}  {name}{'  <--' if name in losses else ''}")
