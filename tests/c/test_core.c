/* The C core without Python: every kernel of every instruction set that this machine has, against plain loops in double
 * precision, in buffers of exactly the size that the manual asks for. Meant to run under AddressSanitizer and
 * UndefinedBehaviorSanitizer; exits with 1 if anything differs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fastgru.h"

static const fastgru_kernels *kernels;
static fastgru_real real;
static int threads = 1;
static long checks, failures;

/* ---- arrays of the real type at hand ---- */

static size_t real_size(void) { return real == FASTGRU_FLOAT32 ? sizeof(float) : sizeof(double); }

static double get(const void *a, ptrdiff_t i) {
    return real == FASTGRU_FLOAT32 ? ((const float *)a)[i] : ((const double *)a)[i];
}

static void set(void *a, ptrdiff_t i, double value) {
    if (real == FASTGRU_FLOAT32) ((float *)a)[i] = (float)value;
    else ((double *)a)[i] = value;
}

static void *buffer(size_t count) {
    void *a = malloc(count ? count * real_size() : 1);
    if (!a) exit(2);
    memset(a, 0xff, count * real_size()); /* NaN: what is read before it is written shows */
    return a;
}

static double draw(void) {
    static unsigned long long state = 42;
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (double)(state >> 33) / (double)(1ull << 31) * 2 - 1;
}

static void *drawn(size_t count, double scale) {
    void *a = buffer(count);
    for (size_t i = 0; i < count; i++) set(a, (ptrdiff_t)i, scale * draw());
    return a;
}

static void check(int right, const char *what, double got, double expected) {
    checks++;
    if (right) return;
    if (failures++ < 20)
        fprintf(stderr, "%s float%d: %s: got %.17g, expected %.17g\n", kernels->isa,
                (int)real_size() * 8, what, got, expected);
}

static void check_close(const char *what, double got, double expected, double scale) {
    const double tolerance =
        (real == FASTGRU_FLOAT32 ? 2e-6 : 1e-12) * (1 + fabs(expected)) * scale;
    check(fabs(got - expected) <= tolerance, what, got, expected);
}

static void check_all_close(const char *what, const void *got, const double *expected, size_t count,
                            double scale) {
    for (size_t i = 0; i < count; i++)
        check_close(what, get(got, (ptrdiff_t)i), expected[i], scale);
}

static void check_same_bits(const char *what, const void *a, ptrdiff_t i, const void *b,
                            ptrdiff_t j, size_t count) {
    const char *left = (const char *)a + (size_t)i * real_size(),
               *right = (const char *)b + (size_t)j * real_size();
    check(count == 0 || memcmp(left, right, count * real_size()) == 0, what, NAN, NAN);
}

/* ---- the GRU, by its equations ---- */

typedef struct {
    fastgru_gru_shape shape;
    void *x, *kernel, *recurrent, *bias, *h0, *dy, *dh_n;
} gru;

static double sigmoid_of(double x) { return 1 / (1 + exp(-x)); }

static double gate_input(const gru *g, const double *h, ptrdiff_t row, ptrdiff_t column,
                         int which) {
    const ptrdiff_t width = 3 * g->shape.units;
    double sum = 0;
    if (which & 1) {
        for (ptrdiff_t k = 0; k < g->shape.inputs; k++)
            sum += get(g->x, row * g->shape.inputs + k) * get(g->kernel, k * width + column);
        if (g->bias) sum += get(g->bias, column);
    }
    if (which & 2) {
        for (ptrdiff_t k = 0; k < g->shape.units; k++)
            sum += h[k] * get(g->recurrent, k * width + column);
        if (g->bias && g->shape.reset_after) sum += get(g->bias, width + column);
    }
    return sum;
}

/* y (B, T, H) of the whole batch. */
static double *plain_forward(const gru *g) {
    const fastgru_gru_shape *s = &g->shape;
    const ptrdiff_t H = s->units;
    double *y = malloc(sizeof *y * (size_t)(s->batch * s->steps * H + 1));
    double *h = malloc(sizeof *h * (size_t)(4 * H)), *z = h + H, *r = z + H, *reset = r + H;
    for (ptrdiff_t b = 0; b < s->batch; b++) {
        for (ptrdiff_t j = 0; j < H; j++) h[j] = g->h0 ? get(g->h0, b * H + j) : 0;
        for (ptrdiff_t t = 0; t < s->steps; t++) {
            const ptrdiff_t row = b * s->steps + t;
            for (ptrdiff_t j = 0; j < H; j++) {
                z[j] = sigmoid_of(gate_input(g, h, row, j, 3));
                r[j] = sigmoid_of(gate_input(g, h, row, H + j, 3));
                reset[j] = r[j] * h[j];
            }
            for (ptrdiff_t j = 0; j < H; j++) {
                const ptrdiff_t column = 2 * H + j;
                const double u = gate_input(g, s->reset_after ? h : reset, row, column, 2);
                const double n =
                    tanh(gate_input(g, h, row, column, 1) + (s->reset_after ? r[j] * u : u));
                y[row * H + j] = s->update_replaces ? z[j] * n + (1 - z[j]) * h[j]
                                                    : z[j] * h[j] + (1 - z[j]) * n;
            }
            memcpy(h, y + row * H, sizeof *h * (size_t)H);
        }
    }
    free(h);
    return y;
}

/* The loss whose gradients are dy and dh_n. */
static double plain_loss(const gru *g) {
    const fastgru_gru_shape *s = &g->shape;
    double *y = plain_forward(g), loss = 0;
    for (ptrdiff_t i = 0; i < s->batch * s->steps * s->units; i++) loss += y[i] * get(g->dy, i);
    for (ptrdiff_t i = 0; i < s->batch * s->units; i++) {
        const ptrdiff_t b = i / s->units, j = i % s->units;
        loss += y[(b * s->steps + s->steps - 1) * s->units + j] * get(g->dh_n, i);
    }
    free(y);
    return loss;
}

/* ---- the GRU, by the library ---- */

static fastgru_gru_weights weights_of(const void *data, ptrdiff_t units) {
    return (fastgru_gru_weights){data, 3 * units, 1, {0, units, 2 * units}};
}

typedef struct {
    void *y, *h_n, *cache;
} outputs;

static outputs run_forward(const gru *g, const fastgru_gru_shape *s, ptrdiff_t first_row,
                           int training) {
    const fastgru_gru_weights w = weights_of(g->kernel, s->units),
                              u = weights_of(g->recurrent, s->units);
    const size_t size = real_size();
    outputs o = {buffer((size_t)(s->batch * s->steps * s->units)),
                 buffer((size_t)(s->batch * s->units)),
                 training ? buffer(kernels->gru_cache_size(s)) : NULL};
    void *packed = buffer(kernels->gru_packed_size(s)),
         *workspace = buffer(kernels->gru_forward_workspace(s, threads));
    kernels->gru_pack(s, &w, &u, packed);
    kernels->gru_forward(&(fastgru_gru_forward){
        .shape = *s,
        .x = (char *)g->x + (size_t)(first_row * s->steps * s->inputs) * size,
        .x_batch = s->steps * s->inputs,
        .x_step = s->inputs,
        .packed = packed,
        .bias = g->bias,
        .h0 = g->h0 ? (char *)g->h0 + (size_t)(first_row * s->units) * size : NULL,
        .y = o.y,
        .y_batch = s->steps * s->units,
        .y_step = s->units,
        .h_n = o.h_n,
        .cache = o.cache,
        .workspace = workspace,
        .threads = threads,
    });
    free(packed);
    free(workspace);
    return o;
}

static void release(outputs o) {
    free(o.y);
    free(o.h_n);
    free(o.cache);
}

static void test_forward(const gru *g) {
    const fastgru_gru_shape *s = &g->shape;
    const ptrdiff_t H = s->units, row_size = s->steps * H;
    double *expected = plain_forward(g);
    outputs inference = run_forward(g, s, 0, 0), training = run_forward(g, s, 0, 1);
    check_all_close("y", inference.y, expected, (size_t)(s->batch * row_size), 4);
    check_same_bits("y in training", training.y, 0, inference.y, 0, (size_t)(s->batch * row_size));
    fastgru_gru_shape alone = *s;
    alone.batch = 1;
    for (ptrdiff_t b = 0; b < s->batch; b++) {
        check_same_bits("h_n", inference.h_n, b * H, inference.y, (b * s->steps + s->steps - 1) * H,
                        (size_t)H);
        outputs one = run_forward(g, &alone, b, 0);
        check_same_bits("a row alone", one.y, 0, inference.y, b * row_size, (size_t)row_size);
        release(one);
    }
    release(inference);
    release(training);
    free(expected);
}

/* Central differences of the plain loss in a sample of an array's elements. */
static void check_gradient(const char *what, const gru *g, void *array, size_t count,
                           const void *gradient) {
    const double step =
        real == FASTGRU_FLOAT32 ? 1.0 / 256 : 1.0 / 65536; /* exact in either type */
    for (size_t n = 0; n < 8 && n < count; n++) {
        const ptrdiff_t i = (ptrdiff_t)((n * 7919 + 3) % count);
        const double old = get(array, i);
        set(array, i, old + step);
        const double high = plain_loss(g), above = get(array, i);
        set(array, i, old - step);
        const double low = plain_loss(g), below = get(array, i);
        set(array, i, old);
        const double expected = (high - low) / (above - below), got = get(gradient, i);
        const double tolerance = real == FASTGRU_FLOAT32 ? 1e-3 : 1e-7;
        check(fabs(got - expected) <= tolerance * (1 + fabs(expected)), what, got, expected);
    }
}

typedef struct {
    void *dx, *dkernel, *drecurrent, *dbias, *dh0;
} gradients;

static size_t bias_size(const fastgru_gru_shape *s) {
    return (size_t)((s->reset_after ? 6 : 3) * s->units);
}

static gradients run_backward(const gru *g, const void *cache) {
    const fastgru_gru_shape *s = &g->shape;
    const size_t B = (size_t)s->batch, T = (size_t)s->steps, I = (size_t)s->inputs,
                 H = (size_t)s->units;
    gradients d = {buffer(B * T * I), buffer(I * 3 * H), buffer(H * 3 * H),
                   g->bias ? buffer(bias_size(s)) : NULL, g->h0 ? buffer(B * H) : NULL};
    void *workspace = buffer(kernels->gru_backward_workspace(s));
    kernels->gru_backward(&(fastgru_gru_backward){
        .shape = *s,
        .x = g->x,
        .x_batch = s->steps * s->inputs,
        .x_step = s->inputs,
        .kernel = weights_of(g->kernel, s->units),
        .recurrent = weights_of(g->recurrent, s->units),
        .cache = cache,
        .dy = g->dy,
        .dy_batch = s->steps * s->units,
        .dy_step = s->units,
        .dh_n = g->dh_n,
        .dx = d.dx,
        .dx_batch = s->steps * s->inputs,
        .dx_step = s->inputs,
        .dkernel = d.dkernel,
        .drecurrent = d.drecurrent,
        .dbias = d.dbias,
        .dh0 = d.dh0,
        .workspace = workspace,
        .threads = threads,
    });
    free(workspace);
    return d;
}

static void release_gradients(gradients d) {
    free(d.dx), free(d.dkernel), free(d.drecurrent), free(d.dbias), free(d.dh0);
}

static void test_backward(const gru *g) {
    const fastgru_gru_shape *s = &g->shape;
    const size_t B = (size_t)s->batch, T = (size_t)s->steps, I = (size_t)s->inputs,
                 H = (size_t)s->units;
    outputs o = run_forward(g, s, 0, 1);
    gradients d = run_backward(g, o.cache);
    check_gradient("dx", g, g->x, B * T * I, d.dx);
    check_gradient("dkernel", g, g->kernel, I * 3 * H, d.dkernel);
    check_gradient("drecurrent", g, g->recurrent, H * 3 * H, d.drecurrent);
    if (g->bias) check_gradient("dbias", g, g->bias, bias_size(s), d.dbias);
    if (g->h0) check_gradient("dh0", g, g->h0, B * H, d.dh0);
    release(o);
    release_gradients(d);
}

/* Any number of threads gives the bits of one. */
static void test_threads(const gru *g) {
    const fastgru_gru_shape *s = &g->shape;
    const size_t B = (size_t)s->batch, T = (size_t)s->steps, I = (size_t)s->inputs,
                 H = (size_t)s->units;
    threads = 1;
    outputs one = run_forward(g, s, 0, 1);
    gradients of_one = run_backward(g, one.cache);
    for (threads = 2; threads <= 3; threads++) {
        outputs many = run_forward(g, s, 0, 1), inference = run_forward(g, s, 0, 0);
        gradients of_many = run_backward(g, many.cache);
        check_same_bits("threads: y", many.y, 0, one.y, 0, B * T * H);
        check_same_bits("threads: y in inference", inference.y, 0, one.y, 0, B * T * H);
        check_same_bits("threads: dx", of_many.dx, 0, of_one.dx, 0, B * T * I);
        check_same_bits("threads: dkernel", of_many.dkernel, 0, of_one.dkernel, 0, I * 3 * H);
        check_same_bits("threads: drecurrent", of_many.drecurrent, 0, of_one.drecurrent, 0,
                        H * 3 * H);
        check_same_bits("threads: dbias", of_many.dbias, 0, of_one.dbias, 0,
                        g->bias ? bias_size(s) : 0);
        check_same_bits("threads: dh0", of_many.dh0, 0, of_one.dh0, 0, g->h0 ? B * H : 0);
        release(many);
        release(inference);
        release_gradients(of_many);
    }
    threads = 1;
    release(one);
    release_gradients(of_one);
}

typedef void gru_test(const gru *);

static void test_gru(gru_test *const tests[], ptrdiff_t batch, ptrdiff_t steps, ptrdiff_t inputs,
                     ptrdiff_t units, int variant) {
    gru g = {.shape = {batch, steps, inputs, units, variant & 1, variant >> 1 & 1}};
    const size_t B = (size_t)batch, T = (size_t)steps, I = (size_t)inputs, H = (size_t)units;
    const double scale = 1 / sqrt((double)units + (double)inputs);
    g.x = drawn(B * T * I, 1);
    g.kernel = drawn(I * 3 * H, scale);
    g.recurrent = drawn(H * 3 * H, scale);
    g.bias = variant & 4 ? drawn((g.shape.reset_after ? 6 : 3) * H, 0.5) : NULL;
    g.h0 = variant & 8 ? drawn(B * H, 1) : NULL;
    g.dy = drawn(B * T * H, 1);
    g.dh_n = drawn(B * H, 1);
    for (; *tests; tests++) (*tests)(&g);
    free(g.x), free(g.kernel), free(g.recurrent), free(g.bias), free(g.h0), free(g.dy),
        free(g.dh_n);
}

/* ---- the other kernels ---- */

static void test_dense(ptrdiff_t rows, ptrdiff_t inputs, ptrdiff_t units,
                       fastgru_activation activation) {
    const size_t R = (size_t)rows, I = (size_t)inputs, U = (size_t)units;
    fastgru_dense d = {.rows = rows, .inputs = inputs, .units = units, .activation = activation};
    void *x = drawn(R * I, 1), *kernel = drawn(I * U, 0.5), *bias = drawn(U, 1),
         *dy = drawn(R * U, 1);
    void *dx = buffer(R * I), *dkernel = buffer(I * U), *dbias = buffer(U), *y = buffer(R * U);
    d.x = x, d.kernel = kernel, d.bias = bias, d.y = y, d.dy = dy, d.dx = dx, d.dkernel = dkernel,
    d.dbias = dbias;
    d.workspace = buffer(kernels->dense_workspace(&d));
    kernels->dense_forward(&d);
    kernels->dense_backward(&d);
    double *expected_dx = calloc(R * I + 1, sizeof(double)),
           *expected_dkernel = calloc(I * U, sizeof(double));
    double *expected_dbias = calloc(U, sizeof(double));
    for (ptrdiff_t i = 0; i < rows; i++) {
        for (ptrdiff_t j = 0; j < units; j++) {
            double v = get(bias, j), slope = 1;
            for (ptrdiff_t k = 0; k < inputs; k++)
                v += get(x, i * inputs + k) * get(kernel, k * units + j);
            if (activation == FASTGRU_RELU) slope = v > 0, v = v > 0 ? v : 0;
            if (activation == FASTGRU_SIGMOID) v = sigmoid_of(v), slope = v * (1 - v);
            if (activation == FASTGRU_TANH) v = tanh(v), slope = 1 - v * v;
            check_close("dense y", get(y, i * units + j), v, 8);
            const double before = get(dy, i * units + j) * slope;
            expected_dbias[j] += before;
            for (ptrdiff_t k = 0; k < inputs; k++) {
                expected_dx[i * inputs + k] += before * get(kernel, k * units + j);
                expected_dkernel[k * units + j] += before * get(x, i * inputs + k);
            }
        }
    }
    check_all_close("dense dx", dx, expected_dx, R * I, 8);
    check_all_close("dense dkernel", dkernel, expected_dkernel, I * U, 8);
    check_all_close("dense dbias", dbias, expected_dbias, U, 8);
    free(x), free(kernel), free(bias), free(dy), free(dx), free(dkernel), free(dbias), free(y),
        free(d.workspace);
    free(expected_dx), free(expected_dkernel), free(expected_dbias);
}

static void test_embedding(void) {
    enum { VOCABULARY = 5, WIDTH = 7, COUNT = 6 };
    const int64_t ids[COUNT] = {4, 0, 2, 4, 4, 1};
    void *table = drawn(VOCABULARY * WIDTH, 1), *y = buffer(COUNT * WIDTH),
         *sums = buffer(VOCABULARY * WIDTH);
    ptrdiff_t bad = -1;
    check(!kernels->embedding_forward(ids, COUNT, table, VOCABULARY, WIDTH, y, &bad), "embedding",
          1, 0);
    check(!kernels->embedding_backward(ids, COUNT, y, VOCABULARY, WIDTH, sums, &bad), "embedding",
          1, 0);
    for (int i = 0; i < COUNT; i++)
        check_same_bits("embedding y", y, i * WIDTH, table, ids[i] * WIDTH, WIDTH);
    for (int id = 0; id < VOCABULARY; id++) {
        int times = 0;
        for (int i = 0; i < COUNT; i++) times += ids[i] == id;
        for (int j = 0; j < WIDTH; j++)
            check_close("embedding sum", get(sums, id * WIDTH + j),
                        times * get(table, id * WIDTH + j), 1);
    }
    for (int64_t wrong = -1; wrong <= VOCABULARY; wrong += VOCABULARY + 1) {
        const int64_t two[] = {0, wrong};
        check(kernels->embedding_forward(two, 2, table, VOCABULARY, WIDTH, y, &bad) ==
                      FASTGRU_BAD_ID &&
                  bad == 1,
              "a bad id", (double)bad, 1);
    }
    free(table), free(y), free(sums);
}

static void test_binary_crossentropy(void) {
    enum { COUNT = 9 };
    void *labels = buffer(COUNT), *logits = drawn(COUNT, 5), *probabilities = buffer(COUNT);
    void *losses = buffer(COUNT), *gradients = buffer(COUNT);
    ptrdiff_t bad = -1;
    for (int i = 0; i < COUNT; i++) {
        set(labels, i, i % 3 / 2.0);
        set(probabilities, i, sigmoid_of(get(logits, i)));
    }
    for (int from_logits = 0; from_logits < 2; from_logits++) {
        kernels->binary_crossentropy(labels, from_logits ? logits : probabilities, COUNT,
                                     from_logits, losses, gradients, &bad);
        for (int i = 0; i < COUNT; i++) {
            const double t = get(labels, i),
                         s = from_logits ? sigmoid_of(get(logits, i)) : get(probabilities, i);
            check_close("loss", get(losses, i), -t * log(s) - (1 - t) * log(1 - s), 20);
            const double slope = from_logits ? s - t : (s - t) / (s * (1 - s));
            check_close("loss gradient", get(gradients, i), slope, 20);
        }
    }
    set(labels, 4, NAN);
    check(kernels->binary_crossentropy(labels, logits, COUNT, 1, losses, gradients, &bad) ==
                  FASTGRU_BAD_LABEL &&
              bad == 4,
          "a bad label", (double)bad, 4);
    free(labels), free(logits), free(probabilities), free(losses), free(gradients);
}

static void test_adam(void) {
    enum { COUNT = 37 };
    void *p = drawn(COUNT, 1), *g = drawn(COUNT, 1), *m = drawn(COUNT, 0.1), *v = drawn(COUNT, 0.1);
    double expected[3][COUNT];
    for (int i = 0; i < COUNT; i++) {
        set(v, i, fabs(get(v, i)));
        expected[0][i] = get(m, i) + 0.1 * (get(g, i) - get(m, i));
        expected[1][i] = get(v, i) + 0.001 * (get(g, i) * get(g, i) - get(v, i));
        expected[2][i] = get(p, i) - 0.01 * expected[0][i] / (sqrt(expected[1][i]) + 1e-7);
    }
    kernels->adam(&(fastgru_adam){0.01, 0.9, 0.999, 1e-7}, COUNT, p, g, m, v);
    check_all_close("m", m, expected[0], COUNT, 1);
    check_all_close("v", v, expected[1], COUNT, 1);
    check_all_close("parameters", p, expected[2], COUNT, 1);
    free(p), free(g), free(m), free(v);
}

static void test_elementwise(void) {
    enum { COUNT = 1003 };
    void *x = drawn(COUNT, 20), *y = buffer(COUNT);
    const double special[] = {0,      -0.0, INFINITY, -INFINITY, NAN,  1e-30,
                              -1e-30, 80,   -80,      1000,      -1000};
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) set(x, (ptrdiff_t)i, special[i]);
    const double epsilon = real == FASTGRU_FLOAT32 ? 0x1p-23 : 0x1p-52;
    const double smallest = real == FASTGRU_FLOAT32 ? 0x1p-126 : 0x1p-1022;
    for (int f = 0; f < 3; f++) {
        (f == 0 ? kernels->exp : f == 1 ? kernels->sigmoid : kernels->tanh)(COUNT, x, y);
        for (ptrdiff_t i = 0; i < COUNT; i++) {
            const double a = get(x, i),
                         expected = f == 0   ? exp(a)
                                    : f == 1 ? sigmoid_of(a)
                                             : tanh(a),
                         got = get(y, i);
            const int same =
                isnan(expected) ? isnan(got) : got == expected && signbit(got) == signbit(expected);
            const int overflow = real == FASTGRU_FLOAT32 && expected > 3.5e38 && isinf(got);
            check(same || overflow ||
                      fabs(got - expected) <= 4 * epsilon * fabs(expected) + smallest,
                  f == 0   ? "exp"
                  : f == 1 ? "sigmoid"
                           : "tanh",
                  got, expected);
        }
    }
    free(x), free(y);
}

static void test_kernels(void) {
    gru_test *const results[] = {test_forward, test_backward, NULL}, *const sharing[] = {
                                                                         test_threads, NULL};
    const ptrdiff_t sizes[] = {1, 7, 8, 9, 17, 33};
    int variant = 0;
    for (int b = 0; b < 4; b++)
        for (int i = 0; i < 6; i++)
            for (int h = 0; h < 6; h++, variant = (variant + 7) % 16) {
                const ptrdiff_t batch[] = {1, 2, 5, 9};
                if (b > 1 && i % 2) continue;
                test_gru(results, batch[b], 1 + (i + h) % 4, sizes[i], sizes[h], variant);
            }
    for (variant = 0; variant < 16; variant++) {
        test_gru(results, 0, 3, 4, 5, variant);
        test_gru(results, 3, 5, 12, 20, variant);
        test_gru(results, 1, 70, 3, 40, variant); /* several chunks of steps at one row */
        if (variant % 4 == 3)
            test_gru(sharing, 23, 10, 17, 41, variant); /* members share the rows */
        if (variant < 4) test_gru(sharing, 3, 30, 19, 330, variant | 12); /* and the units */
    }
    for (int activation = FASTGRU_LINEAR; activation <= FASTGRU_TANH; activation++)
        for (int rows = 0; rows < 4; rows++)
            test_dense((ptrdiff_t[]){0, 1, 2, 300}[rows], sizes[2 + rows],
                       sizes[(activation + rows) % 6], (fastgru_activation)activation);
    test_embedding();
    test_binary_crossentropy();
    test_adam();
    test_elementwise();
}

int main(void) {
    for (int i = 0; i < fastgru_isa_count(); i++) {
        for (real = FASTGRU_FLOAT32; real <= FASTGRU_FLOAT64; real++) {
            kernels = fastgru_kernels_at(i, real);
            const long before = checks;
            test_kernels();
            printf("%-10s float%d, %2d lanes: %ld checks\n", kernels->isa, (int)real_size() * 8,
                   kernels->lanes, checks - before);
        }
    }
    printf("%ld passed, %ld failed\n", checks - failures, failures);
    return failures != 0;
}
