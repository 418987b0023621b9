"""Programs of 60 to 90 lines: robots, tracking, epidemics, orbits."""

import math
from dataclasses import dataclass, field

import numpy as np

from tests.programs.catalog import example

GRAVITY = 9.81


@dataclass
class Ground:
    stiffness: float
    damping: float
    friction: float
    height: float = 0.0

    def force(self, x, y, vx, vy):
        """Normal and tangential force on a point; none in the air."""
        depth = self.height + 0.02 * math.sin(3.0 * x) - y
        if depth <= 0.0:
            return 0.0, 0.0
        normal = self.stiffness * depth - self.damping * vy * depth
        if normal < 0.0:
            normal = 0.0
        slip = vx / math.sqrt(vx**2 + 1e-4)
        return -self.friction * normal * slip, normal


@dataclass
class Hopper:
    """A body on a springy leg with a foot, in the plane."""

    mass: float
    foot_mass: float
    leg: float
    spring: float
    ground: Ground
    x: float = 0.0
    y: float = 0.9
    vx: float = 0.4
    vy: float = 0.0
    angle: float = 0.1
    foot: list = field(default_factory=lambda: [0.08, 0.12, 0.0, 0.0])
    stance: bool = False
    hops: int = 0

    def leg_force(self, thrust):
        dx, dy = self.x - self.foot[0], self.y - self.foot[1]
        length = math.hypot(dx, dy)
        rate = ((self.vx - self.foot[2]) * dx + (self.vy - self.foot[3]) * dy) / length
        push = self.spring * (self.leg - length) - 4.0 * rate
        if self.stance:
            push += thrust
        return push * dx / length, push * dy / length

    def step(self, thrust, swing, dt):
        fx, fy = self.leg_force(thrust)
        gx, gy = self.ground.force(*self.foot)
        touching = gy > 0.0
        if touching and not self.stance:
            self.hops += 1
        self.stance = touching
        if not touching:
            wanted = self.x + self.leg * math.sin(swing)
            gx += 6.0 * (wanted - self.foot[0]) - 0.8 * self.foot[2]
        self.vx += dt * fx / self.mass
        self.vy += dt * (fy / self.mass - GRAVITY)
        self.foot[2] += dt * (gx - fx) / self.foot_mass
        self.foot[3] += dt * ((gy - fy) / self.foot_mass - GRAVITY)
        self.x += dt * self.vx
        self.y += dt * self.vy
        for k in range(2):
            self.foot[k] += dt * self.foot[2 + k]
        return abs(fx * self.vx + fy * self.vy) * dt


@example(12.0, 0.15, 220.0, 0.7)
def hopping_robot(thrust, swing, spring, friction):
    """Cost of transport of a hopping leg with contact and friction, explicit steps."""
    ground = Ground(4000.0, 300.0, friction)
    robot = Hopper(3.0, 0.4, 0.8, spring, ground)
    dt = 0.002
    energy = 0.0
    highest = robot.y
    fallen = False
    for step in range(120):
        lean = 0.05 if step < 60 else -0.05
        gain = 0.1 * (robot.vx - 0.5)
        energy += robot.step(thrust, swing + lean + gain, dt)
        highest = max(highest, robot.y)
        if robot.y < 0.3:
            fallen = True
            break
    travelled = robot.x
    cost = energy / (robot.mass * GRAVITY * (abs(travelled) + 0.1))
    if fallen:
        cost += 10.0 * (0.3 - robot.y) ** 2
    penalty = max(0.0, highest - 0.88) ** 2 + 0.01 * robot.hops
    dx = robot.x - robot.foot[0]
    dy = robot.y - robot.foot[1]
    lean = math.atan2(dx, dy)
    speed = math.hypot(robot.vx, robot.vy)
    if speed > 2.0:
        penalty += (speed - 2.0) ** 2
    return cost + penalty + 0.1 * lean**2 - 0.5 * robot.vx + 0.1 * robot.foot[0]


class Beacon:
    def __init__(self, x, y, noise):
        self.position = np.array([x, y])
        self.noise = noise

    def measure(self, state):
        """Distance and bearing as seen from the vehicle, with the Jacobian."""
        gap = self.position - state[:2]
        square = gap @ gap
        distance = np.sqrt(square)
        bearing = wrap(np.arctan2(gap[1], gap[0]) - state[2])
        slopes = np.zeros((2, len(state)))
        slopes[0, :2] = -gap / distance
        slopes[1, 0] = gap[1] / square
        slopes[1, 1] = -gap[0] / square
        slopes[1, 2] = -1.0
        return np.array([distance, bearing]), slopes


def wrap(angle):
    while angle > math.pi:
        angle -= 2.0 * math.pi
    while angle < -math.pi:
        angle += 2.0 * math.pi
    return angle


class Tracker:
    """An extended Kalman filter for position, heading and speed."""

    def __init__(self, start, spread, drift):
        self.x = np.array(start)
        self.P = np.diag(spread) ** 2
        self.Q = np.diag(drift) ** 2
        self.loss = 0.0
        self.rejected = 0

    def predict(self, turn, dt):
        heading, speed = self.x[2], self.x[3]
        c, s = np.cos(heading), np.sin(heading)
        self.x = self.x + dt * np.array([speed * c, speed * s, turn, 0.0])
        F = np.eye(4)
        F[0, 2], F[0, 3] = -dt * speed * s, dt * c
        F[1, 2], F[1, 3] = dt * speed * c, dt * s
        self.P = F @ self.P @ F.T + dt * self.Q

    def update(self, beacon, seen):
        expected, H = beacon.measure(self.x)
        innovation = seen - expected
        innovation[1] = wrap(innovation[1])
        R = np.diag(beacon.noise**2 * np.array([1.0, 0.25]))
        S = H @ self.P @ H.T + R
        weighted = np.linalg.solve(S, innovation)
        distance = innovation @ weighted
        if distance > 25.0:
            self.rejected += 1
            return
        gain = np.linalg.solve(S, H @ self.P).T
        self.x = self.x + gain @ innovation
        left = np.eye(4) - gain @ H
        self.P = left @ self.P @ left.T + gain @ R @ gain.T
        self.loss += 0.5 * (distance + np.log(np.linalg.det(S)))


SIGHTINGS = np.array([[5.1, 0.62, 4.0, -0.9], [4.6, 0.58, 4.1, -1.1], [4.2, 0.49, 9.0, -2.9], [3.7, 0.41, 4.5, -1.6]])


@example(0.15, 0.05, np.array([0.0, 0.0, 0.3, 1.0]), SIGHTINGS)
def beacon_tracking(noise, drift, start, sightings):
    """Likelihood of what a vehicle saw of two beacons; outliers are left out."""
    beacons = [Beacon(4.0, 3.5, noise), Beacon(3.5, -2.5, 2.0 * noise)]
    tracker = Tracker(start, [0.5, 0.5, 0.3, 0.4], drift * np.array([0.5, 0.5, 1.0, 2.0]))
    turns = [0.1, 0.0, -0.1, 0.05]
    trail = []
    for turn, seen in zip(turns, sightings):
        tracker.predict(turn, 0.5)
        for k, beacon in enumerate(beacons):
            tracker.update(beacon, seen[2 * k : 2 * k + 2])
        trail.append(tracker.x[:2])
    path = np.array(trail)
    closest = min(np.linalg.norm(beacon.position - point) for beacon in beacons for point in path)
    if closest < 0.5:
        tracker.loss += 10.0 * (0.5 - closest)
    speed = tracker.x[3]
    heading = wrap(tracker.x[2])
    length = np.sum(np.sqrt(np.sum(np.diff(path, axis=0) ** 2, axis=1)))
    return tracker.loss + 0.1 * tracker.rejected + 0.05 * length + np.trace(tracker.P) + 0.01 * (speed * heading + closest)


@dataclass
class Region:
    """Compartments per age group: susceptible, exposed, infectious, recovered, dead."""

    s: np.ndarray
    e: np.ndarray
    i: np.ndarray
    r: np.ndarray
    d: np.ndarray

    @property
    def alive(self):
        return self.s + self.e + self.i + self.r

    def day(self, contacts, beta, sigma, gamma, lethality, doses):
        force = beta * (contacts @ (self.i / self.alive))
        exposed = np.minimum(force * self.s, 0.9 * self.s)
        onset = sigma * self.e
        over = gamma * self.i
        vaccinated = np.minimum(doses, 0.5 * (self.s - exposed))
        self.s = self.s - exposed - vaccinated
        self.e = self.e + exposed - onset
        self.i = self.i + onset - over
        self.r = self.r + (1.0 - lethality) * over + vaccinated
        self.d = self.d + lethality * over
        return onset


def schedule(day, capacity, groups):
    """Doses per group: the oldest first, then everyone."""
    doses = np.zeros(groups)
    if day < 20:
        return doses
    if day < 45:
        doses[-1] = capacity
    else:
        doses[:] = capacity / groups
    return doses


REPORTED = np.array([4.0, 6.0, 9.0, 14.0, 19.0, 23.0, 24.0, 22.0, 19.0])


@example(0.22, 0.12, 2.5, REPORTED, 0.6)
def epidemic_calibration(beta, gamma, capacity, reported, compliance):
    """Misfit of an epidemic model with age groups, measures and vaccination to weekly reports."""
    population = np.array([300.0, 500.0, 200.0])
    infected = np.array([1.0, 4.0, 1.0])
    contacts = np.array([[1.8, 0.6, 0.2], [0.6, 1.2, 0.4], [0.2, 0.4, 0.7]])
    lethality = np.array([0.0005, 0.004, 0.05])
    region = Region(population - infected, np.zeros(3), infected, np.zeros(3), np.zeros(3))
    measures = False
    closed_days = 0
    weekly = []
    cases = 0.0
    for day in range(63):
        burden = np.sum(region.i)
        if not measures and burden > 60.0:
            measures = True
        elif measures and burden < 20.0:
            measures = False
        level = 1.0 - 0.7 * compliance if measures else 1.0
        if measures:
            closed_days += 1
        season = 1.0 + 0.1 * math.cos(2.0 * math.pi * day / 365.0)
        new = region.day(level * contacts, beta * season, 0.25, gamma, lethality, schedule(day, capacity, 3))
        cases += np.sum(new)
        if (day + 1) % 7 == 0:
            weekly.append(cases)
            cases = 0.0
    misfit = 0.0
    for model, seen in zip(weekly, reported):
        expected = 0.3 * model + 0.5
        misfit += expected - seen * np.log(expected)
    share = region.d / population
    burden = np.sum(region.d) + 0.02 * closed_days
    if np.max(share) > 0.02:
        burden += 100.0 * (np.max(share) - 0.02) ** 2
    prior = ((beta - 0.2) / 0.1) ** 2 + ((gamma - 0.1) / 0.05) ** 2
    peak = max(weekly)
    first = weekly[0]
    tail = weekly[-1] / peak
    growth = 0.0
    for earlier, later in zip(weekly[:4], weekly[2:6]):
        growth += np.log(later / earlier) / 7.0
    reproduction = 1.0 + growth / (4.0 * gamma)
    return misfit + 0.5 * prior + 0.1 * burden + 0.01 * (peak - first + tail) + 0.1 * reproduction


MU = 398600.4418
EARTH = 6378.137


def perturbed(position):
    """Acceleration of a satellite: the point mass and the flattening of the Earth."""
    x, y, z = position
    r2 = x * x + y * y + z * z
    r = math.sqrt(r2)
    if r < EARTH:
        raise ValueError("the satellite is below the ground")
    k = 1.5 * 1.08263e-3 * (EARTH / r) ** 2
    ratio = 5.0 * z * z / r2
    common = -MU / (r2 * r)
    plane = common * (1.0 + k * (1.0 - ratio))
    return [plane * x, plane * y, common * (1.0 + k * (3.0 - ratio)) * z]


def shifted(state, rates, h):
    return [s + h * r for s, r in zip(state, rates)]


def rates(state):
    return list(state[3:]) + perturbed(state[:3])


def propagate(state, duration, steps):
    """Runge-Kutta steps of equal length."""
    h = duration / steps
    for _ in range(steps):
        k1 = rates(state)
        k2 = rates(shifted(state, k1, 0.5 * h))
        k3 = rates(shifted(state, k2, 0.5 * h))
        k4 = rates(shifted(state, k3, h))
        state = [s + h / 6.0 * (a + 2.0 * b + 2.0 * c + d) for s, a, b, c, d in zip(state, k1, k2, k3, k4)]
    return state


class Station:
    def __init__(self, latitude, longitude):
        self.latitude = math.radians(latitude)
        self.longitude = math.radians(longitude)

    def place(self, t):
        turned = self.longitude + 7.2921159e-5 * t
        flat = EARTH * math.cos(self.latitude)
        return [flat * math.cos(turned), flat * math.sin(turned), EARTH * math.sin(self.latitude)]

    def observe(self, state, t):
        """Range and range rate."""
        gap = [s - p for s, p in zip(state[:3], self.place(t))]
        distance = math.sqrt(sum(g * g for g in gap))
        closing = sum(g * v for g, v in zip(gap, state[3:])) / distance
        return distance, closing


PASSES = [(0, 300.0, 1340.0, 2.0), (1, 600.0, 2900.0, 4.5), (0, 900.0, 4400.0, 5.2), (1, 1500.0, 7100.0, 4.6)]


@example([6524.8, 1862.7, 1448.3], [-1.9, 6.9, 2.6], 12.0)
def orbit_determination(position, velocity, sigma):
    """Weighted squares of range residuals of two stations, with a robust loss and a prior on the energy."""
    stations = [Station(28.5, 20.0), Station(-7.9, 40.0)]
    state = [*position, *velocity]
    now = 0.0
    total = 0.0
    largest = 0.0
    for index, time, distance, closing in PASSES:
        state = propagate(state, time - now, 6)
        now = time
        seen = stations[index].observe(state, now)
        for value, wanted, scale in zip(seen, (distance, closing), (sigma, 0.01 * sigma)):
            residual = (value - wanted) / scale
            largest = max(largest, abs(residual))
            if abs(residual) < 3.0:
                total += 0.5 * residual**2
            else:
                total += 3.0 * (abs(residual) - 1.5)
    speed2 = sum(v * v for v in state[3:])
    radius = math.sqrt(sum(p * p for p in state[:3]))
    energy = 0.5 * speed2 - MU / radius
    momentum = state[0] * state[4] - state[1] * state[3]
    axis = -0.5 * MU / energy
    swing = [state[1] * state[5] - state[2] * state[4], state[2] * state[3] - state[0] * state[5], momentum]
    turning = math.sqrt(sum(c * c for c in swing))
    tilt = math.acos(momentum / turning)
    round_ = 1.0 - turning**2 / (MU * axis)
    if round_ > 0.5:
        total += (round_ - 0.5) ** 2
    period = 2.0 * math.pi * math.sqrt(axis**3 / MU)
    prior = ((axis - 6900.0) / 300.0) ** 2
    if energy >= 0.0:
        prior += 1e3
    return total + prior + 1e-3 * largest + 1e-6 * momentum + tilt + 1e-4 * period
