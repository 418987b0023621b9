"""Programs of 60 to 90 lines: flows, markets, reactions, structures."""

import math

import numpy as np

from tests.programs.catalog import example

G = 9.81
DRY = 1e-6


def minmod(a, b):
    return np.where(a * b > 0.0, np.where(np.abs(a) < np.abs(b), a, b), 0.0)


class Channel:
    """Water in a channel: depth and discharge per cell, finite volumes of second order."""

    def __init__(self, depth, bed, length, roughness):
        self.h = depth.copy()
        self.q = np.zeros(len(depth))
        self.bed = bed
        self.dx = length / len(depth)
        self.roughness = roughness
        self.time = 0.0

    def limited(self, u):
        """Values left and right of every face between cells, from limited slopes."""
        slope = np.zeros(len(u))
        slope[1:-1] = minmod(u[1:-1] - u[:-2], u[2:] - u[1:-1])
        left = u[:-1] + 0.5 * slope[:-1]
        right = u[1:] - 0.5 * slope[1:]
        return left, right

    def fluxes(self):
        hl, hr = self.limited(self.h)
        ql, qr = self.limited(self.q)
        hl, hr = np.maximum(hl, DRY), np.maximum(hr, DRY)
        ul, ur = ql / hl, qr / hr
        cl, cr = np.sqrt(G * hl), np.sqrt(G * hr)
        slow = np.minimum(ul - cl, ur - cr)
        fast = np.maximum(ul + cl, ur + cr)
        mass_l, mass_r = ql, qr
        push_l = ql * ul + 0.5 * G * hl**2
        push_r = qr * ur + 0.5 * G * hr**2
        gap = fast - slow
        mass = (fast * mass_l - slow * mass_r + fast * slow * (hr - hl)) / gap
        push = (fast * push_l - slow * push_r + fast * slow * (qr - ql)) / gap
        mass = np.where(slow > 0.0, mass_l, np.where(fast < 0.0, mass_r, mass))
        push = np.where(slow > 0.0, push_l, np.where(fast < 0.0, push_r, push))
        return mass, push

    def time_step(self, courant):
        speed = np.abs(self.q / np.maximum(self.h, DRY)) + np.sqrt(G * self.h)
        return courant * self.dx / np.max(speed)

    def advance(self, dt, inflow):
        mass, push = self.fluxes()
        h, q = self.h.copy(), self.q.copy()
        h[1:-1] -= dt / self.dx * (mass[1:] - mass[:-1])
        q[1:-1] -= dt / self.dx * (push[1:] - push[:-1])
        tilt = (self.bed[2:] - self.bed[:-2]) / (2.0 * self.dx)
        q[1:-1] -= dt * G * h[1:-1] * tilt
        drag = G * self.roughness**2 * np.abs(q) / np.maximum(h, DRY) ** (7.0 / 3.0)
        q = q / (1.0 + dt * drag)
        h[0], q[0] = h[1], inflow
        h[-1], q[-1] = h[-2], q[-2]
        h[h < DRY] = DRY
        self.h, self.q = h, q
        self.time += dt


@example(np.array([1.5, 1.38, 1.22, 1.1, 0.96, 0.8, 0.7, 0.58, 0.49, 0.43]), 0.5, 0.03, 0.4)
def flood_wave(depth, inflow, roughness, hump):
    """The water level at a gauge while a dam breaks, with friction and a hump in the bed."""
    cells = len(depth)
    place = (np.arange(cells) + 0.5) / cells
    bed = 0.1 * hump * np.exp(-(((place - 0.7) / 0.1) ** 2))
    channel = Channel(depth, bed, 20.0, roughness)
    gauge = []
    steps = 0
    while channel.time < 1.0 and steps < 60:
        dt = channel.time_step(0.4)
        if channel.time + dt > 1.0:
            dt = 1.0 - channel.time
        wave = inflow * (1.0 + 0.2 * math.sin(channel.time))
        channel.advance(dt, wave)
        gauge.append(channel.h[6] + channel.bed[6])
        steps += 1
    level = max(gauge)
    volume = channel.dx * np.sum(channel.h)
    froude = np.max(np.abs(channel.q) / channel.h / np.sqrt(G * channel.h))
    return level + 0.1 * volume + 0.05 * froude + gauge[0] * gauge[-1]


class Lattice:
    """A binomial tree with dividends, early exercise and a barrier."""

    def __init__(self, spot, rate, sigma, maturity, steps):
        self.spot = spot
        self.rate = rate
        self.steps = steps
        self.dt = maturity / steps
        self.up = math.exp(sigma * math.sqrt(self.dt))
        self.down = 1.0 / self.up
        self.discount = math.exp(-rate * self.dt)
        self.chance = (1.0 / self.discount - self.down) / (self.up - self.down)
        if not 0.0 < self.chance < 1.0:
            raise ValueError("the steps are too long for this volatility")

    def price_at(self, step, ups, dividends):
        price = self.spot * self.up**ups * self.down ** (step - ups)
        for when, share in dividends:
            if step >= when:
                price *= 1.0 - share
        return price

    def value(self, payoff, dividends, american, barrier):
        """Value and delta, backwards through the tree."""
        values = []
        for ups in range(self.steps + 1):
            price = self.price_at(self.steps, ups, dividends)
            values.append(payoff(price) if price < barrier else 0.0)
        slope = 0.0
        exercised = 0
        for step in range(self.steps - 1, -1, -1):
            following = []
            for ups in range(step + 1):
                kept = self.discount * (self.chance * values[ups + 1] + (1.0 - self.chance) * values[ups])
                price = self.price_at(step, ups, dividends)
                if price >= barrier:
                    kept = 0.0
                elif american:
                    now = payoff(price)
                    if now > kept:
                        kept = now
                        exercised += 1
                following.append(kept)
            if step == 1:
                high = self.price_at(1, 1, dividends)
                low = self.price_at(1, 0, dividends)
                slope = (following[1] - following[0]) / (high - low)
            values = following
        return values[0], slope, exercised


@example([100.3, 0.03, 0.25, 0.9], 103.7, 0.013, 12)
def lattice_desk(market, strike, dividend, steps):
    """A small book of options on a tree: puts, a call with a barrier, hedged by their deltas."""
    spot, rate, sigma, maturity = market

    def put(price):
        return max(strike - price, 0.0)

    def call(price):
        return max(price - 0.95 * strike, 0.0)

    dividends = [(steps // 3, dividend), (2 * steps // 3, 1.1 * dividend)]
    book = [
        ("american put", 2.0, put, True, math.inf),
        ("european put", -1.0, put, False, math.inf),
        ("knock-out call", 1.5, call, False, 1.45 * strike),
    ]
    tree = Lattice(spot, rate, sigma, maturity, steps)
    total = 0.0
    hedge = 0.0
    report = {}
    for name, quantity, payoff, american, barrier in book:
        price, slope, exercised = tree.value(payoff, dividends, american, barrier)
        if price < 0.0:
            raise ArithmeticError(f"negative price of the {name}")
        report[name] = (price, slope)
        total += quantity * price
        hedge -= quantity * slope
        if exercised > 0:
            total += 0.001 * exercised
    premium = report["american put"][0] - report["european put"][0]
    cost = 0.002 * abs(hedge) * spot
    return total + hedge * spot * 0.01 - cost + 0.1 * premium


class Mechanism:
    """Reversible reactions with Arrhenius rates, and the heat that they set free."""

    def __init__(self, barriers, factors, heat):
        self.barriers = barriers
        self.factors = factors
        self.heat = heat

    def constants(self, temperature):
        return [a * math.exp(-e / temperature) for a, e in zip(self.factors, self.barriers)]

    def rates(self, y, cooling):
        """Changes of fuel, radical, product and temperature."""
        fuel, radical, product, temperature = y
        k_start, k_branch, k_end, k_back = self.constants(temperature)
        start = k_start * fuel
        branch = k_branch * fuel * radical
        end = k_end * radical * radical
        back = k_back * product
        warming = sum(h * r for h, r in zip(self.heat, (start, branch, end, -back)))
        return [
            -start - branch + back,
            2.0 * start + branch - 2.0 * end,
            branch + end - back,
            warming - cooling * (temperature - 3.0),
        ]


TABLEAU = [
    [],
    [1 / 5],
    [3 / 40, 9 / 40],
    [44 / 45, -56 / 15, 32 / 9],
    [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
    [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
    [35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
]
ERROR = [71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40]


def dormand_prince(f, y, h):
    """One step of order 5 and the estimate of its error."""
    stages = []
    for row in TABLEAU:
        point = list(y)
        for weight, k in zip(row, stages):
            point = [p + h * weight * v for p, v in zip(point, k)]
        stages.append(f(point))
    estimate = [0.0] * len(y)
    for weight, k in zip(ERROR, stages):
        for n in range(len(y)):
            estimate[n] += h * weight * k[n]
    return point, estimate


def scaled_norm(estimate, old, new, tolerance):
    total = 0.0
    for e, a, b in zip(estimate, old, new):
        scale = tolerance * (1.0 + max(abs(a), abs(b)))
        total += (e / scale) ** 2
    return math.sqrt(total / len(estimate))


@example([9.0, 5.0, 2.0, 14.0], 0.35, 4.3)
def ignition_delay(barriers, cooling, hot):
    """When a mixture ignites, and how hot it becomes, by steps whose length is controlled."""
    mechanism = Mechanism(barriers, [6.0, 9.0, 1.5, 20.0], [0.4, 1.8, 0.9, 1.1])
    state = [1.0, 0.01, 0.0, hot]
    time, h = 0.0, 0.05
    accepted = rejected = 0
    ignited = False
    delay = 0.0
    hottest = hot
    while time < 1.5:
        h = min(h, 1.5 - time)
        new, estimate = dormand_prince(lambda y: mechanism.rates(y, cooling), state, h)
        size = scaled_norm(estimate, state, new, 1e-4)
        if size > 1.0:
            rejected += 1
            h *= max(0.2, 0.9 * size**-0.25)
            continue
        if not ignited and new[3] > hot + 0.1:
            share = (hot + 0.1 - state[3]) / (new[3] - state[3])
            delay = time + share * h
            ignited = True
        time += h
        accepted += 1
        state = new
        hottest = max(hottest, state[3])
        h *= min(4.0, 0.9 * (size + 1e-10) ** -0.2)
        if accepted + rejected > 300:
            raise RuntimeError("too many steps")
    if not ignited:
        delay = 1.5
    return delay + 0.2 * hottest + state[0] - 0.5 * state[1] + 0.001 * len(barriers)


class Material:
    """Steel that yields, hardens, and remembers."""

    def __init__(self, young, limit, hardening):
        self.young = young
        self.limit = limit
        self.hardening = hardening

    def respond(self, strain, plastic, grown):
        """Stress, tangent stiffness, and what is remembered."""
        trial = self.young * (strain - plastic)
        beyond = abs(trial) - (self.limit + self.hardening * grown)
        if beyond <= 0.0:
            return trial, self.young, plastic, grown
        flow = beyond / (self.young + self.hardening)
        sign = 1.0 if trial > 0.0 else -1.0
        stress = trial - self.young * flow * sign
        tangent = self.young * self.hardening / (self.young + self.hardening)
        return stress, tangent, plastic + flow * sign, grown + flow


NODES = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [0.5, 0.8], [1.5, 0.8]])
BARS = [(0, 1), (1, 2), (0, 3), (1, 3), (1, 4), (2, 4), (3, 4)]
FREE = [2, 3, 4, 6, 7, 8, 9]


def assemble(material, areas, u, memory):
    """Inner forces, stiffness matrix, and the new memory of all bars."""
    forces = np.zeros(2 * len(NODES))
    stiffness = np.zeros((2 * len(NODES), 2 * len(NODES)))
    remembered = []
    for k, (i, j) in enumerate(BARS):
        gap = NODES[j] - NODES[i]
        length = np.linalg.norm(gap)
        axis = gap / length
        strain = axis @ (u[2 * j : 2 * j + 2] - u[2 * i : 2 * i + 2]) / length
        stress, tangent, plastic, grown = material.respond(strain, *memory[k])
        remembered.append((plastic, grown))
        pull = areas[k] * stress * axis
        block = areas[k] * tangent / length * np.outer(axis, axis)
        for a, sign_a in ((i, -1.0), (j, 1.0)):
            forces[2 * a : 2 * a + 2] += sign_a * pull
            for b, sign_b in ((i, -1.0), (j, 1.0)):
                stiffness[2 * a : 2 * a + 2, 2 * b : 2 * b + 2] += sign_a * sign_b * block
    return forces, stiffness, remembered


@example(np.array([1.0, 1.1, 0.9, 0.8, 0.85, 0.95, 1.2]), 210.0, 0.36, 0.31)
def yielding_truss(areas, young, limit, peak):
    """Displacement of a truss that is loaded beyond yielding and released, by Newton's method."""
    material = Material(young, limit, 0.05 * young)
    free = np.array(FREE)
    u = np.zeros(2 * len(NODES))
    memory = [(0.0, 0.0)] * len(BARS)
    work = 0.0
    iterations = 0
    for level in [0.5, 1.0, 0.4]:
        load = np.zeros(2 * len(NODES))
        load[3] = -level * peak
        load[7] = -0.5 * level * peak
        before = u.copy()
        for _ in range(12):
            inner, stiffness, remembered = assemble(material, areas, u, memory)
            residual = (load - inner)[free]
            iterations += 1
            if np.sqrt(residual @ residual) < 1e-9:
                break
            u[free] += np.linalg.solve(stiffness[np.ix_(free, free)], residual)
        else:
            raise RuntimeError("no equilibrium")
        memory = remembered
        work += load @ (u - before)
    weight = sum(a * np.linalg.norm(NODES[j] - NODES[i]) for a, (i, j) in zip(areas, BARS))
    left = sum(abs(plastic) for plastic, _ in memory)
    sag = -u[3]
    drift = np.max(np.abs(u[::2]))
    if weight > 12.0:
        left += 0.1 * (weight - 12.0)
    price = 0.05 * weight * (limit / 0.35) ** 0.5
    used = work / (peak * limit)
    spread = np.max(areas) - np.min(areas)
    return 100.0 * sag + work + price + 10.0 * left + 5.0 * drift + 0.2 * used + 0.01 * spread
