/* The GRU's backward pass. In the loop over time stays only what depends on it: the gates' derivatives and the
 * product that carries them to the state before. A chunk of steps' derivatives then gives dW, dU and dx in one
 * product each.
 *
 * A row of derivatives is [dq | dz | dr | dn], H each, before the activations; dq = r * dn is what reaches h U_n when
 * the reset comes after. So columns 0-3H are what U meets, and columns H-4H, in Keras' order, what W meets. */
#ifndef FASTGRU_GRU_BACKWARD_H
#define FASTGRU_GRU_BACKWARD_H

#include "elementary.h"
#include "gru_layout.h"

enum { DQ, DZ, DR, DN, DERIVATIVES };

INLINE ptrdiff_t derivatives_stride(const gru_shape *s) {
    return row_stride(DERIVATIVES * s->units);
}

/* Steps whose derivatives are kept at a time: few enough to stay in L2, enough to make dW and dU pass by seldom. */
#define ROWS_AT_A_TIME 256

INLINE ptrdiff_t backward_chunk(const gru_shape *s) {
    return maximum(1, minimum(s->steps, ROWS_AT_A_TIME / maximum(s->batch, 1)));
}

typedef struct {
    const fastgru_gru_backward *args;
    const gru_shape *shape;
    ptrdiff_t units_stride;
    const REAL *cache, *states;
    REAL *
        u_transposed; /* packed, (3H, H): rows q, z, r; reset before (2H, H) of z and r, then (H, H) of n */
    REAL *w_transposed; /* packed, (3H, I): rows z, r, n */
    REAL *derivatives;  /* rows of a chunk, time-major */
    REAL *inputs;       /* the same rows of x, where x itself can't be walked at one good stride */
    REAL *packed_zr, *packed_n, *packed_q; /* those columns of the derivatives, packed */
    REAL *dh;     /* (B, Hs): gradient of the loss to the state after the step at hand */
    REAL *dreset; /* (B, Hs), reset before: to r * h */
    fastgru_barrier ready;
} backward_pass;

/* Lays the buffers out and returns where they end. */
static REAL *lay_out_backward(backward_pass *b, const gru_shape *s, REAL *buffer) {
    const ptrdiff_t h = s->units, row_count = backward_chunk(s) * s->batch,
                    bhs = s->batch * stride_of_units(s);
    b->u_transposed = take(&buffer, plain_size(3 * h, h));
    b->w_transposed = take(&buffer, plain_size(3 * h, s->inputs));
    b->derivatives = take(&buffer, row_count * derivatives_stride(s));
    b->inputs = take(&buffer, row_count * row_stride(s->inputs));
    b->packed_zr = take(&buffer, plain_size(row_count, 2 * h));
    b->packed_n = take(&buffer, plain_size(row_count, h));
    b->packed_q = take(&buffer, s->reset_after ? plain_size(row_count, h) : 0);
    b->dh = take(&buffer, bhs);
    b->dreset = take(&buffer, s->reset_after ? 0 : bhs);
    return buffer;
}

static size_t gru_backward_workspace(const gru_shape *s) {
    backward_pass b;
    REAL origin;
    return (size_t)(lay_out_backward(&b, s, &origin) - &origin);
}

static backward_pass begin_backward(const fastgru_gru_backward *args) {
    const gru_shape *s = &args->shape;
    const ptrdiff_t hs = stride_of_units(s), h = s->units;
    backward_pass b = {.args = args, .shape = s, .units_stride = hs, .cache = args->cache};
    b.states = b.cache + cached_states_at(s);
    lay_out_backward(&b, s, args->workspace);
    memset(b.dh, 0, (size_t)(s->batch * hs) * sizeof(REAL));
    for (ptrdiff_t i = 0; args->dh_n && i < s->batch; i++)
        memcpy(b.dh + i * hs, (const REAL *)args->dh_n + i * h, (size_t)h * sizeof(REAL));
    return b;
}

/* Some columns of the transpose of one gate's block of a weight matrix, at row `at` of a packed matrix `total` deep. */
static void pack_transposed(const fastgru_gru_weights *w, int gate, ptrdiff_t depth,
                            ptrdiff_t first, ptrdiff_t last, REAL *to, ptrdiff_t at,
                            ptrdiff_t total) {
    pack_plain((const REAL *)w->data + w->gate[gate] + first * w->row, w->column, w->row, depth,
               last - first, to + first * total, at, total);
}

/* The member's columns of the transposes of U and W, as right-hand sides of the products that give dh and dx. */
static void transpose_weights(const backward_pass *b, const share *part) {
    const gru_shape *s = b->shape;
    const fastgru_gru_weights *u = &b->args->recurrent, *w = &b->args->kernel;
    const ptrdiff_t h = s->units, total = s->reset_after ? 3 * h : 2 * h,
                    at = s->reset_after ? h : 0;
    ptrdiff_t first, last;
    part_of(h, PLAIN * LANES, part->member, part->members, &first, &last);
    for (int g = 0; g < 2; g++)
        pack_transposed(u, g, h, first, last, b->u_transposed, at + g * h, total);
    if (s->reset_after) pack_transposed(u, 2, h, first, last, b->u_transposed, 0, total);
    else pack_transposed(u, 2, h, first, last, b->u_transposed + plain_size(2 * h, h), 0, h);
    part_of(s->inputs, PLAIN * LANES, part->member, part->members, &first, &last);
    for (int g = 0; g < GATES; g++)
        pack_transposed(w, g, h, first, last, b->w_transposed, g * h, 3 * h);
}

/* One step's rows of the cache, of the states before it, of dy (or NULL) and of the derivatives. */
typedef struct {
    const share *part;
    const REAL *cache, *before, *dy;
    REAL *derivatives;
} back_step;

/* The member's rows and, in vectors, its units. */
#define FOR_EACH_VECTOR(t, i, j)                                                                   \
    for (ptrdiff_t i = (t)->part->first_row; i < (t)->part->last_row; i++)                         \
        for (ptrdiff_t j = (t)->part->first_unit; j < (t)->part->last_unit; j += LANES)

/* Through the blend and the activations of z and n. dh becomes what reaches the state before directly. */
INLINE vec differentiate_blend(const backward_pass *b, const back_step *t, ptrdiff_t i,
                               ptrdiff_t j) {
    const ptrdiff_t h = b->shape->units, hs = b->units_stride, left = h - j;
    const REAL *cache = t->cache + i * CACHED * hs + j;
    REAL *derivatives = t->derivatives + i * derivatives_stride(b->shape) + j,
         *dh_at = b->dh + i * hs + j;
    vec dh = load(dh_at);
    if (t->dy) dh = dh + load_part(t->dy + i * b->args->dy_batch + j, left);
    const vec z = load(cache + CACHED_Z * hs), n = load(cache + CACHED_N * hs);
    const vec before = load(t->before + i * hs + j);
    const int replaces = b->shape->update_replaces;
    const vec to_candidate = replaces ? z : splat(1) - z, to_before = replaces ? splat(1) - z : z;
    const vec dn = through_tanh(dh * to_candidate, n);
    store_part(derivatives + DZ * h, through_sigmoid(dh * (replaces ? n - before : before - n), z),
               left);
    store_part(derivatives + DN * h, dn, left);
    store(dh_at, dh * to_before);
    return dn;
}

NOINLINE void differentiate_reset_after(const backward_pass *b, const back_step *t) {
    const ptrdiff_t h = b->shape->units, hs = b->units_stride;
    FOR_EACH_VECTOR(t, i, j) {
        const REAL *cache = t->cache + i * CACHED * hs + j;
        REAL *derivatives = t->derivatives + i * derivatives_stride(b->shape) + j;
        const vec dn = differentiate_blend(b, t, i, j), r = load(cache + CACHED_R * hs);
        store_part(derivatives + DQ * h, dn * r, h - j);
        store_part(derivatives + DR * h, through_sigmoid(dn * load(cache + CACHED_Q * hs), r),
                   h - j);
    }
}

NOINLINE void differentiate_candidates(const backward_pass *b, const back_step *t) {
    FOR_EACH_VECTOR(t, i, j) differentiate_blend(b, t, i, j);
}

/* Reset before, once the gradient to r * h is known: through the product and through r's activation. */
NOINLINE void differentiate_reset_before(const backward_pass *b, const back_step *t) {
    const ptrdiff_t h = b->shape->units, hs = b->units_stride;
    FOR_EACH_VECTOR(t, i, j) {
        const vec r = load(t->cache + i * CACHED * hs + CACHED_R * hs + j);
        const vec dreset = load(b->dreset + i * hs + j), before = load(t->before + i * hs + j);
        REAL *dh = b->dh + i * hs + j;
        store(dh, fma_(dreset, r, load(dh)));
        store_part(t->derivatives + i * derivatives_stride(b->shape) + DR * h + j,
                   through_sigmoid(dreset * before, r), h - j);
    }
}

/* The member's rows and units of dh, or dreset: columns [from, from + depth) of a step's derivatives times a packed
 * transpose, added or not. */
static void carry_back(const backward_pass *b, const back_step *t, ptrdiff_t from, ptrdiff_t depth,
                       const REAL *transposed, REAL *to, int accumulate) {
    const share *part = t->part;
    multiply_packed(&(packed_product){
        .a = rows_at(t->derivatives + from, derivatives_stride(b->shape)),
        .c = rows_at(to + part->first_unit, b->units_stride),
        .first = part->first_row,
        .last = part->last_row,
        .b = transposed + part->first_unit * depth,
        .depth = depth,
        .columns = part->last_unit - part->first_unit,
        .vectors = PLAIN,
        .accumulate = accumulate,
    });
}

static void wait_for_units(backward_pass *b, const share *part) {
    if (part->units_split) fastgru_wait(&b->ready, part->members);
}

static void step_back(backward_pass *b, const back_step *t) {
    const ptrdiff_t h = b->shape->units;
    if (b->shape->reset_after) {
        differentiate_reset_after(b, t);
        wait_for_units(b, t->part);
        carry_back(b, t, DQ * h, 3 * h, b->u_transposed, b->dh, 1);
        return;
    }
    differentiate_candidates(b, t);
    wait_for_units(b, t->part);
    carry_back(b, t, DN * h, h, b->u_transposed + plain_size(2 * h, h), b->dreset, 0);
    differentiate_reset_before(b, t);
    wait_for_units(b, t->part);
    carry_back(b, t, DZ * h, 2 * h, b->u_transposed, b->dh, 1);
}

/* ---- a chunk's products ---- */

/* Some rows of C (+)= A^T D, over all rows of the chunk; D: columns of the derivatives, packed. */
static void sum_over_rows(const backward_pass *b, const share *part, rows a, ptrdiff_t units,
                          ptrdiff_t row_count, const REAL *packed, ptrdiff_t columns, REAL *c,
                          int accumulate) {
    packed_product product = {
        .a = a,
        .transposed = 1,
        .c = rows_at(c, 3 * b->shape->units),
        .b = packed,
        .depth = row_count,
        .columns = columns,
        .vectors = PLAIN,
        .accumulate = accumulate,
    };
    part_of(units, MOST_ROWS, part->member, part->members, &product.first, &product.last);
    multiply_packed(&product);
}

/* Steps whose derivatives are at hand, and their rows of x with one stride between them. */
typedef struct {
    ptrdiff_t first_step, row_count;
    rows x;
    int accumulate;
} chunk;

/* Before the products: the derivatives packed, and x copied where it can't be walked well. */
static chunk prepare_chunk(const backward_pass *b, const share *part, ptrdiff_t first_step,
                           ptrdiff_t last_step) {
    const gru_shape *s = b->shape;
    const ptrdiff_t h = s->units, stride = derivatives_stride(s),
                    total = (last_step - first_step) * s->batch;
    const REAL *x = (const REAL *)b->args->x + first_step * b->args->x_step;
    chunk c = {first_step, total, rows_of_steps(x, s->batch, b->args->x_batch, b->args->x_step),
               last_step < s->steps};
    ptrdiff_t first, last;
    part_of(total, 1, part->member, part->members, &first, &last);
    const REAL *d = b->derivatives + first * stride;
    pack_plain(d + DZ * h, stride, 1, last - first, 2 * h, b->packed_zr, first, total);
    pack_plain(d + DN * h, stride, 1, last - first, h, b->packed_n, first, total);
    if (s->reset_after)
        pack_plain(d + DQ * h, stride, 1, last - first, h, b->packed_q, first, total);
    const ptrdiff_t inputs_stride = row_stride(s->inputs);
    if (c.x.inner == PTRDIFF_MAX && row_stride(c.x.stride) == c.x.stride) return c;
    for (ptrdiff_t i = first; i < last; i++)
        memcpy(b->inputs + i * inputs_stride, row(&c.x, i), (size_t)s->inputs * sizeof(REAL));
    c.x = rows_at(b->inputs, inputs_stride);
    return c;
}

static void weight_gradients(const backward_pass *b, const share *part, const chunk *c) {
    const fastgru_gru_backward *args = b->args;
    const ptrdiff_t h = b->shape->units, hs = b->units_stride, inputs = b->shape->inputs,
                    count = c->row_count;
    const ptrdiff_t first_row = c->first_step * b->shape->batch;
    const rows before = rows_at(b->states + first_row * hs, hs);
    const rows reset = rows_at(b->cache + first_row * CACHED * hs + CACHED_Q * hs, CACHED * hs);
    const int add = c->accumulate, after = b->shape->reset_after;
    REAL *dw = args->dkernel, *du = args->drecurrent;
    sum_over_rows(b, part, c->x, inputs, count, b->packed_zr, 2 * h, dw, add);
    sum_over_rows(b, part, c->x, inputs, count, b->packed_n, h, dw + 2 * h, add);
    sum_over_rows(b, part, before, h, count, b->packed_zr, 2 * h, du, add);
    sum_over_rows(b, part, after ? before : reset, h, count, after ? b->packed_q : b->packed_n, h,
                  du + 2 * h, add);
}

static void bias_gradients(const backward_pass *b, const share *part, const chunk *c) {
    const ptrdiff_t h = b->shape->units, stride = derivatives_stride(b->shape);
    REAL *dbias = b->args->dbias;
    ptrdiff_t first, last;
    if (!dbias) return;
    part_of(3 * h, LANES, part->member, part->members, &first, &last);
    add_rows(b->derivatives + DZ * h + first, stride, c->row_count, last - first, dbias + first);
    if (!b->shape->reset_after) return;
    part_of(h, LANES, part->member, part->members, &first, &last);
    add_rows(b->derivatives + DQ * h + first, stride, c->row_count, last - first,
             dbias + 5 * h + first);
}

static void input_gradients(const backward_pass *b, const share *part, const chunk *c) {
    const fastgru_gru_backward *args = b->args;
    const ptrdiff_t h = b->shape->units;
    REAL *dx = (REAL *)args->dx + c->first_step * args->dx_step;
    packed_product product = {
        .a = rows_at(b->derivatives + DZ * h, derivatives_stride(b->shape)),
        .c = rows_of_steps(dx, b->shape->batch, args->dx_batch, args->dx_step),
        .b = b->w_transposed,
        .depth = 3 * h,
        .columns = b->shape->inputs,
        .vectors = PLAIN,
    };
    part_of(c->row_count, MOST_ROWS, part->member, part->members, &product.first, &product.last);
    multiply_packed(&product);
}

/* One member's part of the pass. */
static void backward_task(void *context, int member, int members) {
    backward_pass *b = context;
    const fastgru_gru_backward *args = b->args;
    const gru_shape *s = b->shape;
    const share part = share_of(s, member, members);
    const float_mode mode = flush_denormals();
    const ptrdiff_t bhs = s->batch * b->units_stride, step_count = backward_chunk(s);
    transpose_weights(b, &part);
    fastgru_wait(&b->ready, members);
    for (ptrdiff_t first = (s->steps - 1) / step_count * step_count; first >= 0;
         first -= step_count) {
        const ptrdiff_t end = minimum(first + step_count, s->steps);
        for (ptrdiff_t i = end - 1; i >= first; i--) {
            const back_step t = {
                .part = &part,
                .cache = b->cache + i * CACHED * bhs,
                .before = b->states + i * bhs,
                .dy = args->dy ? (const REAL *)args->dy + i * args->dy_step : NULL,
                .derivatives = b->derivatives + (i - first) * s->batch * derivatives_stride(s),
            };
            step_back(b, &t);
        }
        fastgru_wait(&b->ready, members);
        const chunk c = prepare_chunk(b, &part, first, end);
        fastgru_wait(&b->ready, members);
        weight_gradients(b, &part, &c);
        bias_gradients(b, &part, &c);
        input_gradients(b, &part, &c);
        fastgru_wait(&b->ready, members);
    }
    restore_mode(mode);
}

static void gru_backward(const fastgru_gru_backward *args) {
    const gru_shape *s = &args->shape;
    const ptrdiff_t h = s->units;
    backward_pass b = begin_backward(args);
    REAL *dbias = args->dbias;
    if (dbias) memset(dbias, 0, (size_t)(h * (s->reset_after ? 6 : 3)) * sizeof(REAL));
    fastgru_run_team(threads_for(s, args->threads), backward_task, &b);
    /* z's and r's two biases enter as a sum: their gradients are the same. */
    if (dbias && s->reset_after) memcpy(dbias + 3 * h, dbias, (size_t)(2 * h) * sizeof(REAL));
    for (ptrdiff_t i = 0; args->dh0 && i < s->batch; i++)
        memcpy((REAL *)args->dh0 + i * h, b.dh + i * b.units_stride, (size_t)h * sizeof(REAL));
}

#endif
