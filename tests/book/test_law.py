"""tools/measure/law.py: its corpus, its units, its refusals; and what README says of what it stored."""

import json
import sys
from datetime import datetime, timedelta
from hashlib import sha256

import numpy as np
import pytest

from gptlib.law import fit_law
from gptlib.ngram import NGram
from gptlib.roofline import step_flops
from gptlib.tokenizer import BPETokenizer
from tools.chapters import ROOT
from tools.measure import DATA, law
from tools.measure.programs import counted, cut, drawn
from tools.measure.python_source import document_of, files_below, is_val, learned_tokenizer, without_copies

STORED = DATA / "runs" / "law"


def stored(name: str) -> dict:
    return json.loads((STORED / f"{name}.json").read_text(encoding="utf-8"))


# --- the corpus


def test_documents_are_files_that_parse(tmp_path):
    texts = {"a.py": "x = 1\r\n", "b.py": "print 'two'\n", "c.py": "", "d.txt": "y = 2\n"}
    texts["e.py"] = "# only words\n"
    (tmp_path / "site-packages").mkdir()
    for name, text in {**texts, "site-packages/f.py": "z = 3\n"}.items():
        (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    (tmp_path / "g.py").write_bytes(b"x = '\xff'\n")
    (tmp_path / "h.py").write_text("x = 1\n" * 100_000, encoding="utf-8")
    paths = files_below(tmp_path)
    assert sorted(path.name for path in paths) == ["a.py", "b.py", "c.py", "e.py", "g.py", "h.py"]
    found = [document for document in map(document_of, paths) if document]
    assert found == [(sha256(b"x = 1\n").hexdigest(), "x = 1\n")]


def test_copies_go_and_the_order_is_that_of_the_hashes():
    lines = [f"value_{n} = {n}\n" for n in range(20)]
    texts = {"bb": "".join(lines), "cc": "".join(lines[:19]) + "new = 1\n", "dd": "x\n"}
    texts["aa"] = "".join(lines[10:]) * 2
    kept = without_copies(texts)
    assert list(kept) == ["aa", "bb"]  # bb brings ten new lines, cc one, and dd has none that tells it


def test_a_file_is_in_one_part_and_the_tokenizer_sees_no_validation_text():
    assert is_val("19ff", "stdlib") and not is_val("1aff", "stdlib")
    assert is_val("04ff", "installed") and not is_val("05ff", "installed")
    documents = {"00": "zq " * 50, "ff": "abab " * 50}
    tokenizer = learned_tokenizer(documents, 1000)
    assert b"ab" in tokenizer.bytes_of and not any(b"zq" in token for token in tokenizer.bytes_of)
    assert tokenizer.special == ["<|endoftext|>"]


# --- the runs


def test_each_budget_is_kept_by_its_runs_and_no_size_comes_twice():
    for budget in (5e13, 8e14):
        widths = law.closest(budget, law.RATIOS, law.VOCAB, law.BLOCK)
        assert len(set(widths)) == 4 and widths == sorted(widths)
        for width in widths:
            config = law.shape_of(width)
            how = law.training_of(law.Unit("runs", budget, width), config, law.HOW)
            assert abs(how.max_steps * step_flops(config, how.batch_size) / budget - 1) < 0.01
            assert how.min_learning_rate == 0 and how.warmup_steps == how.max_steps // 20


def test_three_ways_of_counting():
    found = law.counts(law.shape_of(64))
    assert found["all"] - found["blocks and head"] == 256 * 64
    assert found["blocks and head"] - found["blocks"] == 4096 * 64


@pytest.fixture
def rows():
    """Sixteen runs that follow a law exactly."""
    found = []
    for budget in (1e12, 3e12, 9e12, 3e13):
        for ratio in (80, 30, 12, 5):
            N, D = (budget / 6 / ratio) ** 0.5, (budget / 6 * ratio) ** 0.5
            weights = {"all": N, "blocks": N / 2, "blocks and head": N * 0.9}
            unit = {"budget": budget, "seed": 1, "rate": 1.0, "weights": weights, "tokens": D}
            found.append({**unit, "val_loss": 1.5 + 30 / N**0.3 + 50 / D**0.3})
    return found


def test_a_prediction_is_stored_once_with_its_time(tmp_path, rows):
    (tmp_path / "manifest.json").write_text('{"installed": {"sha256": "abc"}}', encoding="utf-8")
    (tmp_path / "runs-0.jsonl").write_text("a line\n", encoding="utf-8")
    path = tmp_path / "prediction.json"
    law.store_prediction(rows, path, tiny=True)
    first = path.read_bytes()
    found = json.loads(first)
    assert found["corpus"] == "abc" and found["runs"] == {"runs-0.jsonl": sha256(b"a line\n").hexdigest()}
    assert datetime.fromisoformat(found["time"]).utcoffset() == timedelta(0)
    ten = found["predicted"]["ten"]
    N, D = ten["weights"], ten["tokens"]
    assert ten["loss"] == pytest.approx(1.5 + 30 / N**0.3 + 50 / D**0.3, rel=1e-3)
    law.store_prediction(rows[4:], path, tiny=True)
    assert path.read_bytes() == first


def test_no_large_run_before_its_prediction(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["law", str(tmp_path), "large"])
    with pytest.raises(SystemExit) as refused:
        law.main()
    assert refused.value.code == 2 and "predict before the run" in capsys.readouterr().err


def test_a_prediction_for_another_corpus_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text('{"installed": {"sha256": "abc"}}', encoding="utf-8")
    (tmp_path / "prediction.json").write_text('{"corpus": "xyz"}', encoding="utf-8")
    with pytest.raises(SystemExit, match="prediction is for the corpus xyz, here is abc"):
        law.must_be_the_same(tmp_path)


# --- samples


def test_a_table_draws_by_its_own_distribution():
    tokens = np.random.default_rng(0).integers(0, 5, 300)
    table = NGram(3, caution=2).fit(tokens, 5)
    for context in ([1, 2], [4], [0, 0, 3]):
        rng, n = np.random.default_rng(1), 6000
        shares = np.bincount([drawn(table, context, rng) for _ in range(n)], minlength=5) / n
        p = table.probabilities(context[-2:])
        assert np.abs(shares - p).max() < 4 * np.sqrt(0.25 / n)


def test_samples_end_at_the_separator_or_after_a_whole_statement():
    tokenizer = BPETokenizer([], special=["<|endoftext|>"])
    assert cut([*b"x = 1\ny", 256, 65], tokenizer) == "x = 1\ny"
    assert cut([*b"x = 1\ny = ("], tokenizer) == "x = 1\n"
    found = counted(["x = 1\n", "return 1\n", "x = (", "def f(): pass\n"])
    assert (found["samples"], found["parse"], found["compile"]) == (4, 3, 2)
    assert (found["with def"], found["with def, parse"]) == (1, 1)


# --- what is stored


def test_the_stored_predictions_are_older_than_their_runs():
    large = law.recorded(STORED, "large")
    assert len(large) == 4
    for name in ("prediction", "prediction-larger"):
        found = stored(name)
        assert found["corpus"] == stored("manifest")["installed"]["sha256"]
        for file, digits in found["runs"].items():
            assert sha256((STORED / file).read_bytes()).hexdigest() == digits
        for row in large:
            began = datetime.fromisoformat(row["ended"]) - timedelta(seconds=row["seconds"])
            assert datetime.fromisoformat(found["time"]) < began
    rows = law.recorded(STORED, "runs")
    assert fit_law(*law.points(rows)).E == pytest.approx(stored("prediction")["law"]["E"], rel=1e-6)


def test_readme_says_what_was_stored():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    ten = stored("prediction")["predicted"]["ten"]
    low, high = ten["interval"]
    losses = [row["val_loss"] for row in law.recorded(STORED, "large") if row["budget"] == ten["flops"]]
    told = f"{ten['loss']:.3f} nats per token, {low:.3f} to {high:.3f} with 90 % of the bootstrap. "
    assert f"{told}Measured: {losses[0]:.3f}" in readme and max(losses) - min(losses) < 0.002
    found = json.loads((DATA / "runs" / "python-gpu" / "parses.json").read_text(encoding="utf-8"))["rows"]
    names = {"real files, cut alike": "real files", "triples": "the best of three tables of tokens, triples"}
    names["python-gpu, temperature 0.8"] = "`python-gpu`, 1.9 million weights, temperature 0.8"
    names["python-gpu, temperature 1.0"] = "`python-gpu`, temperature 1"
    for name, words in names.items():
        row = found[name]
        low, high = (100 * share for share in row["parse_interval"])
        share = f"{100 * row['parse'] / row['samples']:.1f} % of {row['samples']:,}"
        assert f"| {words} | {share} | {low:.1f} to {high:.1f} |" in readme


def test_datas_readme_says_what_the_shipped_model_is():
    about = json.loads((DATA / "runs" / "python-gpu" / "config.json").read_text(encoding="utf-8"))
    told = f"{about['parameters']:,} parameters, step {about['best_step']:,}, "
    assert f"{told}exact validation loss {about['best_val_loss']:.4f}" in (
        ROOT / "data" / "README.md"
    ).read_text(encoding="utf-8")
