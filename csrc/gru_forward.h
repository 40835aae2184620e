/* The GRU's forward pass: input projections for a chunk of steps in one product, then the steps on them. */
#ifndef FASTGRU_GRU_FORWARD_H
#define FASTGRU_GRU_FORWARD_H

#include "elementary.h"
#include "gru_layout.h"

/* Rows (steps × batch) whose input projections are made together: enough for a product to run at full speed,
 * few enough to stay in L2 until the steps have used them. */
INLINE ptrdiff_t forward_chunk(const gru_shape *s) {
    const ptrdiff_t fitting =
        ((ptrdiff_t)1 << 18) / ((ptrdiff_t)sizeof(REAL) * GATES * padded_units(s));
    const ptrdiff_t row_count = minimum(maximum(fitting, 32), 512);
    return maximum(1, minimum(s->steps, row_count / maximum(s->batch, 1)));
}

/* One call's buffers and pointers. Rows of `projected` hold, panel by panel, z, r and n of LANES units. */
typedef struct {
    const fastgru_gru_forward *args;
    const gru_shape *shape;
    ptrdiff_t units_stride;
    const REAL *w, *u, *u_candidate;
    REAL *input_bias; /* in the order of projected rows; z's and r's include the recurrent bias */
    REAL *candidate_bias; /* c_n, reset after */
    REAL *projected;
    REAL *
        recurrent; /* products of a few panels, for all rows; each member of the team has its own */
    REAL *state[2];        /* inference: h before and after a step, in turn */
    REAL *update;          /* reset before: z, until the candidate is known */
    REAL *reset_state;     /* reset before: r * h */
    fastgru_barrier ready; /* with the units split: all have made their units of the step */
} forward_pass;

INLINE ptrdiff_t recurrent_size(const gru_shape *s) {
    return piece(s->batch * MOST_PANELS * GATES * LANES);
}

/* Lays the buffers out and returns where they end. */
static REAL *lay_out_forward(forward_pass *f, const gru_shape *s, int threads, REAL *buffer) {
    const ptrdiff_t hp = padded_units(s), hs = stride_of_units(s), bhs = s->batch * hs;
    f->input_bias = take(&buffer, GATES * hp);
    f->candidate_bias = take(&buffer, hp);
    f->projected = take(&buffer, forward_chunk(s) * s->batch * GATES * hs);
    f->recurrent = take(&buffer, threads * recurrent_size(s));
    f->state[0] = take(&buffer, bhs);
    f->state[1] = take(&buffer, bhs);
    f->update = take(&buffer, s->reset_after ? 0 : bhs);
    f->reset_state = take(&buffer, s->reset_after ? 0 : bhs);
    return buffer;
}

static size_t gru_forward_workspace(const gru_shape *s, int threads) {
    forward_pass f;
    REAL origin;
    return (size_t)(lay_out_forward(&f, s, threads_for(s, threads), &origin) - &origin);
}

static forward_pass begin_forward(const fastgru_gru_forward *args, int threads) {
    const gru_shape *s = &args->shape;
    const REAL *packed = args->packed;
    forward_pass f = {.args = args, .shape = s, .units_stride = stride_of_units(s), .w = packed};
    f.u = packed + packed_recurrent_at(s);
    f.u_candidate = packed + packed_candidate_at(s);
    lay_out_forward(&f, s, threads, args->workspace);
    return f;
}

/* The biases, in the order and with the padding of the products that they are added to. */
static void pack_biases(const forward_pass *f) {
    const ptrdiff_t h = f->shape->units;
    const REAL *b = f->args->bias, *c = f->shape->reset_after && b ? b + GATES * h : NULL;
    memset(f->input_bias, 0, (size_t)(GATES * padded_units(f->shape)) * sizeof(REAL));
    memset(f->candidate_bias, 0, (size_t)padded_units(f->shape) * sizeof(REAL));
    if (!b) return;
    for (ptrdiff_t j = 0; j < h; j++) {
        REAL *to = f->input_bias + j / LANES * GATES * LANES + j % LANES;
        to[0] = c ? b[j] + c[j] : b[j];
        to[LANES] = c ? b[h + j] + c[h + j] : b[h + j];
        to[2 * LANES] = b[2 * h + j];
        f->candidate_bias[j] = c ? c[2 * h + j] : 0;
    }
}

/* The states before step 0, zero past H. */
static void load_first_state(const forward_pass *f, REAL *state) {
    const gru_shape *s = f->shape;
    const REAL *h0 = f->args->h0;
    memset(state, 0, (size_t)(s->batch * f->units_stride) * sizeof(REAL));
    for (ptrdiff_t i = 0; h0 && i < s->batch; i++)
        memcpy(state + i * f->units_stride, h0 + i * s->units, (size_t)s->units * sizeof(REAL));
}

/* The member's rows and units of the input projections, for some steps. */
static void project_inputs(const forward_pass *f, const share *part, ptrdiff_t first_step,
                           ptrdiff_t step_count) {
    const gru_shape *s = f->shape;
    const ptrdiff_t batch = part->last_row - part->first_row, width = GATES * f->units_stride;
    const ptrdiff_t column = part->first_unit * GATES, x_batch = f->args->x_batch,
                    x_step = f->args->x_step;
    const REAL *x = (const REAL *)f->args->x + first_step * x_step + part->first_row * x_batch;
    multiply_packed(&(packed_product){
        .a = rows_of_steps(x, batch, x_batch, x_step),
        .c = rows_of_steps(f->projected + part->first_row * width + column, batch, width,
                           s->batch * width),
        .last = step_count * batch,
        .b = f->w + column * s->inputs,
        .depth = s->inputs,
        .columns = (part->last_unit - part->first_unit) * GATES,
        .vectors = GATES,
        .start = f->input_bias + column,
    });
}

/* What a step reads and writes: h before and after, and this step's rows of the cache (or NULL) and of y. */
typedef struct {
    const share *part;
    ptrdiff_t index;
    REAL *recurrent;
    const REAL *projected, *before;
    REAL *after, *cache, *y;
} step;

/* The product of the member's rows of a state with some columns of packed panels; those from `next` on come after. */
static void multiply_state(const forward_pass *f, const step *t, const REAL *state,
                           const REAL *panels_of_u, int vectors, ptrdiff_t column,
                           ptrdiff_t columns, ptrdiff_t next) {
    multiply_packed(&(packed_product){
        .a = rows_at(state, f->units_stride),
        .c = rows_at(t->recurrent, columns),
        .first = t->part->first_row,
        .last = t->part->last_row,
        .b = panels_of_u + column * f->shape->units,
        .depth = f->shape->units,
        .columns = columns,
        .vectors = vectors,
        .next = panels_of_u + next * f->shape->units,
    });
}

/* h' = empty + gate * (full - empty), where a full gate keeps the old state or takes the new one. */
INLINE vec blend(vec gate, vec before, vec candidate, int update_replaces) {
    const vec full = update_replaces ? candidate : before,
              empty = update_replaces ? before : candidate;
    return fma_(gate, full - empty, empty);
}

INLINE void store_cache(REAL *cache, ptrdiff_t hs, vec z, vec r, vec n, vec q) {
    store(cache + CACHED_Z * hs, z);
    store(cache + CACHED_R * hs, r);
    store(cache + CACHED_N * hs, n);
    store(cache + CACHED_Q * hs, q);
}

/* Reset after, for the member's rows and the units of `count` panels whose recurrent product is at hand. */
NOINLINE void finish_units(const forward_pass *f, const step *t, ptrdiff_t unit, ptrdiff_t count) {
    const ptrdiff_t hs = f->units_stride, y_batch = f->args->y_batch;
    const int update_replaces = f->shape->update_replaces;
    for (ptrdiff_t i = t->part->first_row; i < t->part->last_row; i++) {
        const REAL *recurrent = t->recurrent + i * count * GATES * LANES;
        const REAL *projected = t->projected + i * GATES * hs + unit * GATES;
        for (ptrdiff_t j = unit; j < unit + count * LANES; j += LANES) {
            const vec z = sigmoid_vec(load(recurrent) + load(projected));
            const vec r = sigmoid_vec(load(recurrent + LANES) + load(projected + LANES));
            const vec q = load(recurrent + 2 * LANES) + load(f->candidate_bias + j);
            const vec n = tanh_vec(fma_(r, q, load(projected + 2 * LANES)));
            const vec h = blend(z, load(t->before + i * hs + j), n, update_replaces);
            store(t->after + i * hs + j, h);
            if (t->y) store_part(t->y + i * y_batch + j, h, f->shape->units - j);
            if (t->cache) store_cache(t->cache + i * CACHED * hs + j, hs, z, r, n, q);
            recurrent += GATES * LANES;
            projected += GATES * LANES;
        }
    }
}

/* Units whose panels one call of the product takes: several panels for one or two rows. */
INLINE ptrdiff_t units_at_once(const share *part) {
    return (part->last_row - part->first_row > 2 ? 1 : MOST_PANELS) * LANES;
}

/* With few rows a step waits for U. Every other step walks the panels the other way round, and so begins with those that
 * the step before has just used. */
static void step_reset_after(const forward_pass *f, const step *t) {
    const ptrdiff_t most = units_at_once(t->part), first = t->part->first_unit,
                    last = t->part->last_unit;
    const ptrdiff_t groups = (last - first + most - 1) / most;
    const int back = t->index % 2 && t->part->last_row - t->part->first_row <= TILE_ROWS(GATES);
    for (ptrdiff_t n = 0; n < groups; n++) {
        const ptrdiff_t unit = first + (back ? groups - 1 - n : n) * most,
                        units = minimum(most, last - unit);
        const ptrdiff_t next = back ? maximum(unit - most, first) : unit + most;
        multiply_state(f, t, t->before, f->u, GATES, unit * GATES, units * GATES, next * GATES);
        finish_units(f, t, unit, units / LANES);
    }
}

/* Reset before: z and r * h of some units ... */
NOINLINE void reset_units(const forward_pass *f, const step *t, ptrdiff_t unit, ptrdiff_t count) {
    const ptrdiff_t hs = f->units_stride;
    for (ptrdiff_t i = t->part->first_row; i < t->part->last_row; i++) {
        const REAL *recurrent = t->recurrent + i * count * 2 * LANES;
        const REAL *projected = t->projected + i * GATES * hs + unit * GATES;
        for (ptrdiff_t j = unit; j < unit + count * LANES; j += LANES) {
            const vec z = sigmoid_vec(load(recurrent) + load(projected));
            const vec r = sigmoid_vec(load(recurrent + LANES) + load(projected + LANES));
            store(f->update + i * hs + j, z);
            store(f->reset_state + i * hs + j, r * load(t->before + i * hs + j));
            if (t->cache) store(t->cache + i * CACHED * hs + CACHED_R * hs + j, r);
            recurrent += 2 * LANES;
            projected += GATES * LANES;
        }
    }
}

/* ... and, when all units have theirs, the candidate and the new state. */
NOINLINE void finish_candidates(const forward_pass *f, const step *t, ptrdiff_t unit,
                                ptrdiff_t count) {
    const ptrdiff_t hs = f->units_stride, y_batch = f->args->y_batch;
    for (ptrdiff_t i = t->part->first_row; i < t->part->last_row; i++) {
        const REAL *recurrent = t->recurrent + i * count * LANES;
        const REAL *projected = t->projected + i * GATES * hs + unit * GATES + 2 * LANES;
        for (ptrdiff_t j = unit; j < unit + count * LANES; j += LANES) {
            const vec z = load(f->update + i * hs + j);
            const vec n = tanh_vec(load(recurrent) + load(projected));
            const vec h = blend(z, load(t->before + i * hs + j), n, f->shape->update_replaces);
            store(t->after + i * hs + j, h);
            if (t->y) store_part(t->y + i * y_batch + j, h, f->shape->units - j);
            if (t->cache) {
                REAL *cache = t->cache + i * CACHED * hs + j;
                store_cache(cache, hs, z, load(cache + CACHED_R * hs), n,
                            load(f->reset_state + i * hs + j));
            }
            recurrent += LANES;
            projected += GATES * LANES;
        }
    }
}

static void step_reset_before(forward_pass *f, const step *t) {
    const ptrdiff_t most = units_at_once(t->part), last = t->part->last_unit;
    for (ptrdiff_t unit = t->part->first_unit; unit < last; unit += most) {
        const ptrdiff_t units = minimum(most, last - unit);
        multiply_state(f, t, t->before, f->u, 2, unit * 2, units * 2, (unit + units) * 2);
        reset_units(f, t, unit, units / LANES);
    }
    if (t->part->units_split) fastgru_wait(&f->ready, t->part->members);
    for (ptrdiff_t unit = t->part->first_unit; unit < last; unit += most * PLAIN) {
        const ptrdiff_t units = minimum(most * PLAIN, last - unit);
        multiply_state(f, t, f->reset_state, f->u_candidate, PLAIN, unit, units, unit + units);
        finish_candidates(f, t, unit, units / LANES);
    }
}

/* One member's part of the pass. */
static void forward_task(void *context, int member, int members) {
    forward_pass *f = context;
    const fastgru_gru_forward *args = f->args;
    const gru_shape *s = f->shape;
    const share part = share_of(s, member, members);
    const float_mode mode = flush_denormals();
    const ptrdiff_t chunk = forward_chunk(s), bhs = s->batch * f->units_stride;
    REAL *cache = args->cache, *states = cache ? cache + cached_states_at(s) : NULL;
    for (ptrdiff_t i = 0; i < s->steps; i++) {
        if (i % chunk == 0) project_inputs(f, &part, i, minimum(chunk, s->steps - i));
        const step t = {
            .part = &part,
            .index = i,
            .recurrent = f->recurrent + member * recurrent_size(s),
            .projected = f->projected + i % chunk * GATES * bhs,
            .before = cache ? states + i * bhs : f->state[i % 2],
            .after = cache ? states + (i + 1) * bhs : f->state[(i + 1) % 2],
            .cache = cache ? cache + i * CACHED * bhs : NULL,
            .y = args->y ? (REAL *)args->y + i * args->y_step : NULL,
        };
        if (s->reset_after) step_reset_after(f, &t);
        else step_reset_before(f, &t);
        if (part.units_split) fastgru_wait(&f->ready, members);
    }
    restore_mode(mode);
}

static void gru_forward(const fastgru_gru_forward *args) {
    const gru_shape *s = &args->shape;
    const int threads = threads_for(s, args->threads);
    forward_pass f = begin_forward(args, threads);
    REAL *states = args->cache ? (REAL *)args->cache + cached_states_at(s) : NULL;
    pack_biases(&f);
    load_first_state(&f, states ? states : f.state[0]);
    fastgru_run_team(threads, forward_task, &f);
    const REAL *last =
        states ? states + s->steps * s->batch * f.units_stride : f.state[s->steps % 2];
    for (ptrdiff_t i = 0; i < s->batch; i++)
        memcpy((REAL *)args->h_n + i * s->units, last + i * f.units_stride,
               (size_t)s->units * sizeof(REAL));
}

#endif
