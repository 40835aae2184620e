#include "recurrent_run.h"

#include <stdio.h>

/* In the library's memory layout, or as PyTorch has them, with the gates the other way round. */
static fastgru_weights weights_of(const problem *p, const array *a, ptrdiff_t rows, void **made) {
    const ptrdiff_t gates = gates_of(&p->is), units = p->is.shape.units, block = units * rows;
    fastgru_weights w = {a->data, gates * units, 1, {0, units, 2 * units, 3 * units}};
    *made = NULL;
    if (!p->is.torch_weights) return w;
    w = (fastgru_weights){ *made = buffer(a->count), 1, rows, {0}};
    for (ptrdiff_t g = 0; g < gates; g++) {
        w.gate[g] = (gates - 1 - g) * block;
        for (ptrdiff_t k = 0; k < rows; k++)
            for (ptrdiff_t j = 0; j < units; j++)
                set(*made, w.gate[g] + j * rows + k, a->numbers[(k * gates + g) * units + j]);
    }
    return w;
}

/* Some rows of gates' columns from one layout into the other: blocks of gates, as the biases and gradients of a shape are,
 * transposed or not, and as the library's own are. */
static void *rearranged(const fastgru_shape *s, ptrdiff_t gates, const void *a, ptrdiff_t rows,
                        int transposed, int back) {
    const ptrdiff_t units = s->units;
    void *made = buffer((size_t)(rows * gates * units));
    for (ptrdiff_t k = 0; k < rows; k++)
        for (ptrdiff_t g = 0; g < gates; g++)
            for (ptrdiff_t j = 0; j < units; j++) {
                const ptrdiff_t place = s->resets_first && g < 2 ? 1 - g : g;
                const ptrdiff_t theirs = transposed ? (place * units + j) * rows + k
                                                    : (k * gates + place) * units + j,
                                ours = (k * gates + g) * units + j;
                set(made, back ? ours : theirs, get(a, back ? theirs : ours));
            }
    return made;
}

static void make_schedule(run *r, const problem *p) {
    fastgru_shape *s = &r->forward.shape;
    int leaves_out = 1;
    if (p->is.rows == EVEN) return;
    if (p->mask) {
        r->schedule_memory = malloc(fastgru_schedule_size(s->batch, s->steps));
        leaves_out = fastgru_schedule_mask(p->mask, s->steps, 1, s->batch, s->steps,
                                           r->schedule_memory, &r->schedule);
    } else {
        r->schedule_memory = malloc(fastgru_schedule_size(0, s->steps));
        fastgru_schedule_packed(p->sizes, s->steps, r->schedule_memory, &r->schedule);
    }
    if (leaves_out) s->schedule = &r->schedule;
}

static void *state_buffer(const problem *p, int wanted) {
    return wanted ? buffer((size_t)(p->is.shape.batch * p->is.shape.units)) : NULL;
}

void run_forward(run *r, const problem *p, run_mode mode, int threads) {
    const int lstm = p->is.shape.cell == FASTGRU_LSTM;
    *r = (run){.forward = {.shape = p->is.shape}};
    fastgru_forward *f = &r->forward;
    f->shape.recompute = mode == RECOMPUTE;
    make_schedule(r, p);
    r->backward.kernel = weights_of(p, &p->kernel, f->shape.inputs, &r->kernel);
    r->backward.recurrent = weights_of(p, &p->recurrent, f->shape.units, &r->recurrent);
    void *packed = buffer(kernels->packed_size(&f->shape));
    kernels->pack(&f->shape, &r->backward.kernel, &r->backward.recurrent, packed, threads);
    f->packed = packed;
    f->x = at(p->x.data, p->x_at.origin), f->x_batch = p->x_at.batch, f->x_step = p->x_at.step;
    if (p->bias.data)
        r->bias = rearranged(&f->shape, gates_of(&p->is), p->bias.data,
                             (ptrdiff_t)p->bias.count / (gates_of(&p->is) * f->shape.units), 0, 0);
    f->bias = r->bias, f->h0 = p->h0.data, f->c0 = p->c0.data;
    f->input_dropout = p->input_dropout.data, f->state_dropout = p->state_dropout.data;
    if (mode != WITHOUT_Y) r->y = buffer(p->y_at.size);
    f->y = at(r->y, p->y_at.origin);
    f->y_batch = p->y_at.batch, f->y_step = p->y_at.step;
    f->h_n = state_buffer(p, 1), f->c_n = state_buffer(p, lstm);
    f->cache = mode < TRAINING ? NULL : buffer(kernels->cache_size(&f->shape));
    f->threads = threads;
    f->workspace = buffer(kernels->forward_workspace(&f->shape, threads));
    kernels->forward(f);
    free(f->workspace);
    f->workspace = NULL;
}

/* A gradient becomes what it is in the library's own layout. */
static void restore(const fastgru_shape *s, ptrdiff_t gates, void **gradient, ptrdiff_t rows,
                    int transposed) {
    void *const found = *gradient;
    if (found) *gradient = rearranged(s, gates, found, rows, transposed, 1);
    free(found);
}

void run_backward(run *r, const problem *p) {
    fastgru_backward *b = &r->backward;
    const int lstm = p->is.shape.cell == FASTGRU_LSTM;
    b->forward = r->forward;
    b->forward.y = b->forward.h_n = b->forward.c_n = NULL;
    b->dy = at(p->dy.data, p->y_at.origin), b->dy_batch = p->y_at.batch, b->dy_step = p->y_at.step;
    b->dh_n = p->dh_n.data, b->dc_n = p->dc_n.data;
    r->dx = r->without_dx ? NULL : buffer(p->x_at.size);
    b->dx = at(r->dx, p->x_at.origin);
    b->dx_batch = p->x_at.batch, b->dx_step = p->x_at.step;
    b->dkernel = buffer(p->kernel.count), b->drecurrent = buffer(p->recurrent.count);
    b->dbias = p->is.has_bias ? buffer(bias_size(&p->is)) : NULL;
    b->dh0 = state_buffer(p, p->is.has_states), b->dc0 = state_buffer(p, p->is.has_states && lstm);
    b->threads = r->forward.threads;
    b->workspace = buffer(kernels->backward_workspace(&r->forward.shape, b->threads));
    kernels->backward(b);
    free(b->workspace);
    const fastgru_shape *s = &r->forward.shape;
    const ptrdiff_t gates = gates_of(&p->is), width = gates * s->units;
    restore(s, gates, &b->dkernel, s->inputs, s->transposes_gradients);
    restore(s, gates, &b->drecurrent, s->units, s->transposes_gradients);
    restore(s, gates, &b->dbias, (ptrdiff_t)bias_size(&p->is) / width, 0);
}

int results_of(const run *r, const problem *p, result *results) {
    const fastgru_forward *f = &r->forward;
    const fastgru_backward *b = &r->backward;
    const size_t states = (size_t)(p->is.shape.batch * p->is.shape.units);
    const result all[MOST_RESULTS] = {
        {"y", r->y, p->y_at.size},
        {"h_n", f->h_n, states},
        {"c_n", f->c_n, states},
        {"dx", r->dx, p->x_at.size},
        {"dkernel", b->dkernel, p->kernel.count},
        {"drecurrent", b->drecurrent, p->recurrent.count},
        {"dbias", b->dbias, bias_size(&p->is)},
        {"dh0", b->dh0, states},
        {"dc0", b->dc0, states},
    };
    memcpy(results, all, sizeof all);
    return MOST_RESULTS;
}

void check_same_results(const char *what, const run *got, const run *expected, const problem *p) {
    result left[MOST_RESULTS], right[MOST_RESULTS];
    const int count = results_of(got, p, left);
    results_of(expected, p, right);
    for (int i = 0; i < count; i++) {
        char name[60];
        snprintf(name, sizeof name, "%s: %s", what, left[i].name);
        if (left[i].data && right[i].data)
            check_same_bits(name, left[i].data, right[i].data, left[i].count);
    }
}

void release_run(run *r) {
    const fastgru_forward *f = &r->forward;
    const fastgru_backward *b = &r->backward;
    const void *const all[] = {r->y,   f->h_n,     f->c_n,        f->cache,           f->packed,
                               r->dx,  b->dkernel, b->drecurrent, b->dbias,           b->dh0,
                               b->dc0, r->kernel,  r->recurrent,  r->schedule_memory, r->bias};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free((void *)all[i]);
}
