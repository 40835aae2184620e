/* The backward pass of every recurrent cell. In the loop over time stays only what depends on it: the gates' derivatives
 * (differentiate.h) and the product that carries them to the state before. A chunk of steps' derivatives then gives dW,
 * dU and dx in one product each (backward_products.h). */
#ifndef FASTGRU_RECURRENT_BACKWARD_H
#define FASTGRU_RECURRENT_BACKWARD_H

#include "backward_products.h"

/* ---- steps ---- */

/* What a step reads and writes: the member's rows are [first, last), and pointers are to the step's row 0. */
typedef struct {
    const share *part;
    ptrdiff_t index, first, last;
    const REAL *cache, *before, *after, *c_before;
    const REAL *dy; /* or NULL */
    ptrdiff_t dy_batch;
    REAL *derivatives;
} back_step;

/* The member's rows and, in vectors, its units. */
#define FOR_EACH_VECTOR(t, i, j)                                                                   \
    for (ptrdiff_t i = (t)->first; i < (t)->last; i++)                                             \
        for (ptrdiff_t j = (t)->part->first_unit; j < (t)->part->last_unit; j += LANES)

static void step_back(backward_pass *b, const back_step *t);

/* The member's rows and units of columns of a step's derivatives times a packed transpose, added or not. */
static void multiply_derivatives(const backward_pass *b, const back_step *t, blocks group,
                                 const REAL *transposed, REAL *to, int accumulate) {
    const share *part = t->part;
    const ptrdiff_t depth = group.count * b->shape->units;
    const ptrdiff_t first = part->first_unit;
    multiply_ready(
        &(packed_product){
            .a = rows_at(t->derivatives + group.first * b->shape->units, b->stride),
            .c = rows_at(to + first, b->units_stride),
            .first = t->first,
            .last = t->last,
            .b = transposed + right_size(b->steps_use_tiles, depth, first),
            .depth = depth,
            .columns = part->last_unit - first,
            .vectors = PLAIN,
            .accumulate = accumulate,
        },
        b->steps_use_tiles, b->scratch + part->member * SPLIT_SCRATCH);
}

/* dh becomes, or receives, what the derivatives carry back through U. */
static void carry_back(const backward_pass *b, const back_step *t, int accumulate) {
    const shape *s = b->shape;
    const ptrdiff_t hs = b->units_stride;
    blocks groups[MOST_BLOCKS];
    const int count = groups_of_u(s, groups);
    if (!s->state_copies) {
        multiply_derivatives(b, t, groups[0], b->u_transposed[0], b->dh, accumulate);
        return;
    }
    for (int g = 0; g < count; g++) {
        const int copy = s->state_copies > 1 ? gate_of_u(s, groups[g].first) : 0;
        const int adds = accumulate || g > 0;
        multiply_derivatives(b, t, groups[g], b->u_transposed[g], b->carried, 0);
        for (ptrdiff_t i = t->first; i < t->last; i++) {
            const REAL *factor = dropout_of(s, b->args->forward.state_dropout, copy, s->units, i);
            for (ptrdiff_t j = t->part->first_unit; j < t->part->last_unit; j += LANES) {
                REAL *dh = b->dh + i * hs + j;
                const vec scaled =
                    load(b->carried + i * hs + j) * load_part(factor + j, s->units - j);
                store(dh, adds ? load(dh) + scaled : scaled);
            }
        }
    }
}

static void wait_for_units(backward_pass *b, const share *part) {
    if (part->units_split) fastgru_wait(&b->ready, part->members);
}

/* dh += the gradients of all outputs that showed the step's state: those of the gap after it too. */
static void collect_outputs(const backward_pass *b, const back_step *t,
                            const fastgru_place *places) {
    const fastgru_backward *args = b->args;
    const ptrdiff_t h = b->shape->units;
    for (ptrdiff_t i = t->first; i < t->last; i++) {
        const fastgru_place *p = places + i;
        const ptrdiff_t end = b->shape->repeats ? p->next : p->step + 1;
        for (ptrdiff_t n = p->step; n < end; n++) {
            const REAL *dy = (const REAL *)args->dy + p->row * args->dy_batch + n * args->dy_step;
            for (ptrdiff_t j = t->part->first_unit; j < t->part->last_unit; j += LANES) {
                REAL *dh = b->dh + i * b->units_stride + j;
                store(dh, load(dh) + load_part(dy + j, h - j));
            }
        }
    }
}

static back_step begin_back_step(const backward_pass *b, const share *part, ptrdiff_t i,
                                 ptrdiff_t chunk_first) {
    const shape *s = b->shape;
    const ptrdiff_t hs = b->units_stride, offset = offset_of(s, i);
    back_step t = {.part = part, .index = i, .first = part->first_row};
    t.last = last_row_in(s, part, i);
    t.cache = b->cache + (offset - offset_of(s, b->cached_from)) * cached_row(s);
    t.before = b->states + states_before(s, i) * hs;
    t.after = b->states + (s->batch + offset) * hs;
    if (b->c_states) t.c_before = b->c_states + states_before(s, i) * hs;
    t.derivatives = b->derivatives + (offset - offset_of(s, chunk_first)) * b->stride;
    if (!b->args->dy) return t;
    if (places_of(s)) {
        collect_outputs(b, &t, places_of(s) + offset);
        return t;
    }
    t.dy_batch = s->schedule ? b->args->dy_step : b->args->dy_batch;
    t.dy = (const REAL *)b->args->dy + (s->schedule ? offset : i) * b->args->dy_step;
    return t;
}

/* ---- the pass ---- */

/* One member's part of a chunk: first the steps, then the products over their rows. */
static void chunk_back(backward_pass *b, const share *part, ptrdiff_t first, ptrdiff_t end) {
    const int members = part->members;
    if (b->again) {
        run_steps(b->again, part, first, end);
        fastgru_wait(&b->ready, members);
    }
    for (ptrdiff_t i = end - 1; i >= first; i--) {
        const back_step t = begin_back_step(b, part, i, first);
        step_back(b, &t);
    }
    fastgru_wait(&b->ready, members);
    const chunk c = {first, end, offset_of(b->shape, end) - offset_of(b->shape, first),
                     end < step_count(b->shape)};
    const operands o = prepare_chunk(b, part, &c);
    weight_gradients(b, part, &c, &o);
    bias_gradients(b, part, &c);
    input_gradients(b, part, &c);
    fastgru_wait(&b->ready, members);
}

static void backward_task(void *context, int member, int members) {
    backward_pass *shared = context;
    const shape *s = shared->shape;
    const share part = share_of(s, member, members);
    const float_mode mode = flush_denormals();
    prepare_weights(shared, &part);
    fastgru_wait(&shared->ready, members);
    for (ptrdiff_t end = step_count(s), first; end > 0; end = first) {
        first = chunk_start(s, end, rows_at_a_time(s));
        if (shared->again && member == 0) shared->cached_from = shared->again->cached_from = first;
        if (shared->again) fastgru_wait(&shared->ready, members);
        chunk_back(shared, &part, first, end);
    }
    restore_mode(mode);
}

static backward_pass begin_backward(const fastgru_backward *args, int threads) {
    const shape *s = &args->forward.shape;
    backward_pass b = {.args = args, .shape = s, .cache = args->forward.cache};
    b.units_stride = stride_of_units(s);
    b.steps_use_tiles = steps_use_tiles(s);
    b.stride = derivatives_stride(s);
    b.states = b.cache + cached_states_at(s);
    if (s->cell == FASTGRU_LSTM) b.c_states = b.states + states_size(s);
    b.end = lay_out_backward(&b, s, threads, args->workspace);
    load_states(s, args->dh_n, b.dh);
    if (b.c_states) load_states(s, args->dc_n, b.dc);
    return b;
}

/* The forward pass that makes a chunk's rows of the cache again, from the states that were kept. */
static forward_pass begin_again(backward_pass *b, int threads) {
    forward_pass f = begin_forward(&b->args->forward, threads, b->end);
    f.recomputes = 1;
    f.cache = b->made_again;
    b->cache = b->made_again;
    return f;
}

/* What chunks add to, or never reach: the bias' gradient; the weights', where no step counts; dx of rows without steps. */
static void clear_gradients(const fastgru_backward *args) {
    const shape *s = &args->forward.shape;
    const size_t h = (size_t)s->units, gates = (size_t)gates_of(s);
    const int both = s->cell == FASTGRU_GRU && s->reset_after;
    if (args->dbias) memset(args->dbias, 0, gates * h * (both ? 2 : 1) * sizeof(REAL));
    if (total_rows(s) == 0) {
        memset(args->dkernel, 0, gates * h * (size_t)s->inputs * sizeof(REAL));
        memset(args->drecurrent, 0, gates * h * h * sizeof(REAL));
    }
    if (!places_of(s) || !args->dx) return;
    const ptrdiff_t some = step_count(s) ? rows_in(s, 0) : 0;
    for (ptrdiff_t i = some; i < s->batch; i++)
        for (ptrdiff_t t = 0; t < s->steps; t++)
            memset((REAL *)args->dx + number_of(s, i) * args->dx_batch + t * args->dx_step, 0,
                   (size_t)s->inputs * sizeof(REAL));
}

static void backward(const fastgru_backward *args) {
    const shape *s = &args->forward.shape;
    const int threads = threads_for(s, args->threads);
    backward_pass b = begin_backward(args, threads);
    forward_pass again;
    if (s->recompute) {
        again = begin_again(&b, threads);
        b.again = &again;
    }
    clear_gradients(args);
    fastgru_run_team(threads, backward_task, &b);
    /* z's and r's two biases enter as a sum: their gradients are the same. */
    REAL *dbias = args->dbias;
    if (dbias && s->cell == FASTGRU_GRU && s->reset_after)
        memcpy(dbias + 3 * s->units, dbias, (size_t)(2 * s->units) * sizeof(REAL));
    for (ptrdiff_t i = 0; i < s->batch; i++) {
        if (args->dh0) save_state(s, i, b.dh + i * b.units_stride, args->dh0);
        if (args->dc0) save_state(s, i, b.dc + i * b.units_stride, args->dc0);
    }
}

#endif
