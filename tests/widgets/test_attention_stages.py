"""The stages of attention without a browser: numbers against PyTorch, words, bars, the controls driven."""

import math
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gptlib.widgets.attention_stages import STAGES, AttentionStages, compute, number, page

# two numbers a vector, so that everything can be checked by hand
Q = [[1.0, 0.0], [2.0, 1.0], [0.0, 3.0]]
K = [[1.0, 1.0], [0.0, 2.0], [4.0, 0.0]]
V = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
HOSTILE = ["<img src=x onerror=alert(1)>", "</style><script>alert(2)</script>", '"']


def vectors(T=6, head_size=8, seed=0):
    return torch.randn(3, T, head_size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_every_number_by_hand():
    product, scale, mask, softmax, values = compute("abc", Q, K, V, query=1, key=0)
    assert product.columns["q times k"].tolist() == [2, 1] and product.formula.endswith("products = 3.00")
    np.testing.assert_allclose(scale.columns["q · k"], [3, 2, 8])
    np.testing.assert_allclose(scale.columns["score"], np.array([3, 2, 8]) / math.sqrt(2))
    assert scale.formula == "3.00 / √2 = 3.00 / 1.41 = 2.12"
    assert np.isneginf(mask.columns["after the mask"][2]) and mask.columns["score"][2] > 5
    difference = 1 / math.sqrt(2)
    weight = 1 / (1 + math.exp(-difference))
    np.testing.assert_allclose(softmax.columns["weight"], [weight, 1 - weight, 0])
    assert softmax.formula == "e^(2.12 − 2.12) / 1.49 = 1.00 / 1.49 = 0.67"
    np.testing.assert_allclose(values.columns["weight · v"], [weight, 0, 0])
    np.testing.assert_allclose(values.columns["output"], [weight, 1 - weight, 0])


@pytest.mark.parametrize("causal", [True, False])
def test_the_output_is_pytorchs(causal):
    q, k, v = vectors()
    expected = F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=causal)[0]
    for query in range(6):
        stages = compute("abcdef", q, k, v, query, 3, causal)
        np.testing.assert_allclose(stages[-1].columns["output"], expected[query], atol=1e-12)
        assert stages[3].columns["weight"].sum() == pytest.approx(1)
        assert stages[0].columns["q times k"].sum() == pytest.approx(stages[1].columns["q · k"][3])


def test_the_mask_is_told():
    q, k, v = vectors()
    assert "key 4 (e) comes after query 2 (c): " in compute("abcdef", q, k, v, 2, 4)[2].formula
    assert "becomes −∞" in compute("abcdef", q, k, v, 2, 4)[2].formula
    assert compute("abcdef", q, k, v, 2, 4)[3].formula.endswith("= 0.00")
    assert "key 2 (c) does not come after query 2 (c)" in compute("abcdef", q, k, v, 2, 2)[2].formula
    off = compute("abcdef", q, k, v, 2, 4, causal=False)[2]
    assert off.formula.startswith("no mask") and "off" in off.words


def test_large_scores_do_not_overflow():
    softmax = compute("ab", [[300.0], [300.0]], [[300.0], [299.0]], [[1.0], [2.0]], 1, 0)[3]
    assert softmax.columns["weight"].tolist() == [1, pytest.approx(0)]


def test_numbers_are_short_and_never_a_wrong_zero():
    assert [number(x) for x in (-1.234, 0.0, 0.0012, -0.05, -math.inf, 12)] == [
        "−1.23",
        "0.00",
        "0.0012",
        "−0.05",
        "−∞",
        "12.00",
    ]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("ab", Q, K, V, 0, 0), "for 2 tokens"),
        (("abc", Q, [row[:1] for row in K], V, 0, 0), r"\[3, 1\]"),
        (("abc", Q, K, V[:2], 0, 0), r"\[2, 3\]"),
        (("abc", Q, K, V, 3, 0), "query=3 must lie between 0 and 2"),
        (("abc", Q, K, V, 0, -1), "key=-1"),
    ],
)
def test_wrong_input_is_refused(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        compute(*arguments)


def test_bars_are_as_high_as_the_numbers():
    text = page(compute("abc", Q, K, V, 1, 0), 2)
    strip = text.split('<div class="bars"')[1].split("</div>")[0]
    heights = [int(h) for h in re.findall(r"height:(\d+)px", strip)]
    assert heights == [round(46 * 3 / 8), round(46 * 2 / 8), 46]
    assert 'title="key 2 (c): 8.00"' in strip and text.count('class="bar marked"') == 3  # two strips, labels
    masked = page(compute("abc", Q, K, V, 1, 0), 3)
    assert "<s>−∞</s>" in masked and "after the mask: 3 numbers" in masked


def test_tokens_stay_text():
    stages = compute(HOSTILE, Q, K, V, 1, 0)
    for place in range(1, 6):
        text = page(stages, place, numbers=True)
        assert "<img" not in text and "<script" not in text and text.count("</style>") == 1
    assert '">&lt;i</span>' in page(stages, 2)  # the first two letters, below the bars


def test_the_controls_step_through_the_stages():
    stages = AttentionStages()
    stages.move(1)  # nothing to show yet
    assert stages.page.value == "" and stages.error == ""
    stages.stage.value = 1
    stages.show_cell("abc", Q, K, V, 1, 0, True)
    assert len(stages.state) == len(STAGES) and stages.previous.disabled and not stages.next.disabled
    for name in STAGES[1:]:
        stages.next.click()
        assert f'<b aria-current="step">{name}</b>' in stages.page.value
    assert stages.next.disabled and stages.stage.value == 5
    stages.next.click()
    assert stages.stage.value == 5
    stages.previous.click()
    assert "softmax</b>" in stages.page.value and "<table>" not in stages.page.value
    stages.all_numbers.value = True
    assert "<th>0 a</th><td>0.00</td><td>1.00</td><td>0.67</td>" in stages.page.value
    stages.show_cell("abc", Q, K, V, 2, 2, True)  # another cell keeps the stage
    assert "<tr class=marked><th>2 c</th>" in stages.page.value and "softmax</b>" in stages.page.value


def test_two_on_one_page_keep_their_style():
    first, second = (
        page(compute("abc", Q, K, V, 1, 0), 1, "one"),
        page(compute("abc", Q, K, V, 1, 0), 1, "two"),
    )
    assert ".one .bar" in first and ".two" not in first and ".one" not in second
