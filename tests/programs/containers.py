"""Lists, dicts, tuples, sets and deques as the state of a program."""

from collections import Counter, OrderedDict, defaultdict, deque

import numpy as np

from tests.programs.catalog import example


@example(2.0, 0.5, 40, also=((2.0, 0.5, 3),))
def append_in_a_loop(x, rate, n):
    path = []
    for _ in range(n):
        x = x - rate * x * (1.0 - 0.1 * x)
        path.append(x)
    return sum(path) + path[-1] * len(path)


@example(3.0, 0.8, also=((0.5, 0.8),))
def append_in_a_while(x, factor):
    path = [x]
    while path[-1] > 0.2:
        path.append(path[-1] * factor)
    return float(np.sum(np.array(path) ** 2))


@example(np.array([1.0, -2.0, 3.0, -4.0, 5.0]), also=((np.array([-1.0, -2.0]),),))
def append_under_a_test(x):
    positive = []
    for v in x:
        if v > 0:
            positive.append(v * v)
    total = 0.0
    for k, p in enumerate(positive):
        total += p / (k + 1)
    return total


@example(np.array([1.0, 5.0, 2.0, 0.5, 3.0]))
def stack_of_numbers(x):
    """The stock span problem: a stack of positions."""
    stack = []
    total = 0.0
    for i in range(len(x)):
        while stack and x[stack[-1]] <= x[i]:
            stack.pop()
        span = i - stack[-1] if stack else i + 1
        total += span * x[i]
        stack.append(i)
    return total


@example(1.0, 2.0, 3.0)
def list_edits(a, b, c):
    items = [a, b]
    items.extend([c, a * b])
    items.insert(1, b * c)
    last = items.pop()
    items[0] = items[0] * 2.0
    items[1:3] = [a, a + b, c]
    del items[-1]
    items.reverse()
    items += [last]
    return sum(v * (k + 1) for k, v in enumerate(items)) + items.index(last)


@example([[1.0, 2.0], [3.0, 4.0]], [[0.5, -1.0], [2.0, 0.1]])
def matrix_of_lists(a, b):
    n = len(a)
    product = [[0.0 for _ in range(n)] for _ in range(n)]
    for i in range(n):
        for j in range(n):
            for k in range(n):
                product[i][j] += a[i][k] * b[k][j]
    return product[0][0] * product[1][1] - product[0][1] * product[1][0]


@example(np.array([[2.0, 1.0, 1.0], [1.0, 3.0, 2.0], [1.0, 0.0, 4.0]]), np.array([1.0, 2.0, 3.0]))
def elimination_on_lists(matrix, rhs):
    n = len(rhs)
    rows = [[*matrix[i], rhs[i]] for i in range(n)]
    for k in range(n):
        for i in range(k + 1, n):
            factor = rows[i][k] / rows[k][k]
            for j in range(k, n + 1):
                rows[i][j] -= factor * rows[k][j]
    x = [0.0] * n
    for i in range(n - 1, -1, -1):
        x[i] = (rows[i][n] - sum(rows[i][j] * x[j] for j in range(i + 1, n))) / rows[i][i]
    return x


@example({"rate": 0.1, "capacity": 5.0}, 1.0)
def dict_parameters(params, x):
    for _ in range(25):
        x += params["rate"] * x * (1.0 - x / params["capacity"])
    return x


@example(1.0, 0.4)
def dict_as_state(x, rate):
    state = {"s": 1.0 - 0.1 * x, "i": 0.1 * x, "r": 0.0}
    for _ in range(30):
        new = rate * state["s"] * state["i"]
        state["s"] -= new
        state.update(i=state["i"] + new - 0.1 * state["i"], r=state["r"] + 0.1 * state["i"])
    return {name: value * 100.0 for name, value in state.items()}


@example(np.array([1.0, 2.0, 3.0, 4.0]))
def counting_dicts(x):
    groups = defaultdict(float)
    count = Counter()
    for k, v in enumerate(x):
        groups["even" if k % 2 == 0 else "odd"] += v * v
        count[k % 2] += 1
    ordered = OrderedDict(sorted(groups.items()))
    return sum(v / (k + 1) for k, v in enumerate(ordered.values())) + count[0]


@example(1.5, "mean", also=((1.5, "none"),))
def dict_lookups(x, key):
    table = {"mean": 0.5, "spread": 2.0}
    extra = table.setdefault("bias", x)
    total = table.get(key, -1.0) * x + extra
    if key in table:
        total += table.pop(key)
    return total + sum(table.values()) + len(table)


@example(np.array([1.0, 2.0, 4.0, 8.0, 16.0, 3.0]), 3)
def moving_window(x, width):
    window = deque(maxlen=width)
    total = 0.0
    for v in x:
        window.append(v)
        total += sum(window) / len(window)
    return total


@example(np.array([5.0, 1.0, 2.0]), 6)
def round_robin(jobs, rounds):
    queue = deque(jobs)
    waited = 0.0
    for _ in range(rounds):
        job = queue.popleft()
        waited += job
        queue.append(0.5 * job)
    queue.rotate(1)
    return waited + queue[0]


@example(np.array([0.5, -0.3, 0.8]))
def tuples_as_state(x):
    state = (0.0, 1.0)
    history = ()
    for v in x:
        position, momentum = state
        state = (position + momentum * v, momentum - v)
        history += (state[0],)
    return sum(history) * state[1]


@example(np.array([1.0, 2.0, 3.0, 4.0]), 4)
def array_of_list(x, n):
    rows = []
    for k in range(n):
        rows.append([x[k], x[k] ** 2, 1.0])
    design = np.array(rows)
    return np.sum(design.T @ design) + design[0, 1] * design[-1, 0]


@example(2.0, 6)
def list_of_arrays(x, n):
    states = [np.array([x, 1.0])]
    for _ in range(n):
        last = states[-1]
        states.append(last + 0.1 * np.array([last[1], -last[0]]))
    return np.stack(states).sum(axis=0)


@example([1.0, 2.0, 3.0])
def nested_structures(x):
    model = {"layers": [{"w": v, "b": 0.1 * v} for v in x], "meta": ("relu", 2)}
    y = 1.0
    for layer in model["layers"]:
        y = layer["w"] * y + layer["b"]
        layer["w"] *= 0.5
    return y + sum(layer["w"] for layer in model["layers"]) * model["meta"][1]


@example(np.array([3.0, 1.0, 2.0]))
def sharing(x):
    a = [x[0], x[1]]
    b = a
    b.append(x[2])
    c = list(a)
    c[0] = 100.0
    return a[0] * a[2] + len(b) + c[0]


@example(7, 1.1, also=((2, 1.1),))
def fibonacci_memo(n, x):
    memo = {0: 1.0, 1: x}

    def value(k):
        if k not in memo:
            memo[k] = value(k - 1) * x + value(k - 2)
        return memo[k]

    return value(n)


@example(np.array([0.3, 0.9, 0.1, 0.7]), 2)
def dynamic_table(cost, n):
    best = [0.0] * (len(cost) + 1)
    for i in range(1, len(cost) + 1):
        options = []
        for jump in range(1, n + 1):
            if i - jump >= 0:
                options.append(best[i - jump] + cost[i - 1] * jump)
        best[i] = min(options)
    return best[-1]


@example(np.array([4.0, 1.0, 3.0, 2.0]))
def insertion_sort(x):
    items = list(x)
    for i in range(1, len(items)):
        k = i
        while k > 0 and items[k - 1] > items[k]:
            items[k - 1], items[k] = items[k], items[k - 1]
            k -= 1
    return sum(v * i for i, v in enumerate(items))


@example(np.array([0.5, 1.5, 2.5]), 0.3)
def slices_of_lists(x, k):
    items = [v * k for v in x] + [0.0] * 2
    head, tail = items[:2], items[-3:]
    return sum(a * b for a, b in zip(head, tail)) + sum(items[::-2]) + sum(items * 2)


@example(0.5, ["a", "b", "c"])
def strings_and_sets(x, names):
    weights = dict(zip(names, range(1, 4)))
    chosen = {name for name in names if name != "b"}
    total = 0.0
    for name in sorted(chosen | {"b"}):
        total += weights[name] * x ** len(f"{name}:{weights[name]:>3d}")
    return total


@example(
    np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
    4.5,
    also=((np.array([1.0, 9.0, 3.0]), 4.5),),
    eager="the data choose which of two lists grows",
)
def split_by_threshold(x, limit):
    low, high = [], []
    for v in x:
        (low if v < limit else high).append(v)
    return sum(low) * 2.0 - sum(high) * len(low)


@example(3.0, also=((10.0,), (0.5,)))
def work_list(x):
    """Pieces are split until they are small; a list is the stack."""
    work = [x]
    total = 0.0
    while work:
        piece = work.pop()
        if piece > 1.0:
            work.append(0.3 * piece)
            work.append(0.6 * piece)
        else:
            total += piece * piece
    return total


@example(np.array([3.0, 1.0, 2.5, 4.0]), 1.5, also=((np.array([2.0, 5.0, 2.6]), 10.0),))
def trimmed_mean(values, limit):
    kept = sorted([v for v in values if v > limit])
    return sum(kept) / len(kept) + kept[0] if kept else values[0] * limit


@example(np.array([2.0, -1.0, 3.0, 0.5]), also=((np.array([0.5, 0.7, -2.0]),),))
def best_candidates(x):
    candidates = [(v * v - v, k) for k, v in enumerate(x) if v * v > v]
    first = max(candidates, key=lambda pair: pair[0])
    candidates.sort()
    return first[0] * (first[1] + 1) + candidates[-1][0]


@example(1.3, 12, also=((1.3, 2),))
def window_that_fills_up(x, n):
    window, total = deque(maxlen=4), 0.0
    for k in range(n):
        if x * k > 1.0:
            window.append(x * k)
        total += sum(window) / max(len(window), 1)
    return total


@example(0.7, also=((-0.7,), (2.2,)))
def tokens_taken_in_a_branch(x):
    tokens = iter([x, 2.0 * x, 3.0 * x])
    first = next(tokens) if x > 0 else 1.0
    total = 0.0
    for token in tokens:
        if total > 3.0:
            break
        total += token * first
    return total + next(tokens, 0.5)
