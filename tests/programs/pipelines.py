"""Longer programs: whole pipelines of several functions and classes."""

import math
from collections import namedtuple
from dataclasses import dataclass, field

import numpy as np

from tests.programs.catalog import example

Reading = namedtuple("Reading", "time value weight")


@example(np.array([0.1, 0.5, 0.4, 0.9, 1.4]), np.array([1.0, 0.8, 1.1, 0.2, 0.9]), 0.7)
def clean_and_fit_a_line(times, values, cutoff):
    """Weighted least squares with outliers weighed down twice."""
    readings = [Reading(t, v, 1.0) for t, v in zip(times, values)]
    slope, offset = 0.0, 0.0
    for _ in range(3):
        sw = sx = sy = sxx = sxy = 0.0
        for r in readings:
            sw += r.weight
            sx += r.weight * r.time
            sy += r.weight * r.value
            sxx += r.weight * r.time**2
            sxy += r.weight * r.time * r.value
        slope = (sw * sxy - sx * sy) / (sw * sxx - sx**2)
        offset = (sy - slope * sx) / sw
        adjusted = []
        for r in readings:
            residual = r.value - slope * r.time - offset
            weight = 1.0 if abs(residual) < 0.1 * cutoff else 0.1 * cutoff / abs(residual)
            adjusted.append(r._replace(weight=weight))
        readings = adjusted
    spread = sum(r.weight * (r.value - slope * r.time - offset) ** 2 for r in readings)
    return slope + 0.5 * offset + spread


@dataclass
class Tank:
    area: float
    level: float
    outlet: float
    history: list = field(default_factory=list)

    def flow(self):
        return self.outlet * math.sqrt(2.0 * 9.81 * self.level) if self.level > 0.0 else 0.0

    def step(self, inflow, dt):
        outflow = self.flow()
        self.level = max(self.level + dt * (inflow - outflow) / self.area, 0.0)
        self.history.append(self.level)
        return outflow


@example(1.2, 0.8, 0.05, 0.11)
def cascade_of_tanks(first_area, second_area, outlet, feed):
    tanks = [Tank(first_area, 0.4, outlet), Tank(second_area, 0.2, 0.8 * outlet)]
    spilled = 0.0
    for step in range(60):
        inflow = feed if step % 20 < 10 else 0.3 * feed
        for tank in tanks:
            inflow = tank.step(inflow, 0.5)
        if tanks[-1].level > 0.25:
            spilled += 0.5 * (tanks[-1].level - 0.25)
    highest = [max(tank.history) for tank in tanks]
    return spilled + sum(highest) + tanks[0].history[10] - tanks[1].history[-1]


class Momentum:
    """Gradient descent with momentum and a rate that falls when there is no progress."""

    def __init__(self, rate, momentum):
        self.rate = rate
        self.momentum = momentum
        self.velocity = None
        self.best = math.inf
        self.waited = 0

    def step(self, params, slopes, loss):
        if self.velocity is None:
            self.velocity = [0.0 * s for s in slopes]
        if loss < self.best - 1e-4:
            self.best = loss
            self.waited = 0
        else:
            self.waited += 1
        if self.waited > 3:
            self.rate *= 0.5
            self.waited = 0
        self.velocity = [self.momentum * v - self.rate * s for v, s in zip(self.velocity, slopes)]
        return [p + v for p, v in zip(params, self.velocity)]


@example(0.2, 0.6, np.array([0.5, 1.0, 1.5, 2.0]), np.array([0.4, 0.55, 0.72, 0.81]))
def meta_learning(rate, momentum, x, y):
    """The final loss of a hand-written training loop, as a function of its hyperparameters."""
    params = [0.3, 0.1]
    optimiser = Momentum(rate, momentum)
    loss = 0.0
    for _ in range(15):
        a, b = params
        prediction = 1.0 - np.exp(-a * x - b)
        error = prediction - y
        loss = np.mean(error**2)
        outer = 2.0 * error * np.exp(-a * x - b) / len(x)
        params = optimiser.step(params, [np.sum(outer * x), np.sum(outer)], loss)
    return loss + 0.01 * optimiser.rate


def parse(text):
    """Tokens of a formula in postfix notation."""
    tokens = []
    for word in text.split():
        try:
            tokens.append(float(word))
        except ValueError:
            tokens.append(word)
    return tokens


@example({"x": 1.5, "y": 0.4}, "x y * 2 + sin x 3 ^ / y exp -")
def formula_interpreter(variables, text):
    operators = {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "*": lambda a, b: a * b,
        "/": lambda a, b: a / b,
        "^": lambda a, b: a**b,
    }
    functions = {"sin": math.sin, "exp": math.exp}
    stack = []
    for token in parse(text):
        if isinstance(token, float):
            stack.append(token)
        elif token in operators:
            right, left = stack.pop(), stack.pop()
            stack.append(operators[token](left, right))
        elif token in functions:
            stack.append(functions[token](stack.pop()))
        elif token in variables:
            stack.append(variables[token])
        else:
            raise KeyError(f"unknown name {token}")
    if len(stack) != 1:
        raise ValueError("not a formula")
    return stack[0]


@example(np.array([[0.0, 0.0], [1.0, 0.2], [1.3, 1.1], [0.1, 0.9]]), 0.3)
def polygon_pipeline(corners, shrink):
    """Area, centroid and perimeter of a polygon before and after smoothing its corners."""

    def measure(points):
        area = cx = cy = length = 0.0
        n = len(points)
        for k in range(n):
            x0, y0 = points[k]
            x1, y1 = points[(k + 1) % n]
            cross = x0 * y1 - x1 * y0
            area += 0.5 * cross
            cx += (x0 + x1) * cross
            cy += (y0 + y1) * cross
            length += math.hypot(x1 - x0, y1 - y0)
        return area, cx / (6.0 * area), cy / (6.0 * area), length

    before = measure(corners)
    smooth = np.zeros((2 * len(corners), 2))
    for k in range(len(corners)):
        following = corners[(k + 1) % len(corners)]
        smooth[2 * k] = (1.0 - shrink) * corners[k] + shrink * following
        smooth[2 * k + 1] = shrink * corners[k] + (1.0 - shrink) * following
    after = measure(smooth)
    return sum((a - b) ** 2 for a, b in zip(before, after)) + after[0] / after[3] ** 2


@example(np.array([10.0, 12.0, 11.0, 15.0, 14.0, 18.0, 17.0, 16.0]), 0.4, 0.15)
def trading_strategy(prices, fast, slow):
    """Two moving averages, positions with costs, and the ratio of mean and spread of the returns."""
    cash, shares = 100.0, 0.0
    quick = calm = prices[0]
    values = []
    trades = 0
    for price in prices:
        quick += fast * (price - quick)
        calm += slow * (price - calm)
        if quick > calm * 1.01 and shares == 0.0:
            shares = 0.9 * cash / price
            cash -= shares * price * 1.002
            trades += 1
        elif quick < calm and shares > 0.0:
            cash += shares * price * 0.998
            shares = 0.0
            trades += 1
        values.append(cash + shares * price)
    returns = [(values[k] - values[k - 1]) / values[k - 1] for k in range(1, len(values))]
    mean = sum(returns) / len(returns)
    spread = math.sqrt(sum((r - mean) ** 2 for r in returns) / len(returns) + 1e-8)
    return mean / spread + 0.001 * trades


@example(np.array([0.9, 0.3, 0.5]), np.array([1.0, 0.4, 0.2, 0.7, 0.1, 0.6]), 2)
def blind_deconvolution_loss(kernel, observed, iterations):
    """Normalise a kernel, invert a blur by fixed-point iterations, and measure what is left."""
    total = 0.0
    for k in kernel:
        total += abs(k)
    if total == 0.0:
        raise ZeroDivisionError("empty kernel")
    weights = kernel / total

    def blur(signal):
        n, half = len(signal), len(weights) // 2
        out = np.zeros(n)
        for i in range(n):
            for j in range(len(weights)):
                at = i + j - half
                if 0 <= at < n:
                    out[i] += weights[j] * signal[at]
        return out

    estimate = observed.copy()
    for _ in range(iterations):
        estimate = estimate + 0.7 * (observed - blur(estimate))
        estimate[estimate < 0.0] = 0.0
    left = observed - blur(estimate)
    roughness = np.sum(np.diff(estimate) ** 2)
    return np.sum(left**2) + 0.05 * roughness


@example(0.35, 0.6, 12, also=((0.9, 0.2, 5),))
def chemistry_with_events(rate, threshold, steps):
    """Two reactions; a feed is switched on when a concentration falls, and off again."""
    a, b, c = 1.0, 0.0, 0.0
    feeding = False
    events = []
    time = 0.0
    for _ in range(steps):
        dt = 0.25
        for _ in range(4):
            r1 = rate * a * a
            r2 = 0.5 * rate * b
            feed = 0.3 if feeding else 0.0
            a += 0.25 * dt * (feed - r1)
            b += 0.25 * dt * (r1 - r2)
            c += 0.25 * dt * r2
        time += dt
        if not feeding and a < threshold:
            feeding = True
            events.append(time * a)
        elif feeding and a > 1.3 * threshold:
            feeding = False
            events.append(-time * b)
    total = a + b + c
    if total <= 0.0:
        raise ArithmeticError("mass is lost")
    return c / total + sum(events)


@example(np.array([[0.2, 0.5], [0.9, 0.1], [0.4, 0.8]]), np.array([0.3, -0.6]), 0.5)
def decision_stumps(features, thresholds, sharpness):
    """A small boosted ensemble with smooth splits, weights updated after each round."""
    labels = [1.0, -1.0, 1.0]
    weights = [1.0 / len(labels)] * len(labels)
    score = [0.0] * len(labels)
    for column in range(2):
        votes = []
        for row in range(len(labels)):
            margin = (features[row, column] - thresholds[column]) / sharpness
            votes.append(math.tanh(margin))
        error = sum(w * 0.5 * (1.0 - v * y) for w, v, y in zip(weights, votes, labels))
        error = min(max(error, 1e-6), 1.0 - 1e-6)
        strength = 0.5 * math.log((1.0 - error) / error)
        for row in range(len(labels)):
            score[row] += strength * votes[row]
            weights[row] *= math.exp(-strength * votes[row] * labels[row])
        norm = sum(weights)
        weights = [w / norm for w in weights]
    return sum(math.log1p(math.exp(-s * y)) for s, y in zip(score, labels))
