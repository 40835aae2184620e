/* The kernels beside the recurrent layers. */
#include "check.h"

static double sigmoid_of(double x) { return 1 / (1 + exp(-x)); }

static void *drawn_data(size_t count, double scale) {
    array a = drawn(count, scale);
    free(a.numbers);
    return a.data;
}

static void test_dense(ptrdiff_t rows, ptrdiff_t inputs, ptrdiff_t units,
                       fastgru_activation activation) {
    const size_t R = (size_t)rows, I = (size_t)inputs, U = (size_t)units;
    fastgru_dense d = {.rows = rows, .inputs = inputs, .units = units, .activation = activation};
    void *x = drawn_data(R * I, 1), *kernel = drawn_data(I * U, 0.5), *bias = drawn_data(U, 1),
         *dy = drawn_data(R * U, 1);
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
    void *table = drawn_data(VOCABULARY * WIDTH, 1), *y = buffer(COUNT * WIDTH),
         *sums = buffer(VOCABULARY * WIDTH);
    ptrdiff_t bad = -1;
    check(!kernels->embedding_forward(ids, COUNT, table, VOCABULARY, WIDTH, y, &bad), "embedding",
          1, 0);
    check(!kernels->embedding_backward(ids, COUNT, y, VOCABULARY, WIDTH, sums, &bad), "embedding",
          1, 0);
    for (int i = 0; i < COUNT; i++)
        check_same_bits("embedding y", at(y, i * WIDTH), at(table, ids[i] * WIDTH), WIDTH);
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
    void *labels = buffer(COUNT), *logits = drawn_data(COUNT, 5), *probabilities = buffer(COUNT);
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
    void *p = drawn_data(COUNT, 1), *g = drawn_data(COUNT, 1), *m = drawn_data(COUNT, 0.1),
         *v = drawn_data(COUNT, 0.1);
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
    void *x = drawn_data(COUNT, 20), *y = buffer(COUNT);
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

void test_layers(void) {
    seed(8);
    strcpy(case_name, "layers");
    const ptrdiff_t sizes[] = {1, 7, 8, 9, 17, 33}, rows[] = {0, 1, 2, 300};
    for (int activation = FASTGRU_LINEAR; activation <= FASTGRU_TANH; activation++)
        for (int i = 0; i < 4; i++)
            test_dense(rows[i], sizes[2 + i], sizes[(activation + i) % 6],
                       (fastgru_activation)activation);
    test_embedding();
    test_binary_crossentropy();
    test_adam();
    test_elementwise();
}
