"""Branches, loops and jumps."""

import math

import numpy as np

from tests.programs.catalog import example


@example(3.0, also=((0.5,), (-2.0,)))
def tax_bands(income):
    if income <= 0.0:
        return 0.0 * income
    elif income < 1.0:
        return 0.1 * income
    elif income < 2.5:
        return 0.1 + 0.2 * (income - 1.0)
    else:
        return 0.4 + 0.35 * (income - 2.5) ** 1.5


@example(0.3, also=((1.7,), (-0.4,)))
def nested_ternary(x):
    return x * x if x > 1.0 else math.exp(x) if x > 0.0 else -x


@example(7.3, also=((2.0,), (150.0,)))
def babylonian_root(x):
    guess = x
    while abs(guess * guess - x) > 1e-12 * x:
        guess = 0.5 * (guess + x / guess)
    return guess


@example(1.5, 3.0, also=((0.2, 3.0),))
def while_else(x, limit):
    n = 0
    while x < limit:
        x *= 1.3
        n += 1
        if n > 5:
            break
    else:
        x += 100.0
    return x


@example(np.array([0.3, 1.2, 4.0, 0.5]), 3.0, also=((np.array([0.3, 1.2, 0.5]), 3.0),))
def for_else_search(values, threshold):
    for v in values:
        if v > threshold:
            found = v
            break
    else:
        found = values[-1] * 2.0
    return found * found


@example(np.array([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]]), 6.0)
def leave_two_loops(table, budget):
    total = 0.0
    done = False
    for row in table:
        for cell in row:
            if total + abs(cell) > budget:
                done = True
                break
            total += abs(cell) * cell
        if done:
            break
    return total


@example(np.array([1.0, np.nan, 3.0, -4.0, 2.0]))
def skip_bad_samples(samples):
    total = 0.0
    used = 0
    for s in samples:
        if math.isnan(s):
            continue
        if s < 0:
            continue
        total += s**2
        used += 1
    return total / used


@example(np.array([0.1, 0.4, 0.9, 0.2]), 0.3, also=((np.array([0.1, 0.2]), 0.3),))
def first_crossing(signal, level):
    for k in range(1, len(signal)):
        if signal[k - 1] <= level < signal[k]:
            return k - 1 + (level - signal[k - 1]) / (signal[k] - signal[k - 1])
    return float(len(signal))


@example(2.0, "square", also=((2.0, "cube"), (2.0, "other")))
def match_literal(x, kind):
    match kind:
        case "square" | "sq":
            return x * x
        case "cube":
            return x**3
        case _:
            return math.sin(x)


@example(("move", 1.0, 2.0), 0.5, also=((("turn", 0.3), 0.5), (("stop",), 0.5)))
def match_sequence(command, speed):
    match command:
        case ("move", dx, dy):
            return speed * math.hypot(dx, dy)
        case ("turn", angle):
            return speed * math.cos(angle)
        case (name, *_):
            return speed * len(name)


@example({"type": "circle", "r": 2.0}, also=(({"type": "box", "w": 2.0, "h": 3.0},),))
def match_mapping(shape):
    match shape:
        case {"type": "circle", "r": r}:
            return math.pi * r**2
        case {"type": "box", "w": w, "h": h}:
            return w * h
        case _:
            return 0.0


@example(3, 0.7, also=((0, 0.7), (-4, 0.7), (12, 0.7)))
def match_guard(n, x):
    match n:
        case 0:
            return x
        case k if k < 0:
            return x * k
        case 1 | 2 | 3:
            return x**2
        case k:
            return x / k


@example(2.0, -1.0, also=((-2.0, 1.0), (2.0, 1.0), (-2.0, -1.0)))
def short_circuit(a, b):
    both = a > 0.0 and b > 0.0 and a / b > 0.5
    either = a > 3.0 or b > 0.0 or a * b > 1.0
    if both and not either:
        return a
    return a * b if either else a - b


@example(0.4, also=((1.4,), (-0.4,), (2.7,)))
def chained_comparison(x):
    if 0.0 <= x < 1.0:
        return x * x
    return x if -1.0 < x < 0.0 or 2.0 < x <= 3.0 else 1.0 / x


@example(9.0, also=((0.55,),))
def walrus_in_while(x):
    steps = 0.0
    while (half := 0.5 * x) > 0.1:
        x = half - 0.05
        steps += x
    return steps + x


@example(3, 1.5, also=((4, 1.5), (8, 1.5)))
def membership(n, x):
    if n in (1, 3, 5):
        x *= 2.0
    if n not in [2, 4]:
        x += 1.0
    return x if n in range(2, 6) else -x


@example(0.9, also=((0.2,), (5.0,)))
def loop_until_return(x):
    k = 0
    while True:
        k += 1
        x = x * x + 0.1
        if x > 2.0:
            return x / k
        if k == 12:
            return x


@example(27, 1.01, also=((1, 1.01), (6, 1.01)))
def collatz_weights(n, w):
    total = 1.0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        total = total * w + 0.001 * n
    return total


@example(2.0, 5.0)
def bisection(a, target):
    low, high = 0.0, target
    for _ in range(60):
        mid = 0.5 * (low + high)
        if mid * mid * a < target:
            low = mid
        else:
            high = mid
    x = 0.5 * (low + high)
    # One Newton step gives the derivative to the value that bisection has found.
    return x - (x * x * a - target) / (2.0 * x * a)


@example(np.array([5.0, 3.0, 8.0, 1.0, 9.0, 2.0]))
def count_down(x):
    total = 0.0
    for i in range(len(x) - 1, -1, -2):
        total = 0.5 * total + x[i]
    for i in range(1, len(x), 3):
        total -= x[i] ** 2 * i
    return total


@example(np.array([5.0, 3.0, 8.0, 1.0, 9.0, 2.0]), 4, also=((np.array([5.0, 3.0, 8.0]), 2),))
def triangle_of_pairs(x, reach):
    energy = 0.0
    for i in range(len(x)):
        for j in range(i + 1, min(i + reach, len(x))):
            energy += abs(x[i] - x[j]) / (j - i)
    return energy


@example(1.2, 4, also=((1.2, 0),))
def int_becomes_float(x, n):
    total = 0
    for k in range(n):
        total += x**k
    return total * x


@example(np.array([1.0, 2.0, 0.5]), also=((np.array([3.0]),), (np.array([0.1, 4.0]),)))
def best_so_far(scores):
    best = None
    for s in scores:
        if best is None or s > best:
            best = s
    return best * 2.0


@example(0.7, 10, also=((0.7, 3),))
def state_machine(x, steps):
    state = "heat"
    total = 0.0
    for _ in range(steps):
        if state == "heat":
            x += 0.3
            if x > 1.5:
                state = "cool"
        elif state == "cool":
            x *= 0.6
            if x < 0.8:
                state = "heat"
        total += x
    return total


@example(np.array([0.2, -0.4, 1.3]))
def assert_and_go_on(x):
    assert len(x) > 0, "no data"
    assert np.all(np.isfinite(x))
    return float(np.sum(x**3))


@example(4.0, 1.0, also=((1.0, 4.0),))
def swap_to_order(a, b):
    if a > b:
        a, b = b, a
    return (b - a) * a


@example(0.3, also=((-0.3,),))
def flags(x):
    positive = x > 0
    large = abs(x) > 0.2
    weight = 2 * positive + 3 * large - (positive ^ large)
    return x * weight + (positive and large)


@example(5, 0.5, also=((0, 0.5), (1, 0.5)))
def two_term_recurrence(n, x):
    a, b = 1.0, x
    for _ in range(n):
        a, b = b, x * b - 0.3 * a
    return a


@example(12.7, 0.9, also=((-3.2, 0.9),))
def range_of_a_float(x, r):
    total = x
    for k in range(int(abs(x))):
        total += r**k
    return total


@example(np.array([3.0, 1.0, 2.0]), np.array([1.0, 0.5, 0.25, 4.0]))
def loop_over_two_lengths(x, y):
    total = 0.0
    for i, a in enumerate(x):
        for j, b in enumerate(y):
            if (i + j) % 2:
                total += a * b
            elif a > b:
                total -= b
    return total
