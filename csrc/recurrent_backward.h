/* The backward pass of every recurrent cell. In the loop over time stays only what depends on it: the gates' derivatives
 * (differentiate.h) and the product that carries them to the state before. A chunk of steps' derivatives then gives dW,
 * dU and dx in one product each.
 *
 * A row of derivatives, before the activations, is blocks of H:
 *   GRU          [dq | dz | dr | dn]   dq = r * dn is what reaches h U_n when the reset comes after. So blocks 0-2 are
 *                                      what U meets, and blocks 1-3, in Keras' order, what W meets
 *   LSTM         [di | df | dg | do]
 *   simple RNN   [d] */
#ifndef FASTGRU_RECURRENT_BACKWARD_H
#define FASTGRU_RECURRENT_BACKWARD_H

#include "simple_rnn.h"

enum { DQ, DZ, DR, DN, MOST_BLOCKS };

INLINE int blocks_of(const shape *s) { return s->cell == FASTGRU_GRU ? 4 : gates_of(s); }
INLINE ptrdiff_t derivatives_stride(const shape *s) { return row_stride(blocks_of(s) * s->units); }

/* The gate of W, or of U, that a block of derivatives meets; -1: none. */
INLINE int gate_of_w(const shape *s, int block) {
    return s->cell == FASTGRU_GRU ? block - 1 : block;
}
INLINE int gate_of_u(const shape *s, int block) {
    if (s->cell != FASTGRU_GRU) return block;
    if (s->reset_after) return block == DN ? -1 : block == DQ ? N : block - 1;
    return block - 1;
}

/* Neighbouring blocks that go through products together. Where gates read inputs or states of their own, a block
 * goes alone. */
typedef struct {
    int first, count;
} blocks;

INLINE int is_gated(const shape *s) { return s->input_copies > 1 || s->state_copies > 1; }

/* For the weights' gradients: blocks that meet the same rows of x and of h. */
static int groups_of_blocks(const shape *s, blocks *groups) {
    int count = 0;
    if (s->cell == FASTGRU_GRU && !is_gated(s)) {
        groups[count++] = (blocks){DZ, 2};
        groups[count++] = (blocks){DN, 1};
        if (s->reset_after) groups[count++] = (blocks){DQ, 1};
    } else if (!is_gated(s)) {
        groups[count++] = (blocks){0, blocks_of(s)};
    } else {
        for (int b = resets_before(s) ? DZ : 0; b < blocks_of(s); b++)
            groups[count++] = (blocks){b, 1};
    }
    return count;
}

/* For dh: what the product with U's transpose takes; n's candidate comes alone where the reset comes before. */
static int groups_of_u(const shape *s, blocks *groups) {
    const int first = resets_before(s) ? DZ : 0, end = s->cell == FASTGRU_GRU ? DN : blocks_of(s);
    if (s->state_copies <= 1) {
        groups[0] = (blocks){first, end - first};
        return 1;
    }
    for (int b = first; b < end; b++) groups[b - first] = (blocks){b, 1};
    return end - first;
}

/* For dx: what the product with W's transpose takes. */
static int groups_of_w(const shape *s, blocks *groups) {
    const int first = s->cell == FASTGRU_GRU ? DZ : 0;
    if (s->input_copies <= 1) {
        groups[0] = (blocks){first, gates_of(s)};
        return 1;
    }
    for (int g = 0; g < gates_of(s); g++) groups[g] = (blocks){first + g, 1};
    return gates_of(s);
}

/* Rows whose derivatives are kept at a time: few enough to stay in L2, enough to make dW and dU pass by seldom. */
#define ROWS_AT_A_TIME 256

/* Whether the products go through matrix tiles: those of a chunk, if it fills some, and those of a step, if U comes
 * from L2 or meets so many rows that it may come from further away: its pieces are half as large again. The answer does
 * not depend on the number of threads. */
INLINE int chunks_use_tiles(const shape *s) {
    return USE_TILES(rows_in_a_chunk(s, ROWS_AT_A_TIME) >= TILE_DEPTH && s->units >= LANES);
}
INLINE int steps_use_tiles(const shape *s) {
    const ptrdiff_t bytes_of_u = gates_of(s) * s->units * s->units * (ptrdiff_t)sizeof(REAL);
    return USE_TILES(chunks_use_tiles(s) && s->batch >= TILE_LINES &&
                     (bytes_of_u <= 3 << 19 || s->batch >= 4 * TILE_LINES));
}

/* Elements of a right-hand side, and of a transposed left-hand side, ready for products. */
INLINE ptrdiff_t right_size(int tiles, ptrdiff_t depth, ptrdiff_t columns) {
    return tiles ? pieces_size(columns, depth) : plain_size(depth, columns);
}
INLINE ptrdiff_t left_size(int tiles, ptrdiff_t row_count, ptrdiff_t columns) {
    return tiles ? pieces_size(columns, row_count) : lines_size(row_count, columns);
}

typedef struct {
    const fastgru_backward *args;
    const shape *shape;
    ptrdiff_t units_stride, stride; /* of rows of units, and of derivatives */
    const REAL *cache;              /* rows from step cached_from on */
    ptrdiff_t cached_from;
    const REAL *states, *c_states;
    REAL *u_transposed[MOST_BLOCKS], *w_transposed[MOST_BLOCKS]; /* packed; one for each group */
    REAL *candidate_transposed;                                  /* GRU, reset before: U_n's */
    REAL *derivatives;                                           /* rows of a chunk */
    REAL *packed[MOST_BLOCKS]; /* the same in panels, for each group of blocks */
    REAL *inputs;  /* the chunk's rows of x, for each gate with its own dropout, where they are
                      scattered or scaled */
    REAL *befores; /* and of h, likewise */
    REAL *packed_inputs, *packed_befores, *packed_resets; /* lines of these, and of r * h */
    REAL *dx;                           /* a product, before it is scaled or scattered */
    REAL *dkernel, *drecurrent, *dbias; /* the caller's, or to be arranged (arrange_gradients) */
    REAL *dh;         /* (B, Hs): gradient of the loss to the state after the step at hand */
    REAL *dc;         /* LSTM: likewise */
    REAL *carried;    /* (B, Hs): a product that has to be scaled, or GRU, reset before: to r * h */
    REAL *scratch;    /* each member's, where products go through tiles */
    REAL *made_again; /* rows of the cache, chunk by chunk */
    forward_pass *again; /* what makes them; NULL where the cache has all */
    fastgru_barrier ready;
} backward_pass;

/* Products give gradients as the library has its weights; other layouts are made of them in the end. */
INLINE int arranges_gradients(const shape *s) { return s->resets_first || s->transposes_gradients; }
INLINE int copies_inputs(const shape *s) { return places_of(s) || s->input_copies; }
INLINE int copies_states(const shape *s) { return s->schedule || s->state_copies; }

/* Lays the buffers out and returns where they end. */
static REAL *lay_out_backward(backward_pass *b, const shape *s, int threads, REAL *buffer) {
    const int by_chunk = chunks_use_tiles(s), by_step = steps_use_tiles(s);
    const ptrdiff_t h = s->units, chunk = rows_in_a_chunk(s, ROWS_AT_A_TIME),
                    bhs = s->batch * stride_of_units(s);
    blocks groups[MOST_BLOCKS];
    for (int g = groups_of_u(s, groups); g-- > 0;)
        b->u_transposed[g] = take(&buffer, right_size(by_step, groups[g].count * h, h));
    for (int g = groups_of_w(s, groups); g-- > 0;)
        b->w_transposed[g] = take(&buffer, right_size(by_chunk, groups[g].count * h, s->inputs));
    for (int g = groups_of_blocks(s, groups); g-- > 0;)
        b->packed[g] = take(&buffer, right_size(by_chunk, chunk, groups[g].count * h));
    b->candidate_transposed = take(&buffer, resets_before(s) ? right_size(by_step, h, h) : 0);
    b->derivatives = take(&buffer, chunk * derivatives_stride(s));
    const ptrdiff_t inputs = maximum(1, s->input_copies), states = maximum(1, s->state_copies);
    b->inputs = take(&buffer, copies_inputs(s) ? chunk * inputs * row_stride(s->inputs) : 0);
    b->befores = take(&buffer, copies_states(s) ? chunk * states * stride_of_units(s) : 0);
    b->packed_inputs = take(&buffer, inputs * left_size(by_chunk, chunk, s->inputs));
    b->packed_befores = take(&buffer, states * left_size(by_chunk, chunk, h));
    b->packed_resets = take(&buffer, resets_before(s) ? left_size(by_chunk, chunk, h) : 0);
    b->dx = take(&buffer, s->schedule || s->input_copies ? chunk * row_stride(s->inputs) : 0);
    b->dh = take(&buffer, bhs);
    b->dc = take(&buffer, s->cell == FASTGRU_LSTM ? bhs : 0);
    b->carried = take(&buffer, s->state_copies || resets_before(s) ? bhs : 0);
    b->scratch = take(&buffer, chunks_use_tiles(s) ? threads * SPLIT_SCRATCH : 0);
    b->made_again = take(&buffer, s->recompute ? chunk * cached_row(s) : 0);
    const ptrdiff_t arranged = arranges_gradients(s) ? gates_of(s) * h : 0;
    b->dkernel = take(&buffer, arranged * s->inputs);
    b->drecurrent = take(&buffer, arranged * h);
    b->dbias = take(&buffer, arranged * 2);
    return buffer;
}

static size_t backward_workspace(const shape *s, int threads) {
    backward_pass b;
    REAL origin;
    const size_t size = (size_t)(lay_out_backward(&b, s, threads, &origin) - &origin);
    return s->recompute ? size + forward_workspace(s, threads) : size;
}

/* ---- weights, transposed ---- */

/* Columns [first, last) of the transposes of some gates' weights, one below the other, as a right-hand side. */
static void transpose_weights(const stacked *m, int tiles, ptrdiff_t first, ptrdiff_t last,
                              REAL *to) {
    const ptrdiff_t total = m->count * m->depth;
    if (!tiles) {
        for (int g = 0; g < m->count; g++)
            pack_plain(m->matrix[g] + first * m->column_stride, m->row_stride, m->column_stride,
                       m->depth, last - first, to + first * total, g * m->depth, total);
        return;
    }
    for (ptrdiff_t j = first; j < last; j += TILE_LINES) {
        REAL *pieces = to + pieces_size(j, total);
        for (ptrdiff_t k = 0; k < total; k += TILE_DEPTH, pieces += SPLIT_SIZE)
            split_stacked(m, k, j, last - j, pieces);
    }
}

/* The transposes of a weight matrix' gates that some blocks of derivatives meet. */
static stacked transposes(const shape *s, const fastgru_weights *w, blocks group,
                          int (*gate_of)(const shape *, int)) {
    stacked m = {
        .count = group.count, .depth = s->units, .row_stride = w->column, .column_stride = w->row};
    for (int k = 0; k < group.count; k++)
        m.matrix[k] = (const REAL *)w->data + w->gate[gate_of(s, group.first + k)];
    return m;
}

/* The member's columns of the transposes of U and W, as right-hand sides of the products that give dh and dx. */
static void prepare_weights(const backward_pass *b, const share *part) {
    const shape *s = b->shape;
    const fastgru_weights *u = &b->args->recurrent, *w = &b->args->kernel;
    const int by_step = steps_use_tiles(s);
    blocks groups[MOST_BLOCKS];
    ptrdiff_t first, last;
    part_of(s->units, PLAIN * LANES, part->member, part->members, &first, &last);
    for (int g = groups_of_u(s, groups); g-- > 0;) {
        const stacked m = transposes(s, u, groups[g], gate_of_u);
        transpose_weights(&m, by_step, first, last, b->u_transposed[g]);
    }
    if (resets_before(s)) {
        const stacked m = transposes(s, u, (blocks){DN, 1}, gate_of_u);
        transpose_weights(&m, by_step, first, last, b->candidate_transposed);
    }
    part_of(s->inputs, PLAIN * LANES, part->member, part->members, &first, &last);
    for (int g = b->args->dx ? groups_of_w(s, groups) : 0; g-- > 0;) {
        const stacked m = transposes(s, w, groups[g], gate_of_w);
        transpose_weights(&m, chunks_use_tiles(s), first, last, b->w_transposed[g]);
    }
}

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
    if (steps_use_tiles(b->shape)) {
        multiply_split(&(split_product){
            .a = rows_at(t->derivatives + group.first * b->shape->units, b->stride),
            .c = rows_at(to + part->first_unit, b->units_stride),
            .first = t->first,
            .last = t->last,
            .b_pieces = transposed + pieces_size(part->first_unit, depth),
            .depth = depth,
            .columns = part->last_unit - part->first_unit,
            .accumulate = accumulate,
            .scratch = b->scratch + part->member * SPLIT_SCRATCH,
        });
        return;
    }
    multiply_packed(&(packed_product){
        .a = rows_at(t->derivatives + group.first * b->shape->units, b->stride),
        .c = rows_at(to + part->first_unit, b->units_stride),
        .first = t->first,
        .last = t->last,
        .b = transposed + part->first_unit * depth,
        .depth = depth,
        .columns = part->last_unit - part->first_unit,
        .vectors = PLAIN,
        .accumulate = accumulate,
    });
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

/* ---- a chunk's products ---- */

/* Steps whose derivatives are at hand. */
typedef struct {
    ptrdiff_t first_step, end, row_count;
    int accumulate;
} chunk;

/* Rows [first, last) of a chunk, step by step: calls for each step's part of them. */
#define FOR_EACH_ROW(s, c, first, last, t, i, n)                                                   \
    for (ptrdiff_t t = (c)->first_step, n = 0; t < (c)->end; t++)                                  \
        for (ptrdiff_t i = 0; i < rows_in(s, t); i++, n++)                                         \
            if (n >= (first) && n < (last))

/* Rows [first, last) of x and of the states, copied where they are scattered, and scaled. */
static void copy_rows(const backward_pass *b, const chunk *c, ptrdiff_t first, ptrdiff_t last) {
    const shape *s = b->shape;
    const ptrdiff_t stride = row_stride(s->inputs), hs = b->units_stride;
    const int inputs = (int)maximum(1, s->input_copies), states = (int)maximum(1, s->state_copies);
    FOR_EACH_ROW(s, c, first, last, t, i, n) {
        if (copies_inputs(s))
            copy_input(&b->args->forward, t, i, stride, b->inputs + n * inputs * stride);
        for (int k = 0; copies_states(s) && k < states; k++)
            copy_scaled(b->states + (states_before(s, t) + i) * hs,
                        dropout_of(s, b->args->forward.state_dropout, k, s->units, i), s->units,
                        b->befores + (n * states + k) * hs);
    }
}

/* The chunk's rows of x, those of one gate if each has its own. */
static rows rows_of_inputs(const backward_pass *b, const chunk *c, int copy) {
    const shape *s = b->shape;
    const fastgru_forward *f = &b->args->forward;
    const ptrdiff_t stride = row_stride(s->inputs);
    const REAL *x = f->x;
    if (copies_inputs(s))
        return rows_at(b->inputs + copy * stride, maximum(1, s->input_copies) * stride);
    if (s->schedule) return rows_at(x + offset_of(s, c->first_step) * f->x_step, f->x_step);
    return rows_of_steps(x + c->first_step * f->x_step, s->batch, f->x_batch, f->x_step);
}

/* And of the states before. */
static rows rows_of_befores(const backward_pass *b, const chunk *c, int copy) {
    const shape *s = b->shape;
    const ptrdiff_t hs = b->units_stride;
    if (copies_states(s)) return rows_at(b->befores + copy * hs, maximum(1, s->state_copies) * hs);
    return rows_at(b->states + states_before(s, c->first_step) * hs, hs);
}

/* Rows [first, last) of `total`, as the left-hand side of a product with their transpose. */
static void prepare_left(const shape *s, const rows *from, ptrdiff_t first, ptrdiff_t last,
                         ptrdiff_t columns, REAL *to, ptrdiff_t total) {
    if (chunks_use_tiles(s)) split_lines(from, first, last, columns, 1, to, total);
    else pack_lines(from, first, last, columns, to, total);
}

/* Likewise the derivatives of a group of blocks, as the right-hand side. */
static void prepare_right(const backward_pass *b, blocks group, ptrdiff_t first, ptrdiff_t last,
                          REAL *to, ptrdiff_t total) {
    const ptrdiff_t h = b->shape->units;
    const rows from = rows_at(b->derivatives + group.first * h, b->stride);
    if (chunks_use_tiles(b->shape)) split_lines(&from, first, last, group.count * h, 0, to, total);
    else
        pack_plain(row(&from, first), b->stride, 1, last - first, group.count * h, to, first,
                   total);
}

/* Before the products, the member's share of the rows: the derivatives, and x and h, ready for them. */
static chunk prepare_chunk(const backward_pass *b, const share *part, ptrdiff_t first_step,
                           ptrdiff_t end) {
    const shape *s = b->shape;
    const ptrdiff_t h = s->units, total = offset_of(s, end) - offset_of(s, first_step);
    const int tiles = chunks_use_tiles(s);
    const chunk c = {first_step, end, total, end < step_count(s)};
    ptrdiff_t first, last;
    part_of(total, tiles ? TILE_DEPTH : 1, part->member, part->members, &first, &last);
    blocks groups[MOST_BLOCKS];
    for (int g = groups_of_blocks(s, groups); g-- > 0;)
        prepare_right(b, groups[g], first, last, b->packed[g], total);
    if (copies_inputs(s) || copies_states(s)) copy_rows(b, &c, first, last);
    for (int k = 0; k < maximum(1, s->input_copies); k++) {
        const rows x = rows_of_inputs(b, &c, k);
        prepare_left(s, &x, first, last, s->inputs,
                     b->packed_inputs + k * left_size(tiles, total, s->inputs), total);
    }
    for (int k = 0; k < maximum(1, s->state_copies); k++) {
        const rows before = rows_of_befores(b, &c, k);
        prepare_left(s, &before, first, last, h, b->packed_befores + k * left_size(tiles, total, h),
                     total);
    }
    if (resets_before(s)) {
        const ptrdiff_t at = offset_of(s, first_step) - offset_of(s, b->cached_from);
        const rows resets =
            rows_at(b->cache + at * cached_row(s) + CACHED_Q * b->units_stride, cached_row(s));
        prepare_left(s, &resets, first, last, h, b->packed_resets, total);
    }
    return c;
}

/* Some rows of C (+)= A^T D, over all rows of the chunk; D: a group of blocks of the derivatives, packed. */
static void sum_over_rows(const backward_pass *b, const share *part, REAL *lines, ptrdiff_t units,
                          const chunk *c, int group, int block_count, REAL *to) {
    if (chunks_use_tiles(b->shape)) {
        split_product product = {
            .a_pieces = lines,
            .c = rows_at(to, gates_of(b->shape) * b->shape->units),
            .b_pieces = b->packed[group],
            .depth = c->row_count,
            .columns = block_count * b->shape->units,
            .accumulate = c->accumulate,
        };
        part_of(units, TILE_DEPTH, part->member, part->members, &product.first, &product.last);
        multiply_split(&product);
        return;
    }
    packed_product product = {
        .a = {.data = lines},
        .transposed = 1,
        .c = rows_at(to, gates_of(b->shape) * b->shape->units),
        .b = b->packed[group],
        .depth = c->row_count,
        .columns = block_count * b->shape->units,
        .vectors = PLAIN,
        .accumulate = c->accumulate,
    };
    part_of(units, MOST_ROWS, part->member, part->members, &product.first, &product.last);
    multiply_packed(&product);
}

/* What U's rows of gradients are summed from: the states before, or r * h for the candidate, reset before. */
static REAL *states_met(const backward_pass *b, const chunk *c, int gate) {
    const shape *s = b->shape;
    if (resets_before(s) && gate == N) return b->packed_resets;
    const int copy = s->state_copies > 1 ? gate : 0;
    return b->packed_befores + copy * left_size(chunks_use_tiles(s), c->row_count, s->units);
}

static void weight_gradients(const backward_pass *b, const share *part, const chunk *c) {
    const shape *s = b->shape;
    const ptrdiff_t h = s->units;
    REAL *dw = b->dkernel, *du = b->drecurrent;
    blocks groups[MOST_BLOCKS];
    const int count = groups_of_blocks(s, groups);
    for (int g = 0; g < count; g++) {
        const int of_w = gate_of_w(s, groups[g].first), of_u = gate_of_u(s, groups[g].first);
        const int copy = s->input_copies > 1 ? of_w : 0;
        REAL *x = b->packed_inputs + copy * left_size(chunks_use_tiles(s), c->row_count, s->inputs);
        if (of_w >= 0) sum_over_rows(b, part, x, s->inputs, c, g, groups[g].count, dw + of_w * h);
        if (of_u >= 0)
            sum_over_rows(b, part, states_met(b, c, of_u), h, c, g, groups[g].count, du + of_u * h);
    }
}

static void bias_gradients(const backward_pass *b, const share *part, const chunk *c) {
    const shape *s = b->shape;
    const ptrdiff_t h = s->units, gates = gates_of(s);
    const REAL *to_w = b->derivatives + (s->cell == FASTGRU_GRU ? DZ : 0) * h;
    REAL *dbias = b->dbias;
    ptrdiff_t first, last;
    if (!dbias) return;
    part_of(gates * h, LANES, part->member, part->members, &first, &last);
    add_rows(to_w + first, b->stride, c->row_count, last - first, dbias + first);
    if (s->cell != FASTGRU_GRU || !s->reset_after) return;
    part_of(h, LANES, part->member, part->members, &first, &last);
    add_rows(b->derivatives + DQ * h + first, b->stride, c->row_count, last - first,
             dbias + 5 * h + first);
}

/* Rows [first, last) of a product into dx, each times its dropout; zeros in the steps around that don't count. */
static void scatter_inputs(const backward_pass *b, const chunk *c, ptrdiff_t first, ptrdiff_t last,
                           int copy, int adds) {
    const shape *s = b->shape;
    const fastgru_backward *args = b->args;
    const ptrdiff_t width = s->inputs, stride = row_stride(width), dx_step = args->dx_step;
    const size_t bytes = (size_t)width * sizeof(REAL);
    FOR_EACH_ROW(s, c, first, last, t, i, n) {
        const REAL *from = b->dx + n * stride;
        const REAL *factor = dropout_of(s, args->forward.input_dropout, copy, width, i);
        REAL *dx = (REAL *)args->dx + place_in(s, t, i, args->dx_batch, dx_step);
        if (!adds) copy_scaled(from, factor, width, dx);
        else
            for (ptrdiff_t j = 0; j < width; j++) dx[j] += from[j] * factor[j];
        if (adds || !places_of(s)) continue;
        const fastgru_place *p = places_of(s) + offset_of(s, t) + i;
        for (ptrdiff_t k = 1; k < p->next - p->step; k++) memset(dx + k * dx_step, 0, bytes);
        for (ptrdiff_t k = 1; t == 0 && k <= p->step; k++) memset(dx - k * dx_step, 0, bytes);
    }
}

static void input_gradients(const backward_pass *b, const share *part, const chunk *c) {
    const shape *s = b->shape;
    const fastgru_backward *args = b->args;
    const int in_place = !places_of(s) && !s->input_copies, tiles = chunks_use_tiles(s);
    const ptrdiff_t at = s->schedule ? offset_of(s, c->first_step) : c->first_step;
    if (!args->dx) return;
    REAL *dx = (REAL *)args->dx + at * args->dx_step;
    blocks groups[MOST_BLOCKS];
    const int count = groups_of_w(s, groups);
    for (int g = 0; g < count; g++) {
        const rows from = rows_at(b->derivatives + groups[g].first * s->units, b->stride);
        const rows to = !in_place     ? rows_at(b->dx, row_stride(s->inputs))
                        : s->schedule ? rows_at(dx, args->dx_step)
                                      : rows_of_steps(dx, s->batch, args->dx_batch, args->dx_step);
        ptrdiff_t first, last;
        part_of(c->row_count, tiles ? TILE_DEPTH : MOST_ROWS, part->member, part->members, &first,
                &last);
        if (tiles)
            multiply_split(&(split_product){
                .a = from,
                .c = to,
                .first = first,
                .last = last,
                .b_pieces = b->w_transposed[g],
                .depth = groups[g].count * s->units,
                .columns = s->inputs,
                .scratch = b->scratch + part->member * SPLIT_SCRATCH,
            });
        else
            multiply_packed(&(packed_product){
                .a = from,
                .c = to,
                .first = first,
                .last = last,
                .b = b->w_transposed[g],
                .depth = groups[g].count * s->units,
                .columns = s->inputs,
                .vectors = PLAIN,
            });
        if (!in_place) scatter_inputs(b, c, first, last, s->input_copies > 1 ? g : 0, g > 0);
    }
}

/* ---- gradients as the caller wants them ---- */

/* The member's columns of a gradient of some rows, gate by gate, from where the products have left it. */
static void arrange_gradient(const shape *s, const share *part, const REAL *from,
                             ptrdiff_t row_count, REAL *to) {
    const ptrdiff_t h = s->units, width = gates_of(s) * h;
    ptrdiff_t first, last;
    part_of(h, LANES, part->member, part->members, &first, &last);
    for (int g = 0; g < gates_of(s); g++) {
        const REAL *block = from + g * h + first;
        const ptrdiff_t at = place_of_gate(s, g) * h + first;
        if (s->transposes_gradients)
            transpose_matrix(block, width, row_count, last - first, to + at * row_count, row_count);
        else
            for (ptrdiff_t k = 0; k < row_count; k++)
                memcpy(to + k * width + at, block + k * width,
                       (size_t)(last - first) * sizeof(REAL));
    }
}

static void arrange_gradients(const backward_pass *b, const share *part) {
    const shape *s = b->shape;
    const ptrdiff_t h = s->units;
    arrange_gradient(s, part, b->dkernel, s->inputs, b->args->dkernel);
    arrange_gradient(s, part, b->drecurrent, h, b->args->drecurrent);
}

/* A GRU's two biases of z and of r enter as a sum: their gradients are the same. */
static void save_bias_gradients(const backward_pass *b) {
    const shape *s = b->shape;
    const ptrdiff_t h = s->units, width = gates_of(s) * h;
    const int both = s->cell == FASTGRU_GRU && s->reset_after;
    REAL *from = b->dbias, *to = b->args->dbias;
    if (!to) return;
    if (both) memcpy(from + width, from, (size_t)(2 * h) * sizeof(REAL));
    for (int g = 0; from != to && g < gates_of(s) * (both ? 2 : 1); g++) {
        const int row = g / gates_of(s), gate = g % gates_of(s);
        memcpy(to + row * width + place_of_gate(s, gate) * h, from + g * h,
               (size_t)h * sizeof(REAL));
    }
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
    const chunk c = prepare_chunk(b, part, first, end);
    fastgru_wait(&b->ready, members);
    weight_gradients(b, part, &c);
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
        first = chunk_start(s, end, ROWS_AT_A_TIME);
        if (shared->again && member == 0) shared->cached_from = shared->again->cached_from = first;
        if (shared->again) fastgru_wait(&shared->ready, members);
        chunk_back(shared, &part, first, end);
    }
    if (arranges_gradients(s)) arrange_gradients(shared, &part);
    restore_mode(mode);
}

static backward_pass begin_backward(const fastgru_backward *args, int threads) {
    const shape *s = &args->forward.shape;
    backward_pass b = {.args = args, .shape = s, .cache = args->forward.cache};
    b.units_stride = stride_of_units(s);
    b.stride = derivatives_stride(s);
    b.states = b.cache + cached_states_at(s);
    if (s->cell == FASTGRU_LSTM) b.c_states = b.states + states_size(s);
    lay_out_backward(&b, s, threads, args->workspace);
    load_states(s, args->dh_n, b.dh);
    if (b.c_states) load_states(s, args->dc_n, b.dc);
    if (!arranges_gradients(s)) {
        b.dkernel = args->dkernel;
        b.drecurrent = args->drecurrent;
        b.dbias = args->dbias;
    }
    if (!args->dbias) b.dbias = NULL;
    return b;
}

/* The forward pass that makes a chunk's rows of the cache again, from the states that were kept. */
static forward_pass begin_again(backward_pass *b, int threads) {
    backward_pass end_of;
    REAL *after = lay_out_backward(&end_of, b->shape, threads, b->args->workspace);
    forward_pass f = begin_forward(&b->args->forward, threads, after);
    f.again = 1;
    f.cache = b->made_again;
    b->cache = b->made_again;
    return f;
}

/* Where no step counts at all, sums over steps are zero. */
static void clear_gradients(const backward_pass *b) {
    const fastgru_backward *args = b->args;
    const shape *s = b->shape;
    const size_t h = (size_t)s->units, gates = (size_t)gates_of(s);
    const int both = s->cell == FASTGRU_GRU && s->reset_after;
    if (b->dbias) memset(b->dbias, 0, gates * h * (both ? 2 : 1) * sizeof(REAL));
    if (total_rows(s) == 0) {
        memset(b->dkernel, 0, gates * h * (size_t)s->inputs * sizeof(REAL));
        memset(b->drecurrent, 0, gates * h * h * sizeof(REAL));
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
    clear_gradients(&b);
    fastgru_run_team(threads, backward_task, &b);
    save_bias_gradients(&b);
    for (ptrdiff_t i = 0; i < s->batch; i++) {
        if (args->dh0) save_state(s, i, b.dh + i * b.units_stride, args->dh0);
        if (args->dc0) save_state(s, i, b.dc + i * b.units_stride, args->dc0);
    }
}

#endif
