/* The products of a backward pass that do not wait for a step: the weights made ready before the loop; dW, dU, the
 * biases' gradients and dx from a chunk of steps' derivatives; and the gradients laid out as the caller wants them. */
#ifndef FASTGRU_BACKWARD_PRODUCTS_H
#define FASTGRU_BACKWARD_PRODUCTS_H

#include "backward_layout.h"

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

/* Rows [first, last) of `total`, as the left-hand side of a product with their transpose, or as the right-hand side. */
static void prepare_operand(const shape *s, int left, const rows *from, ptrdiff_t first,
                            ptrdiff_t last, ptrdiff_t columns, REAL *to, ptrdiff_t total) {
    if (chunks_use_tiles(s)) split_lines(from, first, last, columns, left, to, total);
    else if (left) pack_lines(from, first, last, columns, to, total);
    else pack_rows(from, first, last, columns, to, total);
}

/* Before the products, the member's share of the rows: the derivatives, and x and h, ready for them. */
static chunk prepare_chunk(const backward_pass *b, const share *part, ptrdiff_t first_step,
                           ptrdiff_t end) {
    const shape *s = b->shape;
    const ptrdiff_t h = s->units, total = offset_of(s, end) - offset_of(s, first_step);
    const int tiles = chunks_use_tiles(s), transposed = s->transposes_gradients;
    const chunk c = {first_step, end, total, end < step_count(s)};
    ptrdiff_t first, last;
    part_of(total, tiles ? TILE_DEPTH : 1, part->member, part->members, &first, &last);
    blocks groups[MOST_BLOCKS];
    for (int g = groups_of_blocks(s, groups); g-- > 0;)
        prepare_operand(s, transposed,
                        &(rows){b->derivatives + groups[g].first * h, PTRDIFF_MAX, b->stride, 0},
                        first, last, groups[g].count * h, b->packed[g], total);
    if (copies_inputs(s) || copies_states(s)) copy_rows(b, &c, first, last);
    for (int k = 0; k < maximum(1, s->input_copies); k++) {
        const rows x = rows_of_inputs(b, &c, k);
        prepare_operand(s, !transposed, &x, first, last, s->inputs,
                        b->packed_inputs + k * operand_size(tiles, total, s->inputs), total);
    }
    for (int k = 0; k < maximum(1, s->state_copies); k++) {
        const rows before = rows_of_befores(b, &c, k);
        prepare_operand(s, !transposed, &before, first, last, h,
                        b->packed_befores + k * operand_size(tiles, total, h), total);
    }
    if (resets_before(s)) {
        const ptrdiff_t at = offset_of(s, first_step) - offset_of(s, b->cached_from);
        const rows resets =
            rows_at(b->cache + at * cached_row(s) + CACHED_Q * b->units_stride, cached_row(s));
        prepare_operand(s, !transposed, &resets, first, last, h, b->packed_resets, total);
    }
    return c;
}

/* The member's rows of C (+)= A^T D, over all rows of the chunk; D: a group of blocks of the derivatives, the first of them
 * of this gate. Transposed: C (+)= D^T A. */
static void sum_over_rows(const backward_pass *b, const share *part, REAL *a, ptrdiff_t width,
                          const chunk *c, int group, int block_count, int gate, REAL *to) {
    const shape *s = b->shape;
    const ptrdiff_t columns = block_count * s->units, at = place_of_gate(s, gate) * s->units;
    const int transposed = s->transposes_gradients, tiles = chunks_use_tiles(s);
    REAL *left = transposed ? b->packed[group] : a, *right = transposed ? a : b->packed[group];
    const rows sums =
        transposed ? rows_at(to + at * width, width) : rows_at(to + at, gates_of(s) * s->units);
    ptrdiff_t first, last;
    part_of(transposed ? columns : width, tiles ? TILE_DEPTH : MOST_ROWS, part->member,
            part->members, &first, &last);
    if (tiles)
        multiply_split(&(split_product){
            .a_pieces = left,
            .c = sums,
            .first = first,
            .last = last,
            .b_pieces = right,
            .depth = c->row_count,
            .columns = transposed ? width : columns,
            .accumulate = c->accumulate,
        });
    else
        multiply_packed(&(packed_product){
            .a = {.data = left},
            .transposed = 1,
            .c = sums,
            .first = first,
            .last = last,
            .b = right,
            .depth = c->row_count,
            .columns = transposed ? width : columns,
            .vectors = PLAIN,
            .accumulate = c->accumulate,
        });
}

/* What U's rows of gradients are summed from: the states before, or r * h for the candidate, reset before. */
static REAL *states_met(const backward_pass *b, const chunk *c, int gate) {
    const shape *s = b->shape;
    if (resets_before(s) && gate == N) return b->packed_resets;
    const int copy = s->state_copies > 1 ? gate : 0;
    return b->packed_befores + copy * operand_size(chunks_use_tiles(s), c->row_count, s->units);
}

static void weight_gradients(const backward_pass *b, const share *part, const chunk *c) {
    const shape *s = b->shape;
    const ptrdiff_t h = s->units;
    REAL *dw = b->args->dkernel, *du = b->args->drecurrent;
    blocks groups[MOST_BLOCKS];
    const int count = groups_of_blocks(s, groups);
    for (int g = 0; g < count; g++) {
        const int of_w = gate_of_w(s, groups[g].first), of_u = gate_of_u(s, groups[g].first);
        const int copy = s->input_copies > 1 ? of_w : 0;
        REAL *x =
            b->packed_inputs + copy * operand_size(chunks_use_tiles(s), c->row_count, s->inputs);
        if (of_w >= 0) sum_over_rows(b, part, x, s->inputs, c, g, groups[g].count, of_w, dw);
        if (of_u >= 0)
            sum_over_rows(b, part, states_met(b, c, of_u), h, c, g, groups[g].count, of_u, du);
    }
}

static void bias_gradients(const backward_pass *b, const share *part, const chunk *c) {
    const shape *s = b->shape;
    const ptrdiff_t h = s->units, gates = gates_of(s);
    const REAL *to_w = b->derivatives + (s->cell == FASTGRU_GRU ? DZ : 0) * h;
    REAL *dbias = b->args->dbias;
    ptrdiff_t first, last;
    if (!dbias) return;
    part_of(h, LANES, part->member, part->members, &first, &last);
    for (int g = 0; g < gates; g++)
        add_rows(to_w + g * h + first, b->stride, c->row_count, last - first,
                 dbias + place_of_gate(s, g) * h + first);
    if (s->cell != FASTGRU_GRU || !s->reset_after) return;
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

#endif
