"""Longer programs: finance, statistics, machine learning."""

import math

import numpy as np

from tests.programs.catalog import example


@example(100.0, 95.0, 0.05, 0.3, 1.0, "put", also=((100.0, 95.0, 0.05, 0.3, 1.0, "call"),))
def american_option(spot, strike, rate, sigma, maturity, kind):
    """The binomial tree of Cox, Ross and Rubinstein."""
    n = 30
    dt = maturity / n
    up = math.exp(sigma * math.sqrt(dt))
    down = 1.0 / up
    p = (math.exp(rate * dt) - down) / (up - down)
    if not 0.0 < p < 1.0:
        raise ValueError("no risk-neutral probability")
    discount = math.exp(-rate * dt)
    sign = 1.0 if kind == "call" else -1.0
    values = [max(sign * (spot * up**j * down ** (n - j) - strike), 0.0) for j in range(n + 1)]
    for step in range(n - 1, -1, -1):
        for j in range(step + 1):
            hold = discount * (p * values[j + 1] + (1.0 - p) * values[j])
            exercise = sign * (spot * up**j * down ** (step - j) - strike)
            values[j] = exercise if exercise > hold else hold
    return values[0]


@example(np.array([0.02, 0.025, 0.03, 0.032]), 0.04)
def bootstrap_curve(par_rates, coupon):
    """Discount factors from par swap rates, then the price and yield of a bond."""
    factors = []
    for k, rate in enumerate(par_rates):
        annuity = sum(factors)
        factors.append((1.0 - rate * annuity) / (1.0 + rate))
        if factors[-1] <= 0:
            raise ArithmeticError(f"negative discount factor in year {k + 1}")
    price = sum(coupon * f for f in factors) + factors[-1]
    y = coupon
    for _ in range(50):
        value, slope = 0.0, 0.0
        for t in range(1, len(factors) + 1):
            flow = coupon + (1.0 if t == len(factors) else 0.0)
            value += flow / (1.0 + y) ** t
            slope -= t * flow / (1.0 + y) ** (t + 1)
        step = (value - price) / slope
        y -= step
        if abs(step) < 1e-12:
            break
    return y


@example(100.0, 0.2, 0.03)
def asian_option_paths(spot, sigma, rate):
    rng = np.random.default_rng(11)
    steps, paths = 12, 64
    dt = 1.0 / steps
    payoff = 0.0
    for _ in range(paths):
        s = spot
        mean = 0.0
        barrier_hit = False
        for _ in range(steps):
            z = rng.standard_normal()
            s *= math.exp((rate - 0.5 * sigma**2) * dt + sigma * math.sqrt(dt) * z)
            mean += s / steps
            if s > 140.0:
                barrier_hit = True
                break
        if not barrier_hit:
            payoff += max(mean - 100.0, 0.0)
    return math.exp(-rate) * payoff / paths


@example(10.45, 100.0, 100.0, 0.05, 1.0)
def implied_volatility(price, spot, strike, rate, maturity):
    def cdf(z):
        return 0.5 * math.erfc(-z / math.sqrt(2.0))

    def call(sigma):
        d1 = (math.log(spot / strike) + (rate + 0.5 * sigma**2) * maturity) / (sigma * math.sqrt(maturity))
        d2 = d1 - sigma * math.sqrt(maturity)
        vega = spot * math.sqrt(maturity) * math.exp(-0.5 * d1**2) / math.sqrt(2.0 * math.pi)
        return spot * cdf(d1) - strike * math.exp(-rate * maturity) * cdf(d2), vega

    sigma = 0.5
    for _ in range(40):
        value, vega = call(sigma)
        if vega < 1e-10:
            sigma *= 0.5
            continue
        step = (value - price) / vega
        sigma = max(sigma - step, 1e-4)
        if abs(step) < 1e-14:
            return sigma
    return sigma


@example(np.array([0.05, 0.1, 0.85]), np.array([0.5, -1.2, 0.3, 2.0, -0.4, 0.1, 1.1]))
def garch_likelihood(params, returns):
    omega, alpha, beta = params
    if alpha + beta >= 1.0:
        return 1e6 * (alpha + beta)
    variance = omega / (1.0 - alpha - beta)
    total = 0.0
    for r in returns:
        total += 0.5 * (np.log(2 * np.pi * variance) + r**2 / variance)
        variance = omega + alpha * r**2 + beta * variance
    return total


@example(0.4, 0.2, 0.3, np.array([10.0, 12.0, 9.0, 14.0, 13.0, 15.0, 11.0, 17.0]))
def holt_winters(alpha, beta, gamma, series):
    period = 4
    level = sum(series[:period]) / period
    trend = (sum(series[period : 2 * period]) - sum(series[:period])) / period**2
    season = [series[k] / level for k in range(period)]
    errors = []
    for t in range(len(series)):
        k = t % period
        forecast = (level + trend) * season[k]
        errors.append(series[t] - forecast)
        old = level
        level = alpha * series[t] / season[k] + (1 - alpha) * (level + trend)
        trend = beta * (level - old) + (1 - beta) * trend
        season[k] = gamma * series[t] / level + (1 - gamma) * season[k]
    return math.sqrt(sum(e * e for e in errors) / len(errors))


@example(np.array([[0.9, 0.1], [0.3, 0.7]]), np.array([0.2, 1.5, 1.4, 0.1, 0.3]), np.array([0.0, 1.3]))
def hidden_markov_likelihood(transition, observed, means):
    """The forward algorithm with scaling."""
    p = np.array([0.5, 0.5])
    likelihood = 0.0
    rows = transition / transition.sum(axis=1, keepdims=True)
    for t, value in enumerate(observed):
        if t > 0:
            p = p @ rows
        p = p * np.exp(-0.5 * (value - means) ** 2) / np.sqrt(2 * np.pi)
        scale = p.sum()
        likelihood += np.log(scale)
        p = p / scale
    return likelihood


@example(np.array([0.0, 1.0, 2.0, 1.0]), np.array([0.1, 0.9, 1.8, 2.1, 0.8]))
def dynamic_time_warping(a, b):
    n, m = len(a), len(b)
    cost = np.full((n + 1, m + 1), np.inf)
    cost[0, 0] = 0.0
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            step = min(cost[i - 1, j], cost[i, j - 1], cost[i - 1, j - 1])
            cost[i, j] = (a[i - 1] - b[j - 1]) ** 2 + step
    return cost[n, m]


@example(np.array([0.1, 0.3, 2.2, 2.6, 2.0, -0.2]), np.array([0.0, 2.0]))
def mixture_em(data, means):
    """Expectation-maximisation of two normal distributions."""
    spread = np.ones(2)
    weight = np.array([0.5, 0.5])
    for _ in range(5):
        density = np.empty((len(data), 2))
        for k in range(2):
            density[:, k] = weight[k] * np.exp(-0.5 * ((data - means[k]) / spread[k]) ** 2) / spread[k]
        share = density / density.sum(axis=1)[:, None]
        total = share.sum(axis=0)
        means = (share * data[:, None]).sum(axis=0) / total
        spread = np.sqrt((share * (data[:, None] - means) ** 2).sum(axis=0) / total + 1e-3)
        weight = total / len(data)
    return np.log(density.sum(axis=1)).sum()


@example(np.array([[0.0, 0.1], [0.2, 0.0], [3.0, 3.1], [2.9, 3.3]]), np.array([[0.0, 0.0], [1.0, 1.0]]))
def k_means(points, centres):
    centres = centres.copy()
    for _ in range(4):
        sums = np.zeros_like(centres)
        counts = np.zeros(len(centres))
        for p in points:
            nearest, best = 0, np.inf
            for k in range(len(centres)):
                d = np.sum((p - centres[k]) ** 2)
                if d < best:
                    nearest, best = k, d
            sums[nearest] += p
            counts[nearest] += 1
        for k in range(len(centres)):
            if counts[k] > 0:
                centres[k] = sums[k] / counts[k]
    return sum(min(np.sum((p - c) ** 2) for c in centres) for p in points)


class Layer:
    def __init__(self, w, b, activation="tanh"):
        self.w, self.b, self.activation = w, b, activation

    def __call__(self, x):
        z = x @ self.w + self.b
        if self.activation == "tanh":
            return np.tanh(z)
        return np.maximum(z, 0.01 * z) if self.activation == "relu" else z


@example(
    [np.array([[0.2, -0.5, 0.3], [0.1, 0.4, -0.2]]), np.array([0.0, 0.1, -0.1])],
    [np.array([[0.5], [-0.3], [0.8]]), np.array([0.05])],
    np.array([[0.5, 1.0], [-1.0, 0.3], [0.25, -0.4]]),
    np.array([1.0, 0.0, 1.0]),
)
def small_network(first, second, inputs, labels):
    model = [Layer(*first, activation="relu"), Layer(*second, activation="none")]
    x = inputs
    for layer in model:
        x = layer(x)
    logits = x[:, 0]
    loss = np.mean(np.logaddexp(0.0, logits) - labels * logits)
    return loss + 1e-2 * sum(np.sum(layer.w**2) for layer in model)


@example(np.array([0.5, -0.2]), np.array([[1.0, 0.2], [0.4, 1.5], [-0.3, 0.7]]), np.array([1.0, 0.0, 1.0]), 0.3)
def training_inside(w, x, y, rate):
    """Gradient descent written by hand inside the program, with early stopping."""
    best = math.inf
    patience = 0
    for _ in range(40):
        p = 1.0 / (1.0 + np.exp(-(x @ w)))
        loss = -np.mean(y * np.log(p) + (1.0 - y) * np.log(1.0 - p))
        slope = x.T @ (p - y) / len(y)
        w = w - rate * slope
        if loss < best - 1e-3:
            best = loss
            patience = 0
        else:
            patience += 1
            if patience > 2:
                break
    return best + 0.1 * np.sum(w**2)


@example(np.array([0.1, 0.2, 0.3]), 0.85)
def page_rank(weights, damping):
    links = {0: [1, 2], 1: [2], 2: [0, 1]}
    n = len(links)
    rank = [1.0 / n] * n
    for _ in range(60):
        new = [(1.0 - damping) * weights[k] for k in range(n)]
        for page, targets in links.items():
            for target in targets:
                new[target] += damping * rank[page] / len(targets)
        change = sum(abs(a - b) for a, b in zip(new, rank))
        rank = new
        if change < 1e-12:
            break
    return rank[0] + 2.0 * rank[1] ** 2


@example(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.1, 2.3, 2.9, 4.4]), 1.2, 0.1)
def gaussian_process(x, y, length, noise):
    k = np.exp(-0.5 * (x[:, None] - x[None, :]) ** 2 / length**2) + noise * np.eye(len(x))
    chol = np.linalg.cholesky(k)
    alpha = np.linalg.solve(chol.T, np.linalg.solve(chol, y))
    return 0.5 * y @ alpha + np.sum(np.log(np.diag(chol))) + 0.5 * len(x) * np.log(2 * np.pi)
