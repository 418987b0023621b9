/* The four programs in C: what a careful programmer writes by hand, in double precision.
 *
 * Each returns the loss. p holds the differentiated inputs, d the data; the integers are sizes. */

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* (a) p = alpha, beta, gamma, delta, hare, lynx, sigma; d = hare[years], lynx[years] */
typedef struct {
    double hare, lynx;
} pair;

static inline pair rates(const double *p, double hare, double lynx) {
    return (pair){(p[0] - p[1] * lynx) * hare, (p[3] * hare - p[2]) * lynx};
}

static inline double square(double x) { return x * x; }

double lynx_hare(const double *p, const double *d, long years, long steps_per_year) {
    const double dt = 1.0 / steps_per_year;
    double hare = p[4], lynx = p[5], squares = 0.0;
    for (long year = 0; year < years; year++) {
        squares += square(log(hare) - log(d[year]));
        squares += square(log(lynx) - log(d[years + year]));
        for (long s = 0; s < steps_per_year; s++) {
            const pair k1 = rates(p, hare, lynx);
            const pair k2 = rates(p, hare + dt / 2 * k1.hare, lynx + dt / 2 * k1.lynx);
            const pair k3 = rates(p, hare + dt / 2 * k2.hare, lynx + dt / 2 * k2.lynx);
            const pair k4 = rates(p, hare + dt * k3.hare, lynx + dt * k3.lynx);
            hare += dt / 6 * (k1.hare + 2 * k2.hare + 2 * k3.hare + k4.hare);
            lynx += dt / 6 * (k1.lynx + 2 * k2.lynx + 2 * k3.lynx + k4.lynx);
        }
    }
    return squares / (2 * p[6] * p[6]) + 2 * years * log(p[6]);
}

/* (b) p = a, b, c; d = n inputs */
double recurrence(const double *p, const double *d, long n, long unused) {
    (void)unused;
    const double a = p[0], b = p[1], c = p[2];
    double x = 0.2, loss = 0.0;
    for (long i = 0; i < n; i++) {
        if (x > c)
            x = a * x - b * x * x + d[i];
        else
            x = a * x + b * d[i];
        while (x > 1.5)
            x = x * 0.7 + 0.1 * b;
        loss += (x - c) * (x - c);
    }
    return loss / n;
}

/* (c) p = k0, k1, u0[n]; d = target[n]. Two buffers in turn, so that the sweep vectorises. */
static void sweep(double *restrict to, const double *restrict from, double k0, double k1, long n) {
    for (long i = 1; i < n - 1; i++) {
        const double k = k0 * (1.0 + k1 * from[i] * from[i]);
        to[i] = from[i] + k * (from[i + 1] - 2 * from[i] + from[i - 1]);
    }
    to[0] = from[0];
    to[n - 1] = from[n - 1];
}

double heat(const double *p, const double *d, long n, long steps) {
    double *u = malloc(2 * n * sizeof(double)), *v = u + n, *block = u;
    memcpy(u, p + 2, n * sizeof(double));
    for (long s = 0; s < steps; s++) {
        sweep(v, u, p[0], p[1], n);
        double *swap = u;
        u = v;
        v = swap;
    }
    double loss = 0.0;
    for (long i = 0; i < n; i++)
        loss += (u[i] - d[i]) * (u[i] - d[i]);
    free(block);
    return loss / n;
}

/* (d) p = w[k], b; d = x[n][k], then y[n]. The pragma lets the dot product vectorise. */
double logistic(const double *p, const double *d, long n, long k) {
    const double *x = d, *y = d + n * k;
    double loss = 0.0, ridge = 0.0;
    for (long i = 0; i < n; i++) {
        double dot = 0.0;
#pragma omp simd reduction(+ : dot)
        for (long j = 0; j < k; j++)
            dot += x[i * k + j] * p[j];
        const double m = y[i] * (dot + p[k]);
        loss += fmax(0.0, -m) + log(1.0 + exp(-fabs(m)));
    }
    for (long j = 0; j < k; j++)
        ridge += p[j] * p[j];
    return loss / n + 0.001 * ridge;
}

/* Calls a program `times` times without leaving C; the barrier keeps the calls from being merged. */
typedef double program(const double *p, const double *d, long n, long m);

double repeated(program *call, const double *p, const double *d, long n, long m, long times) {
    double sum = 0.0;
    for (long i = 0; i < times; i++) {
        sum += call(p, d, n, m);
        __asm__ volatile("" ::: "memory");
    }
    return sum / times;
}
