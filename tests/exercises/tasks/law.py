"""What readers might write for the task of the law: other styles, and mistakes by their key words."""

RIGHT = {
    "compute_optimal": [
        """
def compute_optimal(law, flops):
    a, b, product = law.alpha, law.beta, flops / 6
    N = math.exp((math.log(a * law.A) - math.log(b * law.B) + b * math.log(product)) / (a + b))
    return N, product / N
""",
        """
def compute_optimal(law, flops):
    low, high = 0.0, math.log(flops)
    for _ in range(200):  # the sign of the derivative
        middle = (low + high) / 2
        N = math.exp(middle)
        gain = law.alpha * law.A * N**-law.alpha
        loss = law.beta * law.B * (flops / 6 / N) ** -law.beta
        low, high = (middle, high) if gain > loss else (low, middle)
    return np.exp(low), flops / 6 / np.exp(low)
""",
    ],
}
SAME = {}
BUGS = {
    "compute_optimal": [
        ("law.beta / total", "law.alpha / total", "a lower one"),
        ("law.alpha * law.A / (law.beta * law.B)", "law.A / law.B", "a lower one"),
        ("law.alpha * law.A / (law.beta * law.B)", "law.beta * law.B / (law.alpha * law.A)", "a lower one"),
        ("(1 / total)", "total", "a lower one"),
        ("(flops / 6) ** (law", "flops ** (law", "a lower one"),
        ("return N, flops / 6 / N", "return N, flops / N", "6 N D"),
        ("return N, flops / 6 / N", "return flops / 6 / N, N", "a lower one"),
    ]
}
