"""The blind test without a browser: fair pairs, scores, luck, escaped text, buttons."""

from collections import Counter

import pytest

from gptlib.widgets.blind_test import BlindTest, Pair, compute, luck, make_pairs, page, passages, summary

HOSTILE = '<img src=x onerror="alert(1)">'
REAL = [f"real {k}" for k in range(40)]
WRITTEN = {"mine": [f"mine {k}" for k in range(10)], "theirs": [f"theirs {k}" for k in range(10)]}


def test_pairs_are_fair():
    pairs = make_pairs(REAL, WRITTEN, 20, seed=1)
    assert Counter(pair.writer for pair in pairs) == {"mine": 10, "theirs": 10}
    for pair in pairs:
        real, other = (pair.left, pair.right) if pair.real == "left" else (pair.right, pair.left)
        assert real.startswith("real") and other.startswith(pair.writer)
    shown = [text for pair in pairs for text in (pair.left, pair.right)]
    assert len(set(shown)) == 40
    assert 4 <= sum(pair.real == "left" for pair in pairs) <= 16
    assert pairs == make_pairs(REAL, WRITTEN, 20, seed=1) != make_pairs(REAL, WRITTEN, 20, seed=2)
    # the writers do not simply alternate: the order would give them away
    assert [pair.writer for pair in pairs] != ["mine", "theirs"] * 10


@pytest.mark.parametrize(
    "real, count, words", [(REAL[:5], 20, "the real text, 20"), (REAL, 24, "of mine, 12")]
)
def test_too_few_passages_are_named(real, count, words):
    with pytest.raises(ValueError, match=words):
        make_pairs(real, WRITTEN, count, seed=1)


def test_passages_begin_after_empty_lines():
    assert passages("ab\n\ncdef\n\nx", 3) == ["ab\n", "cde"]


def test_luck_is_counted_over_all_tosses():
    assert luck(0, 3) == 1 and luck(3, 3) == 1 / 8 and luck(2, 3) == 1 / 2
    assert luck(15, 20) == pytest.approx(0.0207, abs=1e-4)


def test_scores_of_all_and_of_each_writer():
    pairs = [
        Pair("a", "b", "left", "mine"),
        Pair("a", "b", "right", "mine"),
        Pair("a", "b", "left", "theirs"),
    ]
    state = compute(pairs, ["left", "left", "left"])
    assert (
        state.done
        and state.score() == (2, 3)
        and state.score("mine") == (1, 2)
        and state.score("theirs") == (1, 1)
    )
    assert [line.split(";")[0] for line in summary(state)] == [
        "in all: 2 of 3 right",
        "against mine: 1 of 2 right",
        "against theirs: 1 of 1 right",
    ]
    assert summary(compute(pairs)) == []


@pytest.mark.parametrize(
    "pairs, answers, words",
    [
        ([], [], "no pairs"),
        ([Pair("a", "b", "left", "m")], ["up"], "'up' is no side"),
        ([Pair("a", "b", "left", "m")], ["left"] * 2, "2 answers to 1 pairs"),
    ],
)
def test_what_makes_no_test_is_named(pairs, answers, words):
    with pytest.raises(ValueError, match=words):
        compute(pairs, answers)


def test_nothing_is_given_away_before_the_answer_and_text_is_escaped():
    pairs = [Pair(HOSTILE, "b", "left", "<mine>"), Pair("c", HOSTILE, "right", "<mine>")]
    before, after = page(compute(pairs)), page(compute(pairs, ["left"]))
    assert "real<" not in before and "mine" not in before
    assert "<img" not in before + after and "<mine>" not in after
    assert (
        "Right: left is real, &lt;mine&gt; wrote the other. 1 of 1 right" in after and "Pair 2 of 2" in after
    )


def test_buttons_lead_to_the_score_and_back():
    test = BlindTest(make_pairs(REAL, WRITTEN, 4, seed=1))
    for pair in test.pairs:
        getattr(test, pair.real).click()
    assert test.state.score() == (4, 4) and test.left.disabled and test.right.disabled
    assert "4 of 4 right; a coin is right as often or more often in 6.2% of such tests" in test.page.value
    test.left.click()
    assert test.error.startswith("5 answers to 4 pairs") and test.state.score() == (4, 4)
    test.again.click()
    assert test.state.answers == () and not test.left.disabled and not test.error
