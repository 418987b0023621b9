"""Longer programs: simulation, control, robotics."""

import math
from dataclasses import dataclass

import numpy as np

from tests.programs.catalog import example


def lotka_volterra(state, alpha, beta, delta, gamma):
    prey, predator = state
    return [alpha * prey - beta * prey * predator, delta * prey * predator - gamma * predator]


@example([1.1, 0.4, 0.1, 0.4], [10.0, 5.0])
def adaptive_runge_kutta(params, start):
    """Bogacki-Shampine 3(2) with step control: steps are rejected when the error is too large."""
    t, end, h = 0.0, 5.0, 0.1
    y = list(start)
    tolerance = 1e-4
    accepted = rejected = 0
    while t < end:
        if t + h > end:
            h = end - t
        k1 = lotka_volterra(y, *params)
        k2 = lotka_volterra([v + 0.5 * h * k for v, k in zip(y, k1)], *params)
        k3 = lotka_volterra([v + 0.75 * h * k for v, k in zip(y, k2)], *params)
        new = [v + h * (2 * a + 3 * b + 4 * c) / 9.0 for v, a, b, c in zip(y, k1, k2, k3)]
        k4 = lotka_volterra(new, *params)
        error = 0.0
        for a, b, c, d in zip(k1, k2, k3, k4):
            error = max(error, abs(h * (-5 * a / 72 + b / 12 + c / 9 - d / 8)))
        if error <= tolerance:
            t += h
            y = new
            accepted += 1
        else:
            rejected += 1
        h *= min(5.0, max(0.2, 0.9 * (tolerance / (error + 1e-12)) ** (1.0 / 3.0)))
        if accepted + rejected > 2000:
            raise RuntimeError("too many steps")
    return y[0] + 2.0 * y[1]


@dataclass
class Pid:
    kp: float
    ki: float
    kd: float
    limit: float = 2.0
    integral: float = 0.0
    last: float | None = None

    def __call__(self, error, dt):
        self.integral += error * dt
        slope = 0.0 if self.last is None else (error - self.last) / dt
        self.last = error
        command = self.kp * error + self.ki * self.integral + self.kd * slope
        if command > self.limit:
            self.integral -= error * dt
            return self.limit
        if command < -self.limit:
            self.integral -= error * dt
            return -self.limit
        return command


@example(2.0, 0.5, 0.3)
def pid_controlled_pendulum(kp, ki, kd):
    controller = Pid(kp, ki, kd)
    angle, speed, dt = 0.5, 0.0, 0.02
    cost = 0.0
    for step in range(150):
        target = 0.0 if step < 100 else 0.2
        torque = controller(target - angle, dt)
        speed += dt * (9.81 * math.sin(angle) * 0.05 + torque - 0.1 * speed)
        angle += dt * speed
        cost += dt * ((angle - target) ** 2 + 0.01 * torque**2)
        if abs(angle) > math.pi:
            cost += 100.0
            break
    return cost


def rotation(axis, angle):
    c, s = np.cos(angle), np.sin(angle)
    if axis == "z":
        return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def transform(theta, d, a, alpha):
    t = np.eye(4)
    t[:3, :3] = rotation("z", theta) @ rotation("x", alpha)
    t[:3, 3] = [a * np.cos(theta), a * np.sin(theta), d]
    return t


@example(np.array([0.3, -0.7, 1.1]), np.array([0.6, 0.4, 0.5]))
def robot_arm(joints, target):
    """Denavit-Hartenberg forward kinematics of three joints, and the distance to a target."""
    links = [(0.4, 0.0, math.pi / 2), (0.0, 0.5, 0.0), (0.0, 0.3, 0.0)]
    pose = np.eye(4)
    for theta, (d, a, alpha) in zip(joints, links):
        pose = pose @ transform(theta, d, a, alpha)
    gap = pose[:3, 3] - target
    reach = np.linalg.norm(pose[:3, 3])
    penalty = max(reach - 1.1, 0.0) ** 2
    return gap @ gap + penalty + 0.1 * pose[0, 0]


@example(np.array([0.2, 0.4]), np.array([0.9, 0.6]))
def inverse_kinematics(start, target):
    """Damped least squares on a planar arm, with a stop that depends on the data."""
    lengths = [0.8, 0.6]
    q = start.copy()
    for _ in range(30):
        x = lengths[0] * np.cos(q[0]) + lengths[1] * np.cos(q[0] + q[1])
        y = lengths[0] * np.sin(q[0]) + lengths[1] * np.sin(q[0] + q[1])
        error = np.array([target[0] - x, target[1] - y])
        if np.linalg.norm(error) < 1e-3:
            break
        jacobian = np.array(
            [
                [-y, -lengths[1] * np.sin(q[0] + q[1])],
                [x, lengths[1] * np.cos(q[0] + q[1])],
            ]
        )
        damped = jacobian.T @ jacobian + 0.05 * np.eye(2)
        q = q + np.linalg.solve(damped, jacobian.T @ error)
    return q


class KalmanFilter:
    """A linear Kalman filter whose matrices are attributes."""

    def __init__(self, f, h, q, r, x, p):
        self.F, self.H, self.Q, self.R = f, h, q, r
        self.x, self.P = x, p
        self.likelihood = 0.0

    def predict(self):
        self.x = self.F @ self.x
        self.P = self.F @ self.P @ self.F.T + self.Q

    def update(self, z):
        innovation = z - self.H @ self.x
        s = self.H @ self.P @ self.H.T + self.R
        gain = self.P @ self.H.T @ np.linalg.inv(s)
        self.x = self.x + gain @ innovation
        self.P = (np.eye(len(self.x)) - gain @ self.H) @ self.P
        self.likelihood -= 0.5 * (
            innovation @ np.linalg.solve(s, innovation) + np.log(np.linalg.det(s)) + len(z) * np.log(2 * np.pi)
        )


@example(0.05, 0.3, np.array([0.1, 0.4, 0.5, 1.0, 1.1]))
def tracking_likelihood(q, r, measurements):
    dt = 0.5
    tracker = KalmanFilter(
        f=np.array([[1.0, dt], [0.0, 1.0]]),
        h=np.array([[1.0, 0.0]]),
        q=q * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]]),
        r=np.array([[r]]),
        x=np.zeros(2),
        p=np.eye(2),
    )
    for z in measurements:
        tracker.predict()
        tracker.update(np.array([z]))
    return -tracker.likelihood


@example(np.array([1.0, 0.5]), np.array([[0.0, 0.0], [1.0, 0.2], [-0.3, 0.9]]))
def n_body(masses, positions):
    """Leapfrog for planets around a fixed sun, with softened gravity."""
    x = positions[1:].copy()
    v = np.zeros_like(x)
    v[0, 1], v[1, 0] = 0.9, -0.8
    dt = 0.02

    def acceleration(x):
        a = np.zeros_like(x)
        for i in range(len(x)):
            a[i] -= x[i] / (np.sum(x[i] ** 2) + 0.01) ** 1.5
            for j in range(len(x)):
                if i != j:
                    gap = x[j] - x[i]
                    a[i] += 0.1 * masses[j] * gap / (gap @ gap + 0.05) ** 1.5
        return a

    a = acceleration(x)
    for _ in range(25):
        v += 0.5 * dt * a
        x += dt * v
        a = acceleration(x)
        v += 0.5 * dt * a
    kinetic = 0.5 * np.sum(masses[:, None] * v**2)
    return kinetic - sum(m / np.linalg.norm(p) for m, p in zip(masses, x))


@example(0.3, 0.1, 14.0)
def epidemic_with_lockdown(beta, gamma, threshold):
    s, i, r = 990.0, 10.0, 0.0
    locked = False
    days_locked = 0
    peak = 0.0
    history = []
    for _ in range(80):
        rate = 0.4 * beta if locked else beta
        infected = rate * s * i / (s + i + r)
        recovered = gamma * i
        s, i, r = s - infected, i + infected - recovered, r + recovered
        history.append(i)
        if not locked and i > 5 * threshold:
            locked = True
        elif locked and i < threshold:
            locked = False
        if locked:
            days_locked += 1
        peak = max(peak, i)
    return peak + 0.1 * days_locked + sum(history) / len(history)


@example(0.9, np.array([0.5, 1.5, 0.7, 2.0]))
def bouncing_ball(restitution, drops):
    """Event-driven: the next impact is solved for, then the state jumps."""
    total = 0.0
    for height in drops:
        h, v, t = height, 0.0, 0.0
        bounces = 0
        while t < 2.0 and bounces < 10:
            root = math.sqrt(v * v + 2 * 9.81 * h)
            fall = (v + root) / 9.81
            if t + fall > 2.0:
                rest = 2.0 - t
                h = h + v * rest - 0.5 * 9.81 * rest**2
                t = 2.0
            else:
                t += fall
                v = restitution * root
                h = 0.0
                bounces += 1
        total += h + 0.01 * bounces * restitution
    return total


@example(np.array([1.0, 0.5, 0.2]), 0.4)
def linear_quadratic_regulator(weights, b):
    a = np.array([[1.0, 0.1], [-0.2, 0.95]])
    bm = np.array([[0.0], [b]])
    q = np.diag(weights[:2])
    r = weights[2:].reshape(1, 1)
    p = q
    for _ in range(40):
        gain = np.linalg.solve(r + bm.T @ p @ bm, bm.T @ p @ a)
        new = q + a.T @ p @ (a - bm @ gain)
        if np.max(np.abs(new - p)) < 1e-10:
            break
        p = new
    x = np.array([1.0, -1.0])
    cost = 0.0
    for _ in range(20):
        u = -(gain @ x)
        cost = cost + x @ q @ x + u @ r @ u
        x = a @ x + bm @ u
    return cost


@example(np.sin(np.linspace(0.0, 5.0, 16) ** 1.3), 0.8)
def shallow_wave(u, courant):
    """Upwind advection with a flux limiter, periodic."""
    n = len(u)
    for _ in range(8):
        new = u.copy()
        for i in range(n):
            behind = u[i] - u[i - 1]
            ahead = u[(i + 1) % n] - u[i]
            if behind * ahead > 0.0:
                slope = behind if abs(behind) < abs(ahead) else ahead
            else:
                slope = 0.0
            flux = u[i] + 0.5 * (1.0 - courant) * slope
            new[i] -= courant * flux
            new[(i + 1) % n] += courant * flux
        u = new
    return np.sum(u**2) + u[3]


@example([1.03, 0.87, 1.21], 0.47)
def queue_simulation(service, gap):
    """Customers arrive at several servers; each takes the server that is free first."""
    free_at = [0.0] * len(service)
    waiting = 0.0
    log = []
    for k in range(12):
        arrival = gap * k * (1.0 + 0.1 * (k % 3))
        best = 0
        for j in range(1, len(free_at)):
            if free_at[j] < free_at[best]:
                best = j
        start = max(arrival, free_at[best])
        free_at[best] = start + service[best] * (1.0 + 0.05 * k)
        waiting += start - arrival
        log.append((k, start))
    return waiting + max(free_at) + log[-1][1]
