/* The recurrent network and the bundle adjustment of field_programs/ by hand, and their derivatives by hand. */

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- lstm ------------------------------------------------------------------------------------------------------ */

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

/* One layer. Keeps forget, in, out, change, tanh(cell), hidden and cell before, input: eight rows of b. */
static void layer(long b, const double *w, const double *v, double *hidden, double *cell, const double *h, double *kept)
{
    for (long j = 0; j < b; j++) {
        double forget = sigmoid(h[j] * w[j] + v[j]), in = sigmoid(hidden[j] * w[b + j] + v[b + j]);
        double out = sigmoid(h[j] * w[2 * b + j] + v[2 * b + j]), change = tanh(hidden[j] * w[3 * b + j] + v[3 * b + j]);
        double now = cell[j] * forget + in * change, bent = tanh(now);
        if (kept) {
            const double rows[8] = {forget, in, out, change, bent, hidden[j], cell[j], h[j]};
            for (int row = 0; row < 8; row++)
                kept[row * b + j] = rows[row];
        }
        cell[j] = now;
        hidden[j] = out * bent;
    }
}

static double forward(const double *main, const double *extra, const double *start, const double *sequence, long layers, long c,
                      long b, double *kept)
{
    double state[2 * layers * b], h[b], y[b], total = 0;
    memcpy(state, start, sizeof state);
    for (long t = 0; t < c - 1; t++) {
        const double *next = sequence + (t + 1) * b;
        double sum = 2, dot = 0, ones = 0;
        for (long j = 0; j < b; j++)
            h[j] = sequence[t * b + j] * extra[j];
        for (long i = 0; i < layers; i++) {
            double *hidden = state + 2 * i * b;
            layer(b, main + 8 * i * b, main + (8 * i + 4) * b, hidden, hidden + b, h, kept ? kept + (t * layers + i) * 8 * b : 0);
            memcpy(h, hidden, sizeof h);
        }
        for (long j = 0; j < b; j++) {
            y[j] = h[j] * extra[b + j] + extra[2 * b + j];
            sum += exp(y[j]);
            dot += next[j] * y[j];
            ones += next[j];
        }
        total += dot - ones * log(sum);
    }
    return -total / ((c - 1) * b);
}

double lstm(const double *main, const double *extra, const double *state, const double *sequence, long layers, long c, long b)
{
    return forward(main, extra, state, sequence, layers, c, b, 0);
}

/* The way back through one layer: cotangents of hidden and cell (in place), of the input (out), of the weights (added). */
static void layer_back(long b, const double *w, const double *kept, double *dhidden, double *dcell, double *dh, double *dw)
{
    for (long j = 0; j < b; j++) {
        double forget = kept[j], in = kept[b + j], out = kept[2 * b + j], change = kept[3 * b + j], bent = kept[4 * b + j];
        double hidden = kept[5 * b + j], cell = kept[6 * b + j], h = kept[7 * b + j];
        double dnow = dcell[j] + dhidden[j] * out * (1 - bent * bent);
        double df = dnow * cell * forget * (1 - forget), di = dnow * change * in * (1 - in);
        double dout = dhidden[j] * bent * out * (1 - out), dchange = dnow * in * (1 - change * change);
        dw[j] += df * h, dw[b + j] += di * hidden, dw[2 * b + j] += dout * h, dw[3 * b + j] += dchange * hidden;
        dw[4 * b + j] += df, dw[5 * b + j] += di, dw[6 * b + j] += dout, dw[7 * b + j] += dchange;
        dcell[j] = dnow * forget;
        dhidden[j] = di * w[b + j] + dchange * w[3 * b + j];
        dh[j] = df * w[j] + dout * w[2 * b + j];
    }
}

void lstm_d(const double *main, const double *extra, const double *state, const double *sequence, long layers, long c, long b,
            double *dmain, double *dextra)
{
    double *kept = malloc((c - 1) * layers * 8 * b * sizeof(double)), dstate[2 * layers * b], dh[b], e[b];
    double scale = -1.0 / ((c - 1) * b);
    forward(main, extra, state, sequence, layers, c, b, kept);
    memset(dmain, 0, 8 * layers * b * sizeof(double));
    memset(dextra, 0, 3 * b * sizeof(double));
    memset(dstate, 0, sizeof dstate);
    for (long t = c - 2; t >= 0; t--) {
        const double *next = sequence + (t + 1) * b, *last = kept + (t * layers + layers - 1) * 8 * b;
        double sum = 2, ones = 0;
        for (long j = 0; j < b; j++) {
            e[j] = exp(last[2 * b + j] * last[4 * b + j] * extra[b + j] + extra[2 * b + j]);
            sum += e[j];
            ones += next[j];
        }
        for (long j = 0; j < b; j++) {
            double dy = scale * (next[j] - ones * e[j] / sum);
            dextra[b + j] += dy * last[2 * b + j] * last[4 * b + j];
            dextra[2 * b + j] += dy;
            dh[j] = dy * extra[b + j];
        }
        for (long i = layers - 1; i >= 0; i--) {
            double *dhidden = dstate + 2 * i * b;
            for (long j = 0; j < b; j++)
                dhidden[j] += dh[j];
            layer_back(b, main + 8 * i * b, kept + (t * layers + i) * 8 * b, dhidden, dhidden + b, dh, dmain + 8 * i * b);
        }
        for (long j = 0; j < b; j++)
            dextra[j] += dh[j] * sequence[t * b + j];
    }
    free(kept);
}

/* --- ba: bundle adjustment ------------------------------------------------------------------------------------- */

static void cross(const double *a, const double *b, double *c)
{
    c[0] = a[1] * b[2] - a[2] * b[1];
    c[1] = a[2] * b[0] - a[0] * b[2];
    c[2] = a[0] * b[1] - a[1] * b[0];
}

static double dot(const double *a, const double *b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

/* The rotated point, and if R is given its derivatives: with respect to the point (R) and to the rotation (D). */
static void rotate(const double *r, const double *x, double *turned, double (*R)[3], double (*D)[3])
{
    static const double unit[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    double square = dot(r, r), theta = sqrt(square), s = sin(theta), k = cos(theta), w[3], wx[3];
    if (square == 0) {
        cross(r, x, wx);
        for (int a = 0; a < 3; a++)
            turned[a] = x[a] + wx[a];
        for (int c = 0; R && c < 3; c++) {
            double e[3], f[3];
            cross(r, unit[c], e);
            cross(unit[c], x, f);
            for (int a = 0; a < 3; a++)
                R[a][c] = unit[a][c] + e[a], D[a][c] = f[a];
        }
        return;
    }
    for (int a = 0; a < 3; a++)
        w[a] = r[a] / theta;
    cross(w, x, wx);
    double along = dot(w, x), rest = along * (1 - k);
    for (int a = 0; a < 3; a++)
        turned[a] = x[a] * k + wx[a] * s + w[a] * rest;
    for (int c = 0; R && c < 3; c++) {
        double dw[3], dwx[3], e[3];
        for (int a = 0; a < 3; a++)
            dw[a] = (unit[a][c] - w[a] * w[c]) / theta;
        cross(dw, x, dwx);
        cross(w, unit[c], e);
        double drest = dot(dw, x) * (1 - k) + along * s * w[c];
        for (int a = 0; a < 3; a++) {
            R[a][c] = unit[a][c] * k + e[a] * s + w[a] * w[c] * (1 - k);
            D[a][c] = (wx[a] * k - x[a] * s) * w[c] + dwx[a] * s + dw[a] * rest + w[a] * drest;
        }
    }
}

static void project(const double *camera, const double *point, double *proj)
{
    double x[3], p[3];
    for (int a = 0; a < 3; a++)
        x[a] = point[a] - camera[3 + a];
    rotate(camera, x, p, 0, 0);
    double u = p[0] / p[2], v = p[1] / p[2], rho = u * u + v * v;
    double scale = (1 + camera[9] * rho + camera[10] * rho * rho) * camera[6];
    proj[0] = u * scale + camera[7];
    proj[1] = v * scale + camera[8];
}

void ba(const double *cameras, const double *points, const double *weights, const long *seen, const double *features, long p,
        double *residuals)
{
    for (long i = 0; i < p; i++) {
        double proj[2];
        project(cameras + 11 * seen[2 * i], points + 3 * seen[2 * i + 1], proj);
        for (int a = 0; a < 2; a++)
            residuals[2 * i + a] = weights[i] * (proj[a] - features[2 * i + a]);
        residuals[2 * p + i] = 1 - weights[i] * weights[i];
    }
}

/* The two rows of one observation: 11 entries of the camera, 3 of the point, 1 of the weight. */
static void rows(const double *camera, const double *point, double weight, const double *feature, double *first)
{
    double x[3], p[3], R[3][3], D[3][3], *row[2] = {first, first + 15};
    for (int a = 0; a < 3; a++)
        x[a] = point[a] - camera[3 + a];
    rotate(camera, x, p, R, D);
    double uv[2] = {p[0] / p[2], p[1] / p[2]}, rho = uv[0] * uv[0] + uv[1] * uv[1];
    double bend = 1 + camera[9] * rho + camera[10] * rho * rho, slope = camera[9] + 2 * camera[10] * rho;
    double duv[2][3] = {{1 / p[2], 0, -uv[0] / p[2]}, {0, 1 / p[2], -uv[1] / p[2]}};
    for (int a = 0; a < 2; a++) {
        double by[3];
        for (int c = 0; c < 3; c++) {
            double drho = 2 * (uv[0] * duv[0][c] + uv[1] * duv[1][c]);
            by[c] = weight * camera[6] * (duv[a][c] * bend + uv[a] * slope * drho);
        }
        for (int c = 0; c < 3; c++) {
            row[a][c] = by[0] * D[0][c] + by[1] * D[1][c] + by[2] * D[2][c];
            row[a][11 + c] = by[0] * R[0][c] + by[1] * R[1][c] + by[2] * R[2][c];
            row[a][3 + c] = -row[a][11 + c];
        }
        row[a][6] = weight * uv[a] * bend;
        row[a][7] = a == 0 ? weight : 0;
        row[a][8] = a == 1 ? weight : 0;
        row[a][9] = weight * uv[a] * camera[6] * rho;
        row[a][10] = row[a][9] * rho;
        row[a][14] = uv[a] * bend * camera[6] + camera[7 + a] - feature[a];
    }
}

void ba_d(const double *cameras, const double *points, const double *weights, const long *seen, const double *features, long p,
          double *values)
{
    for (long i = 0; i < p; i++) {
        rows(cameras + 11 * seen[2 * i], points + 3 * seen[2 * i + 1], weights[i], features + 2 * i, values + 30 * i);
        values[30 * p + i] = -2 * weights[i];
    }
}
