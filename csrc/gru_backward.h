/* The GRU's backward pass. In the loop over time stays only what depends on it: the gates' derivatives and the
 * product that carries them to the state before. A chunk of steps' derivatives then gives dW, dU and dx in one
 * product each.
 *
 * A row of derivatives is [dq | dz | dr | dn], H each, before the activations; dq = r * dn is what reaches h U_n when
 * the reset comes after. So columns 0-3H are what U meets, and columns H-4H, in Keras' order, what W meets. */
#ifndef FASTGRU_GRU_BACKWARD_H
#define FASTGRU_GRU_BACKWARD_H

#include "gru_layout.h"

enum { DQ, DZ, DR, DN, DERIVATIVES };

/* Steps whose derivatives are kept at a time: few enough to stay in L2, enough to make dW and dU pass by seldom. */
#define ROWS_AT_A_TIME 256

INLINE ptrdiff_t backward_chunk(const gru_shape *s) {
    return maximum(1, minimum(s->steps, ROWS_AT_A_TIME / maximum(s->batch, 1)));
}

static size_t gru_backward_workspace(const gru_shape *s) {
    const ptrdiff_t hp = padded_units(s), h = s->units, row_count = backward_chunk(s) * s->batch;
    return (size_t)(plain_size(3 * h, h) + plain_size(3 * h, s->inputs) +
                    row_count * (DERIVATIVES * h + s->inputs) + plain_size(row_count, 2 * h) +
                    2 * s->batch * hp);
}

typedef struct {
    const fastgru_gru_backward *args;
    const gru_shape *shape;
    ptrdiff_t units_padded;
    const REAL *cache, *states;
    REAL *
        u_transposed; /* packed, (3H, H): rows q, z, r; reset before (2H, H) of z and r, then (H, H) of n */
    REAL *w_transposed; /* packed, (3H, I): rows z, r, n */
    REAL *derivatives;  /* rows of a chunk, time-major */
    REAL *inputs;       /* the same rows of x, where x itself can't be walked with one stride */
    REAL *packed;       /* some columns of the derivatives, packed */
    REAL *dh;           /* (B, Hp): gradient of the loss to the state after the step at hand */
    REAL *dreset;       /* (B, Hp), reset before: to r * h */
} backward_pass;

/* The transposes of U and W, as right-hand sides of the products that give dh and dx. */
static void pack_transposed(const backward_pass *b) {
    const gru_shape *s = b->shape;
    const ptrdiff_t h = s->units;
    const fastgru_gru_weights *u = &b->args->recurrent, *w = &b->args->kernel;
    const REAL *from = u->data;
    const ptrdiff_t zr_total = s->reset_after ? 3 * h : 2 * h, zr_at = s->reset_after ? h : 0;
    for (int g = 0; g < 2; g++)
        pack_plain(from + u->gate[g], u->column, u->row, h, h, b->u_transposed, zr_at + g * h,
                   zr_total);
    REAL *candidate = s->reset_after ? b->u_transposed : b->u_transposed + plain_size(2 * h, h);
    pack_plain(from + u->gate[2], u->column, u->row, h, h, candidate, 0,
               s->reset_after ? 3 * h : h);
    for (int g = 0; g < GATES; g++)
        pack_plain((const REAL *)w->data + w->gate[g], w->column, w->row, h, s->inputs,
                   b->w_transposed, g * h, 3 * h);
}

static backward_pass begin_backward(const fastgru_gru_backward *args) {
    const gru_shape *s = &args->shape;
    const ptrdiff_t hp = padded_units(s), h = s->units, row_count = backward_chunk(s) * s->batch;
    REAL *buffer = args->workspace;
    backward_pass b = {.args = args, .shape = s, .units_padded = hp, .cache = args->cache};
    b.states = b.cache + cached_states_at(s);
    b.u_transposed = take(&buffer, plain_size(3 * h, h));
    b.w_transposed = take(&buffer, plain_size(3 * h, s->inputs));
    b.derivatives = take(&buffer, row_count * DERIVATIVES * h);
    b.inputs = take(&buffer, row_count * s->inputs);
    b.packed = take(&buffer, plain_size(row_count, 2 * h));
    b.dh = take(&buffer, s->batch * hp);
    b.dreset = take(&buffer, s->batch * hp);
    pack_transposed(&b);
    memset(b.dh, 0, (size_t)(s->batch * hp) * sizeof(REAL));
    for (ptrdiff_t i = 0; args->dh_n && i < s->batch; i++)
        memcpy(b.dh + i * hp, (const REAL *)args->dh_n + i * h, (size_t)h * sizeof(REAL));
    return b;
}

/* One step's rows of the cache, of the states before it, of dy (or NULL) and of the derivatives. */
typedef struct {
    const REAL *cache, *before, *dy;
    REAL *derivatives;
} back_step;

/* d(sigmoid) and d(tanh), by their values. */
INLINE vec through_sigmoid(vec dy, vec y) { return dy * y * (splat(1) - y); }
INLINE vec through_tanh(vec dy, vec y) { return dy * fma_(-y, y, splat(1)); }

/* Through the blend and the activations of z and n. dh becomes what reaches the state before directly. */
INLINE vec differentiate_blend(const backward_pass *b, const back_step *t, ptrdiff_t i,
                               ptrdiff_t j) {
    const ptrdiff_t h = b->shape->units, hp = b->units_padded, left = h - j;
    const REAL *cache = t->cache + i * CACHED * hp + j;
    REAL *derivatives = t->derivatives + i * DERIVATIVES * h + j, *dh_at = b->dh + i * hp + j;
    vec dh = load(dh_at);
    if (t->dy) dh = dh + load_part(t->dy + i * b->args->dy_batch + j, left);
    const vec z = load(cache + CACHED_Z * hp), n = load(cache + CACHED_N * hp);
    const vec before = load(t->before + i * hp + j);
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
    const ptrdiff_t h = b->shape->units, hp = b->units_padded;
    for (ptrdiff_t i = 0; i < b->shape->batch; i++) {
        for (ptrdiff_t j = 0; j < hp; j += LANES) {
            const REAL *cache = t->cache + i * CACHED * hp + j;
            REAL *derivatives = t->derivatives + i * DERIVATIVES * h + j;
            const vec dn = differentiate_blend(b, t, i, j), r = load(cache + CACHED_R * hp);
            store_part(derivatives + DQ * h, dn * r, h - j);
            store_part(derivatives + DR * h, through_sigmoid(dn * load(cache + CACHED_Q * hp), r),
                       h - j);
        }
    }
}

NOINLINE void differentiate_candidates(const backward_pass *b, const back_step *t) {
    for (ptrdiff_t i = 0; i < b->shape->batch; i++)
        for (ptrdiff_t j = 0; j < b->units_padded; j += LANES) differentiate_blend(b, t, i, j);
}

/* Reset before, once the gradient to r * h is known: through the product and through r's activation. */
NOINLINE void differentiate_reset_before(const backward_pass *b, const back_step *t) {
    const ptrdiff_t h = b->shape->units, hp = b->units_padded;
    for (ptrdiff_t i = 0; i < b->shape->batch; i++) {
        for (ptrdiff_t j = 0; j < hp; j += LANES) {
            const vec r = load(t->cache + i * CACHED * hp + CACHED_R * hp + j);
            const vec dreset = load(b->dreset + i * hp + j), before = load(t->before + i * hp + j);
            REAL *dh = b->dh + i * hp + j;
            store(dh, fma_(dreset, r, load(dh)));
            store_part(t->derivatives + i * DERIVATIVES * h + DR * h + j,
                       through_sigmoid(dreset * before, r), h - j);
        }
    }
}

/* (B, Hp) to = or += columns [from, from + depth) of a step's derivatives times a packed transpose. */
static void carry_back(const backward_pass *b, const back_step *t, ptrdiff_t from, ptrdiff_t depth,
                       const REAL *transposed, REAL *to, int accumulate) {
    multiply_packed(&(packed_product){
        .a = rows_at(t->derivatives + from, DERIVATIVES * b->shape->units),
        .c = rows_at(to, b->units_padded),
        .last = b->shape->batch,
        .b = transposed,
        .depth = depth,
        .columns = b->units_padded,
        .vectors = PLAIN,
        .accumulate = accumulate,
    });
}

static void step_back(const backward_pass *b, const back_step *t) {
    const ptrdiff_t h = b->shape->units;
    if (b->shape->reset_after) {
        differentiate_reset_after(b, t);
        carry_back(b, t, DQ * h, 3 * h, b->u_transposed, b->dh, 1);
        return;
    }
    differentiate_candidates(b, t);
    carry_back(b, t, DN * h, h, b->u_transposed + plain_size(2 * h, h), b->dreset, 0);
    differentiate_reset_before(b, t);
    carry_back(b, t, DZ * h, 2 * h, b->u_transposed, b->dh, 1);
}

/* C (+)= A^T D over the rows of a chunk; D: `columns` columns of the derivatives, packed already. */
static void sum_over_rows(const backward_pass *b, const REAL *a, ptrdiff_t stride, ptrdiff_t units,
                          ptrdiff_t row_count, ptrdiff_t columns, REAL *c, int accumulate) {
    multiply_packed(&(packed_product){
        .a = rows_at(a, stride),
        .transposed = 1,
        .c = rows_at(c, 3 * b->shape->units),
        .last = units,
        .b = b->packed,
        .depth = row_count,
        .columns = columns,
        .vectors = PLAIN,
        .accumulate = accumulate,
    });
}

/* A chunk's rows of x with one stride between them: x itself where it has one, else a copy. */
static rows chunk_of_inputs(const backward_pass *b, ptrdiff_t first, ptrdiff_t row_count) {
    const gru_shape *s = b->shape;
    const REAL *x = (const REAL *)b->args->x + first * b->args->x_step;
    const rows from = rows_of_steps(x, s->batch, b->args->x_batch, b->args->x_step);
    if (from.inner == PTRDIFF_MAX) return from;
    for (ptrdiff_t i = 0; i < row_count; i++)
        memcpy(b->inputs + i * s->inputs, row(&from, i), (size_t)s->inputs * sizeof(REAL));
    return rows_at(b->inputs, s->inputs);
}

static void add_rows(const REAL *from, ptrdiff_t stride, ptrdiff_t row_count, ptrdiff_t columns,
                     REAL *to) {
    for (ptrdiff_t i = 0; i < row_count; i++)
        for (ptrdiff_t j = 0; j < columns; j++) to[j] += from[i * stride + j];
}

static void weight_gradients(const backward_pass *b, ptrdiff_t first, ptrdiff_t row_count,
                             int accumulate) {
    const fastgru_gru_backward *args = b->args;
    const gru_shape *s = b->shape;
    const ptrdiff_t h = s->units, hp = b->units_padded, stride = DERIVATIVES * h;
    const REAL *d = b->derivatives, *before = b->states + first * s->batch * hp;
    const rows x = chunk_of_inputs(b, first, row_count);
    REAL *dw = args->dkernel, *du = args->drecurrent;

    pack_plain(d + DZ * h, stride, 1, row_count, 2 * h, b->packed, 0, row_count);
    sum_over_rows(b, x.data, x.stride, s->inputs, row_count, 2 * h, dw, accumulate);
    sum_over_rows(b, before, hp, h, row_count, 2 * h, du, accumulate);

    pack_plain(d + DN * h, stride, 1, row_count, h, b->packed, 0, row_count);
    sum_over_rows(b, x.data, x.stride, s->inputs, row_count, h, dw + 2 * h, accumulate);
    if (s->reset_after) {
        pack_plain(d + DQ * h, stride, 1, row_count, h, b->packed, 0, row_count);
        sum_over_rows(b, before, hp, h, row_count, h, du + 2 * h, accumulate);
    } else {
        const REAL *reset = b->cache + first * s->batch * CACHED * hp + CACHED_Q * hp;
        sum_over_rows(b, reset, CACHED * hp, h, row_count, h, du + 2 * h, accumulate);
    }
    if (!args->dbias) return;
    add_rows(d + DZ * h, stride, row_count, 3 * h, args->dbias);
    if (s->reset_after) add_rows(d + DQ * h, stride, row_count, h, (REAL *)args->dbias + 5 * h);
}

static void input_gradients(const backward_pass *b, ptrdiff_t first, ptrdiff_t row_count) {
    const fastgru_gru_backward *args = b->args;
    const ptrdiff_t h = b->shape->units;
    multiply_packed(&(packed_product){
        .a = rows_at(b->derivatives + DZ * h, DERIVATIVES * h),
        .c = rows_of_steps((REAL *)args->dx + first * args->dx_step, b->shape->batch,
                           args->dx_batch, args->dx_step),
        .last = row_count,
        .b = b->w_transposed,
        .depth = 3 * h,
        .columns = b->shape->inputs,
        .vectors = PLAIN,
    });
}

static void gru_backward(const fastgru_gru_backward *args) {
    const gru_shape *s = &args->shape;
    const backward_pass b = begin_backward(args);
    const ptrdiff_t h = s->units, bhp = s->batch * b.units_padded, chunk = backward_chunk(s);
    REAL *dbias = args->dbias;
    if (dbias) memset(dbias, 0, (size_t)(h * (s->reset_after ? 6 : 3)) * sizeof(REAL));
    for (ptrdiff_t first = (s->steps - 1) / chunk * chunk; first >= 0; first -= chunk) {
        const ptrdiff_t end = minimum(first + chunk, s->steps);
        for (ptrdiff_t i = end - 1; i >= first; i--) {
            const back_step t = {
                .cache = b.cache + i * CACHED * bhp,
                .before = b.states + i * bhp,
                .dy = args->dy ? (const REAL *)args->dy + i * args->dy_step : NULL,
                .derivatives = b.derivatives + (i - first) * s->batch * DERIVATIVES * h,
            };
            step_back(&b, &t);
        }
        weight_gradients(&b, first, (end - first) * s->batch, end < s->steps);
        input_gradients(&b, first, (end - first) * s->batch);
    }
    /* z's and r's two biases enter as a sum: their gradients are the same. */
    if (dbias && s->reset_after) memcpy(dbias + 3 * h, dbias, (size_t)(2 * h) * sizeof(REAL));
    for (ptrdiff_t i = 0; args->dh0 && i < s->batch; i++)
        memcpy((REAL *)args->dh0 + i * h, b.dh + i * b.units_padded, (size_t)h * sizeof(REAL));
}

#endif
