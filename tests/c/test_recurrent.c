/* GRU, LSTM and simple RNN, forward and backward: values and gradients by the equations, and what the manual promises to
 * have the same bits. */
#include <pthread.h>
#include <stdio.h>

#include "recurrent_run.h"

static int has_standard_activations(const options *o) {
    return o->shape.activation == FASTGRU_TANH && o->shape.recurrent_activation == FASTGRU_SIGMOID;
}

static void test_values(const problem *p) {
    const size_t states = (size_t)(p->is.shape.batch * p->is.shape.units);
    plain_results expected = plain_forward(p);
    const double scale = has_standard_activations(&p->is) ? 8 : 60; /* states may grow */
    run inference, training, last_only;
    run_forward(&inference, p, INFERENCE, 1);
    check_all_close("y", inference.y, expected.y, p->y_at.size, scale);
    check_all_close("h_n", inference.forward.h_n, expected.h, states, scale);
    if (inference.forward.c_n)
        check_all_close("c_n", inference.forward.c_n, expected.c, states, scale);
    run_forward(&training, p, TRAINING, 1);
    check_same_results("in training", &training, &inference, p);
    run_forward(&last_only, p, WITHOUT_Y, 1);
    check_same_results("without y", &last_only, &inference, p);
    release_run(&inference), release_run(&training), release_run(&last_only);
    release_results(&expected);
}

/* The change of the loss along a random direction, each element of the array up or down a step: by central differences,
 * and by the gradient. */
static void check_gradient(const char *what, const problem *p, const array *a,
                           const void *gradient) {
    if (!a->count || !gradient) return;
    const double step = 1e-6 / sqrt((double)a->count);
    double *up = malloc(a->count * sizeof(double)), *down = malloc(a->count * sizeof(double));
    double got = 0, squares = 0;
    for (size_t i = 0; i < a->count; i++) {
        const double sign = draw() < 0 ? -1 : 1, old = a->numbers[i];
        up[i] = old + sign * step, down[i] = old - sign * step;
        if (isnan(old)) continue;
        const double g = get(gradient, (ptrdiff_t)i);
        got += sign * g;
        squares += g * g;
    }
    problem moved = *p;
    array *const theirs = (array *)((char *)&moved + ((const char *)a - (const char *)p));
    theirs->numbers = up;
    const double high = plain_loss(&moved);
    theirs->numbers = down;
    const double expected = (high - plain_loss(&moved)) / (2 * step);
    const double tolerance = (real == FASTGRU_FLOAT32 ? 2e-5 : 1e-6) * (1 + sqrt(squares));
    check(fabs(got - expected) <= tolerance, what, got, expected);
    free(up), free(down);
}

/* Zero in the steps that don't count, and untouched between the rows. */
static void check_dx(const problem *p, const void *dx) {
    const fastgru_shape *s = &p->is.shape;
    char *const written = calloc(p->x_at.size + 1, 1);
    for (ptrdiff_t b = 0; b < s->batch; b++)
        for (ptrdiff_t t = 0; t < s->steps; t++)
            for (ptrdiff_t k = 0; k < s->inputs && (p->mask || counts(p, b, t)); k++) {
                const ptrdiff_t i = x_index(p, b, t) + k;
                written[i] = 1;
                if (!counts(p, b, t)) check(get(dx, i) == 0, "dx, masked", get(dx, i), 0);
            }
    for (size_t i = 0; i < p->x_at.size; i++)
        if (!written[i])
            check(isnan(get(dx, (ptrdiff_t)i)), "dx, in a gap", get(dx, (ptrdiff_t)i), NAN);
    free(written);
}

static void test_gradients(const problem *p) {
    run r, again, without_dx;
    run_forward(&r, p, TRAINING, 1);
    run_backward(&r, p);
    check_gradient("dx", p, &p->x, r.dx);
    check_gradient("dkernel", p, &p->kernel, r.backward.dkernel);
    check_gradient("drecurrent", p, &p->recurrent, r.backward.drecurrent);
    check_gradient("dbias", p, &p->bias, r.backward.dbias);
    check_gradient("dh0", p, &p->h0, r.backward.dh0);
    check_gradient("dc0", p, &p->c0, r.backward.dc0);
    check_dx(p, r.dx);
    run_forward(&again, p, RECOMPUTE, 1);
    run_backward(&again, p);
    check_same_results("recomputed", &again, &r, p);
    run_forward(&without_dx, p, TRAINING, 1);
    without_dx.without_dx = 1;
    run_backward(&without_dx, p);
    check_same_results("without dx", &without_dx, &r, p);
    release_run(&r), release_run(&again), release_run(&without_dx);
}

/* Row b's part of an array that is laid out in memory, as if it were alone. */
static void check_same_row(const char *what, const problem *p, ptrdiff_t b, const void *got,
                           ptrdiff_t (*index)(const problem *, ptrdiff_t, ptrdiff_t),
                           const void *alone, ptrdiff_t width) {
    for (ptrdiff_t t = 0, n = 0; t < p->is.shape.steps; t++)
        if (counts(p, b, t))
            check_same_bits(what, at(got, index(p, b, t)), at(alone, n++ * width), (size_t)width);
}

/* A row has the same bits in any batch, under a mask, packed and anywhere in memory. */
static void test_rows_alone(const problem *p) {
    const ptrdiff_t H = p->is.shape.units, batch = p->is.shape.batch;
    run all;
    run_forward(&all, p, TRAINING, 1);
    run_backward(&all, p);
    for (ptrdiff_t b = 0; b < batch; b++) {
        problem one = row_of(p, b);
        run r;
        run_forward(&r, &one, TRAINING, 1);
        run_backward(&r, &one);
        check_same_row("a row alone: y", p, b, all.y, y_index, r.y, H);
        check_same_bits("a row alone: h_n", at(all.forward.h_n, b * H), r.forward.h_n, (size_t)H);
        if (r.forward.c_n)
            check_same_bits("a row alone: c_n", at(all.forward.c_n, b * H), r.forward.c_n,
                            (size_t)H);
        /* Gradients go through matrix tiles where there are enough rows. */
        if (strcmp(kernels->isa, "amx") &&
            (!p->mask ||
             !p->is.shape.repeats)) { /* where outputs repeat, one row's dy stands for several */
            check_same_row("a row alone: dx", p, b, all.dx, x_index, r.dx, p->is.shape.inputs);
            if (r.backward.dh0)
                check_same_bits("a row alone: dh0", at(all.backward.dh0, b * H), r.backward.dh0,
                                (size_t)H);
        }
        release_run(&r);
        release_problem(&one);
    }
    release_run(&all);
}

static void test_results(const options *o) {
    problem p = new_problem(o);
    test_values(&p);
    test_gradients(&p);
    test_rows_alone(&p);
    release_problem(&p);
}

/* ---- threads ---- */

static void run_both(run *r, const problem *p, run_mode mode, int threads) {
    run_forward(r, p, mode, threads);
    if (mode >= TRAINING) run_backward(r, p);
}

/* Any number of threads gives the bits of one. */
static void test_threads(const options *o) {
    problem p = new_problem(o);
    run one;
    run_both(&one, &p, TRAINING, 1);
    fastgru_shape shape = one.forward.shape;
    check(kernels->forward_workspace(&shape, 3) > kernels->forward_workspace(&shape, 1),
          "worth sharing", 0, 1);
    for (int threads = 2; threads <= 3; threads++) {
        const run_mode modes[] = {INFERENCE, TRAINING, RECOMPUTE};
        for (int m = 0; m < 3; m++) {
            run many;
            run_both(&many, &p, modes[m], threads);
            check_same_results(m == 0   ? "threads, inference"
                               : m == 1 ? "threads"
                                        : "threads, recomputed",
                               &many, &one, &p);
            release_run(&many);
        }
    }
    release_run(&one);
    release_problem(&p);
}

typedef struct {
    const problem *p;
    run results;
} caller;

static void *call(void *argument) {
    caller *c = argument;
    run_both(&c->results, c->p, TRAINING, 2);
    return NULL;
}

/* Callers that come at the same time don't disturb each other. */
static void test_callers(const options *o) {
    enum { CALLERS = 3 };
    problem p = new_problem(o);
    pthread_t threads[CALLERS];
    caller callers[CALLERS];
    run one;
    run_both(&one, &p, TRAINING, 1);
    for (int i = 0; i < CALLERS; i++) {
        callers[i].p = &p;
        if (pthread_create(&threads[i], NULL, call, &callers[i])) exit(2);
    }
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(threads[i], NULL);
        check_same_results("callers at the same time", &callers[i].results, &one, &p);
        release_run(&callers[i].results);
    }
    release_run(&one);
    release_problem(&p);
}

/* ---- cases ---- */

static options standard(fastgru_cell cell, ptrdiff_t batch, ptrdiff_t steps, ptrdiff_t inputs,
                        ptrdiff_t units) {
    return (options){
        .shape = {.batch = batch,
                  .steps = steps,
                  .inputs = inputs,
                  .units = units,
                  .cell = cell,
                  .activation = FASTGRU_TANH,
                  .recurrent_activation = FASTGRU_SIGMOID,
                  .reset_after = 1},
        .has_bias = 1,
        .has_states = 1,
        .has_dy = 1,
        .has_last = 1,
    };
}

static int one_in(int count) { return draw_below(count) == 0; }

/* Anything with anything else, except for sizes. */
static void draw_options(options *o) {
    fastgru_shape *s = &o->shape;
    const int copies[] = {0, 1, gates_of(o)};
    const int least = s->batch == 0 ? 2 : RAGGEDNESS;
    o->rows = (raggedness)draw_below(least);
    o->x_kind = (layout_kind)draw_below(LAYOUTS);
    o->y_kind = (layout_kind)draw_below(LAYOUTS);
    o->has_bias = !one_in(3), o->has_states = !one_in(3);
    o->has_dy = !one_in(6), o->has_last = !one_in(3);
    o->torch_weights = one_in(3);
    s->reset_after = one_in(2), s->update_replaces = one_in(2), s->repeats = one_in(2);
    s->transposes_gradients = o->torch_weights;
    s->resets_first = s->cell == FASTGRU_GRU && s->repeats; /* which has nothing to do with it */
    s->input_copies = one_in(2) ? copies[draw_below(3)] : 0;
    s->state_copies = one_in(2) ? copies[draw_below(3)] : 0;
    if (one_in(2)) return;
    /* Gates that are bounded and candidates that are not too steep: the states must not grow beyond all measure. */
    const fastgru_activation gates[] = {FASTGRU_TANH,         FASTGRU_SIGMOID,  FASTGRU_HARD_TANH,
                                        FASTGRU_HARD_SIGMOID, FASTGRU_SOFTSIGN, FASTGRU_RELU6};
    s->activation = (fastgru_activation)draw_below(FASTGRU_MISH + 1);
    if (s->activation == FASTGRU_EXPONENTIAL) s->activation = FASTGRU_RELU;
    s->recurrent_activation = gates[draw_below(6)];
}

/* Over many steps other activations would let the states grow without bound. */
static void draw_bounded_options(options *o) {
    draw_options(o);
    if (has_standard_activations(o)) return;
    o->shape.activation = FASTGRU_SOFTSIGN;
    o->shape.recurrent_activation = FASTGRU_HARD_SIGMOID;
}

static void test_cell(fastgru_cell cell) {
    const ptrdiff_t sizes[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 33};
    for (int i = 0; i < 36; i++) {
        options o = standard(cell, draw_below(8), 1 + draw_below(5), sizes[draw_below(10)],
                             sizes[draw_below(10)]);
        if (i > 5) draw_options(&o);
        test_results(&o);
    }
    for (int kind = 0; kind <= FASTGRU_MISH; kind++) {
        options o = standard(cell, 2, 3, 3, 5);
        o.shape.activation = (fastgru_activation)kind;
        o.shape.recurrent_activation = (fastgru_activation)(FASTGRU_MISH - kind);
        /* Exponential gates make states that differ beyond all measure after a step or two. */
        if (o.shape.recurrent_activation == FASTGRU_EXPONENTIAL) o.shape.steps = 1;
        test_results(&o);
    }
}

static void test_large(fastgru_cell cell) {
    options o = standard(cell, 0, 3, 4, 5);
    test_results(&o);
    o = standard(cell, 1, 2, 3, 270); /* several blocks of the products' depth */
    test_results(&o);
    o = standard(cell, 1, 40, 3, 310); /* a chunk of rows as digits, some of the depth at a time */
    o.shape.reset_after = 0;
    test_results(&o);
    for (int i = 0; i < 2; i++) {
        o = standard(cell, 19, 40, 3, 5); /* several chunks of steps */
        if (i) draw_bounded_options(&o);
        test_results(&o);
        o = standard(cell, 1, 600, 1, 2);
        if (i) draw_bounded_options(&o);
        test_results(&o);
    }
}

void test_recurrent(void) {
    seed((unsigned)kernels->lanes);
    for (int cell = FASTGRU_GRU; cell <= FASTGRU_SIMPLE_RNN; cell++) {
        test_cell((fastgru_cell)cell);
        test_large((fastgru_cell)cell);
        for (int i = 0; i < 2; i++) {
            options rows = standard((fastgru_cell)cell, 23, 40, 17, 41),
                    units = standard((fastgru_cell)cell, 7, 10, 19, 130);
            if (i) draw_bounded_options(&rows), draw_bounded_options(&units);
            test_threads(&rows);  /* members share the rows */
            test_threads(&units); /* and the units */
            if (i == 1) test_callers(&rows);
        }
    }
}
