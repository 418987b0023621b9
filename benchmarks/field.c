/* The six programs of field_programs/ by hand, and their derivatives by hand. Built by field_native.py. */

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- llsq: polynomial least squares ---------------------------------------------------------------------------- */

static double sign(double t) { return (t > 0) - (t < 0); }

double llsq(const double *x, long m, long n)
{
    double total = 0;
    for (long i = 0; i < n; i++) {
        double t = -1.0 + 2.0 * i / (n - 1), residual = sign(t), power = 1;
        for (long j = 0; j < m; j++) {
            residual -= x[j] * power;
            power *= t;
        }
        total += residual * residual;
    }
    return 0.5 * total;
}

void llsq_d(const double *x, long m, long n, double *dx)
{
    memset(dx, 0, m * sizeof *dx);
    for (long i = 0; i < n; i++) {
        double t = -1.0 + 2.0 * i / (n - 1), residual = sign(t), power = 1;
        for (long j = 0; j < m; j++) {
            residual -= x[j] * power;
            power *= t;
        }
        power = -residual;
        for (long j = 0; j < m; j++) {
            dx[j] += power;
            power *= t;
        }
    }
}

/* --- lse: logarithm of a sum of exponentials ------------------------------------------------------------------- */

double lse(const double *x, long n)
{
    double largest = x[0], total = 0;
    for (long i = 1; i < n; i++)
        largest = x[i] > largest ? x[i] : largest;
    for (long i = 0; i < n; i++)
        total += exp(x[i] - largest);
    return largest + log(total);
}

void lse_d(const double *x, long n, double *dx)
{
    double largest = x[0], total = 0;
    for (long i = 1; i < n; i++)
        largest = x[i] > largest ? x[i] : largest;
    for (long i = 0; i < n; i++)
        total += dx[i] = exp(x[i] - largest);
    for (long i = 0; i < n; i++)
        dx[i] /= total;
}

/* --- gmm: mixture of Gaussians --------------------------------------------------------------------------------- */

static void centre(long d, const double *x, const double *mu, const double *diagonal, const double *l, double *xc, double *z)
{
    for (long j = 0; j < d; j++) {
        xc[j] = x[j] - mu[j];
        z[j] = diagonal[j] * xc[j];
    }
    for (long j = 0; j < d; j++) {
        for (long row = j + 1; row < d; row++)
            z[row] += l[row - j - 1] * xc[j];
        l += d - 1 - j;
    }
}

static double gmm_constant(long n, long d, long k, double gamma, long m)
{
    double degrees = d + m + 1, gammas = 0.25 * d * (d - 1) * log(M_PI);
    for (long j = 1; j <= d; j++)
        gammas += lgamma(0.5 * degrees + 0.5 * (1 - j));
    return -n * d * 0.5 * log(2 * M_PI) + k * (degrees * d * (log(gamma) - 0.5 * log(2.0)) - gammas);
}

double gmm(const double *alpha, const double *mu, const double *q, const double *l, const double *x, long n, long d, long k,
           double gamma, long m)
{
    long below = d * (d - 1) / 2;
    double *diagonal = malloc((k * d + 2 * k + 2 * d) * sizeof(double)), *sums = diagonal + k * d, *terms = sums + k;
    double *xc = terms + k, *z = xc + d, total = 0, prior = 0;
    for (long c = 0; c < k; c++) {
        sums[c] = 0;
        for (long j = 0; j < d; j++) {
            sums[c] += q[c * d + j];
            diagonal[c * d + j] = exp(q[c * d + j]);
            prior += 0.5 * gamma * gamma * diagonal[c * d + j] * diagonal[c * d + j];
        }
        for (long j = 0; j < below; j++)
            prior += 0.5 * gamma * gamma * l[c * below + j] * l[c * below + j];
        prior -= m * sums[c];
    }
    for (long i = 0; i < n; i++) {
        for (long c = 0; c < k; c++) {
            double square = 0;
            centre(d, x + i * d, mu + c * d, diagonal + c * d, l + c * below, xc, z);
            for (long j = 0; j < d; j++)
                square += z[j] * z[j];
            terms[c] = alpha[c] + sums[c] - 0.5 * square;
        }
        total += lse(terms, k);
    }
    total += gmm_constant(n, d, k, gamma, m) - n * lse(alpha, k) - prior;
    free(diagonal);
    return total;
}

void gmm_d(const double *alpha, const double *mu, const double *q, const double *l, const double *x, long n, long d, long k,
           double gamma, long m, double *dalpha, double *dmu, double *dq, double *dl)
{
    long below = d * (d - 1) / 2;
    double *diagonal = malloc((k * d + 2 * k + 2 * k * d) * sizeof(double)), *sums = diagonal + k * d, *terms = sums + k;
    double *xc = terms + k, *z = xc + k * d;
    lse_d(alpha, k, dalpha);
    for (long c = 0; c < k; c++) {
        dalpha[c] *= -n;
        sums[c] = 0;
        for (long j = c * d; j < (c + 1) * d; j++) {
            sums[c] += q[j];
            diagonal[j] = exp(q[j]);
            dmu[j] = 0;
            dq[j] = m - gamma * gamma * diagonal[j] * diagonal[j];
        }
        for (long j = c * below; j < (c + 1) * below; j++)
            dl[j] = -gamma * gamma * l[j];
    }
    for (long i = 0; i < n; i++) {
        double largest = -INFINITY, total = 0;
        for (long c = 0; c < k; c++) {
            double square = 0;
            centre(d, x + i * d, mu + c * d, diagonal + c * d, l + c * below, xc + c * d, z + c * d);
            for (long j = 0; j < d; j++)
                square += z[c * d + j] * z[c * d + j];
            terms[c] = alpha[c] + sums[c] - 0.5 * square;
            largest = terms[c] > largest ? terms[c] : largest;
        }
        for (long c = 0; c < k; c++)
            total += terms[c] = exp(terms[c] - largest);
        for (long c = 0; c < k; c++) {
            double share = terms[c] / total, *xcc = xc + c * d, *zc = z + c * d;
            const double *lc = l + c * below;
            double *dlc = dl + c * below;
            dalpha[c] += share;
            for (long j = 0; j < d; j++) {
                dmu[c * d + j] += share * zc[j] * diagonal[c * d + j];
                dq[c * d + j] += share * (1 - zc[j] * xcc[j] * diagonal[c * d + j]);
            }
            for (long j = 0; j < d; j++) {
                double sum = 0, factor = share * xcc[j];
                for (long row = j + 1; row < d; row++) {
                    sum += lc[row - j - 1] * zc[row];
                    dlc[row - j - 1] -= factor * zc[row];
                }
                dmu[c * d + j] += share * sum;
                lc += d - 1 - j;
                dlc += d - 1 - j;
            }
        }
    }
    free(diagonal);
}

/* --- kmeans ---------------------------------------------------------------------------------------------------- */

static long nearest(const double *centroids, const double *point, long k, long d, double *least)
{
    long best = 0;
    *least = INFINITY;
    for (long j = 0; j < k; j++) {
        double square = 0;
        for (long a = 0; a < d; a++)
            square += (centroids[j * d + a] - point[a]) * (centroids[j * d + a] - point[a]);
        if (square < *least) {
            *least = square;
            best = j;
        }
    }
    return best;
}

double kmeans(const double *centroids, const double *points, long k, long n, long d)
{
    double total = 0, least;
    for (long i = 0; i < n; i++) {
        nearest(centroids, points + i * d, k, d, &least);
        total += least;
    }
    return total;
}

void kmeans_d(const double *centroids, const double *points, long k, long n, long d, double *direction)
{
    double *counts = calloc(k, sizeof(double)), least;
    memset(direction, 0, k * d * sizeof(double));
    for (long i = 0; i < n; i++) {
        long j = nearest(centroids, points + i * d, k, d, &least);
        counts[j]++;
        for (long a = 0; a < d; a++)
            direction[j * d + a] += 2 * (centroids[j * d + a] - points[i * d + a]);
    }
    for (long j = 0; j < k; j++)
        for (long a = 0; a < d; a++)
            direction[j * d + a] /= 2 * counts[j];
    free(counts);
}
