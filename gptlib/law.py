"""A scaling law: the loss of a model by its weights and its tokens, fitted to small runs."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Law:
    """loss = E + A / N^alpha + B / D^beta, of N weights and D tokens (Hoffmann and others, 2022)."""

    E: float
    A: float
    alpha: float
    B: float
    beta: float

    def loss(self, N, D):
        """The loss, in nats per token, of N weights after D tokens; numbers or arrays of one shape."""
        return self.E + self.A * np.asarray(N, float) ** -self.alpha + self.B * np.asarray(D, float) ** -self.beta

    @property
    def exponent(self) -> float:
        """How the best N grows with the compute: N ∝ flops^exponent."""
        return self.beta / (self.alpha + self.beta)


def compute_optimal(law: Law, flops: float) -> tuple[float, float]:
    """The N and D with the lowest loss among all with 6 N D = flops."""
    # blank
    total = law.alpha + law.beta
    ratio = law.alpha * law.A / (law.beta * law.B)
    N = ratio ** (1 / total) * (flops / 6) ** (law.beta / total)
    # end
    return N, flops / 6 / N


def coefficients(exponents, N, D, losses) -> tuple[np.ndarray, np.ndarray]:
    """For each pair (alpha, beta) the E, A, B with the least squared relative error [k, 3], and that error [k].

    With the exponents given, the law is linear in E, A and B. A negative one makes the error infinite.
    """
    alpha, beta = np.asarray(exponents, float).T[:, :, None]  # each [k, 1]
    middle = [np.exp(np.log(x).mean()) for x in (N, D)]  # columns near 1 keep the products well conditioned
    columns = [np.ones((len(alpha), len(losses))), (N / middle[0]) ** -alpha, (D / middle[1]) ** -beta]
    X = np.stack(columns, axis=-1) / losses[:, None]  # [k, runs, 3]: relative errors, as the loss is divided out
    products = X.transpose(0, 2, 1) @ X + 1e-13 * np.eye(3)
    found = np.linalg.solve(products, X.sum(axis=1)[..., None])[..., 0]
    error = ((np.einsum("krc,kc->kr", X, found) - 1) ** 2).sum(axis=1)
    error = np.where((found < 0).any(axis=1), math.inf, error)
    return found * np.stack([np.ones(len(alpha)), middle[0] ** alpha[:, 0], middle[1] ** beta[:, 0]], axis=1), error


def fit_law(N, D, losses) -> Law:
    """The law with the least squared relative error: a grid of exponents, made finer around the best pair.

    ValueError for fewer than six runs, or where no law with positive coefficients fits.
    """
    N, D, losses = (np.asarray(x, float) for x in (N, D, losses))
    if len(losses) < 6:
        raise ValueError(f"{len(losses)} runs: a law of five numbers takes at least 6")
    low, high = np.log([0.03, 0.03]), np.log([2.5, 2.5])
    for _ in range(6):
        axes = [np.linspace(a, b, 19) for a, b in zip(low, high, strict=True)]
        exponents = np.exp(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2))
        found, error = coefficients(exponents, N, D, losses)
        k = int(error.argmin())
        if not math.isfinite(error[k]):
            raise ValueError("no law with positive E, A and B fits these runs: take sizes and budgets that differ more")
        step = 1.5 * (high - low) / 18
        low, high = np.log(exponents[k]) - step, np.log(exponents[k]) + step
    (E, A, B), (alpha, beta) = found[k], exponents[k]
    return Law(float(E), float(A), float(alpha), float(B), float(beta))


def bootstrap(N, D, losses, times: int = 200, seed: int = 0) -> list[Law]:
    """Laws fitted to runs that are drawn from the runs with replacement: how much the law depends on them."""
    N, D, losses = (np.asarray(x, float) for x in (N, D, losses))
    rng, laws = np.random.default_rng(seed), []
    while len(laws) < times:
        drawn = rng.integers(0, len(losses), len(losses))
        if len(set(drawn)) >= 6:
            try:
                laws.append(fit_law(N[drawn], D[drawn], losses[drawn]))
            except ValueError:
                continue
    return laws
