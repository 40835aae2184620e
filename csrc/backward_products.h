/* The products of a backward pass that do not wait for a step: the weights made ready before the loop; dW, dU, the
 * biases' gradients and dx from a chunk of steps' derivatives; and the gradients laid out as the caller wants them. */
#ifndef FASTGRU_BACKWARD_PRODUCTS_H
#define FASTGRU_BACKWARD_PRODUCTS_H

#include "backward_layout.h"

/* ---- weights, transposed ---- */

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
static void prepare_weights(const backward_pass *b, int member, int members) {
    const shape *s = b->shape;
    const fastgru_weights *u = &b->args->recurrent, *w = &b->args->kernel;
    const int by_step = steps_use_digits(s);
    blocks groups[MOST_BLOCKS];
    ptrdiff_t first, last;
    part_of(s->units, PLAIN * LANES, member, members, &first, &last);
    for (int g = groups_of_u(s, groups); g-- > 0;) {
        const stacked m = transposes(s, u, groups[g], gate_of_u);
        prepare_stacked(&m, by_step, first, last, s->units, b->u_transposed[g]);
    }
    if (resets_before(s)) {
        const stacked m = transposes(s, u, (blocks){DN, 1}, gate_of_u);
        prepare_stacked(&m, by_step, first, last, s->units, b->candidate_transposed);
    }
    part_of(s->inputs, PLAIN * LANES, member, members, &first, &last);
    for (int g = b->args->dx ? groups_of_w(s, groups) : 0; g-- > 0;) {
        const stacked m = transposes(s, w, groups[g], gate_of_w);
        prepare_stacked(&m, chunks_use_digits(s), first, last, s->inputs, b->w_transposed[g]);
    }
}

/* ---- a chunk's products ---- */

/* Steps whose derivatives are at hand, and some of the rows at work. */
typedef struct {
    ptrdiff_t first_step, end, first_row, last_row;
    ptrdiff_t row_count; /* in all steps */
    /* Of one part: */
    int part, accumulate;
    ptrdiff_t pointers_at;
    ptrdiff_t kept, summed; /* rows that waited for this chunk, and those it sums over */
} chunk;

static chunk chunk_of(const shape *s, ptrdiff_t first_step, ptrdiff_t end, ptrdiff_t first_row,
                      ptrdiff_t last_row) {
    return (chunk){.first_step = first_step,
                   .end = end,
                   .first_row = first_row,
                   .last_row = last_row,
                   .row_count = rows_between(s, first_row, last_row, first_step, end)};
}

/* Of the parts at work those that have rows in these steps. */
static int parts_of_chunk(const backward_pass *b, ptrdiff_t first_step, ptrdiff_t end, chunk *to) {
    int count = 0;
    for (ptrdiff_t n = 0; n < b->part_count; n++) {
        chunk c = chunk_of(b->shape, first_step, end, b->part_rows[n], b->part_rows[n + 1]);
        if (c.first_row < b->first_row || c.last_row > b->last_row || c.row_count == 0) continue;
        c.part = (int)n;
        c.accumulate = b->begun[n];
        c.pointers_at = n * b->pointers_of_a_part;
        c.kept = b->kept[n];
        c.summed = c.kept + c.row_count;
        if (points_to_rows(b->shape) && first_step > 0) c.summed -= c.summed % LINE_BYTES;
        to[count++] = c;
    }
    return count;
}

/* A chunk's rows of an array that has one for each of the rows at work. With a schedule these are all of one part. */
static rows rows_of_chunk(const backward_pass *b, const chunk *c, const REAL *from,
                          ptrdiff_t stride) {
    from += (c->first_row - b->first_row) * stride;
    if (b->shape->schedule) return rows_at(from, stride);
    return rows_of_steps(from, c->last_row - c->first_row, stride,
                         (b->last_row - b->first_row) * stride);
}

/* Rows [first, last) of a chunk: row i of step t is its n-th. */
#define FOR_EACH_ROW(b, c, first, last, t, i, n)                                                   \
    for (ptrdiff_t t = (c)->first_step, n = 0; t < (c)->end; t++)                                  \
        for (ptrdiff_t i = (c)->first_row, i_end = minimum((c)->last_row, rows_in((b)->shape, t)); \
             i < i_end; i++, n++)                                                                  \
            if (n < (first) || n >= (last)) continue;                                              \
            else

/* The cache's rows of a step, from row 0 on. */
INLINE const REAL *cached_at(const backward_pass *b, ptrdiff_t first_step, ptrdiff_t t) {
    const shape *s = b->shape;
    if (!b->again) return b->cache + offset_of(s, t) * cached_row(s);
    const ptrdiff_t before = rows_between(s, b->first_row, b->last_row, first_step, t);
    return b->cache + (before - b->first_row) * cached_row(s);
}

/* Rows [first, last) of x and of the states, copied where they are scattered, and scaled. */
static void copy_rows(const backward_pass *b, const chunk *c, ptrdiff_t first, ptrdiff_t last) {
    const shape *s = b->shape;
    const ptrdiff_t stride = row_stride(s->inputs), hs = b->units_stride;
    const int inputs = (int)maximum(1, s->input_copies), states = (int)maximum(1, s->state_copies);
    FOR_EACH_ROW(b, c, first, last, t, i, n) {
        if (copies_inputs(s))
            copy_input(&b->args->forward, t, i, stride, b->inputs + n * inputs * stride);
        for (int k = 0; copies_states(s) && k < states; k++)
            copy_scaled(b->states + (states_before(s, t) + i) * hs,
                        dropout_of(s, b->args->forward.state_dropout, k, s->units, i), s->units,
                        b->befores + (n * states + k) * hs);
        if (copies_resets(s))
            memcpy(b->resets + n * hs,
                   cached_at(b, c->first_step, t) + i * cached_row(s) + CACHED_Q * hs,
                   (size_t)hs * sizeof(REAL));
    }
}

/* Where `count` rows of step t from row i on are in all arrays; they are a part's from the n-th on, and the `at`-th and those
 * after it of all at work. */
static void point_to_step(const backward_pass *b, const chunk *c, ptrdiff_t t, ptrdiff_t i,
                          ptrdiff_t count, ptrdiff_t n, ptrdiff_t at) {
    const shape *s = b->shape;
    const fastgru_backward *args = b->args;
    const fastgru_forward *f = &args->forward;
    const ptrdiff_t hs = b->units_stride;
    const row_pointers *r = b->rows;
    point_at(b->derivatives + at * b->stride, b->stride, count, r[OF_DERIVATIVES].to + n);
    point_to_places(s, t, i, count, f->x, f->x_batch, f->x_step, r[OF_INPUTS].to + n);
    point_at(b->states + (states_before(s, t) + i) * hs, hs, count, r[OF_BEFORES].to + n);
    if (s->input_copies)
        point_to_dropout(s, f->input_dropout, s->inputs, i, count, r[OF_INPUT_DROPOUT].to + n);
    if (s->state_copies)
        point_to_dropout(s, f->state_dropout, s->units, i, count, r[OF_STATE_DROPOUT].to + n);
    if (resets_before(s))
        point_at(cached_at(b, c->first_step, t) + i * cached_row(s) + CACHED_Q * hs, cached_row(s),
                 count, r[OF_RESETS].to + n);
    if (args->dx && r[OF_DX].to)
        point_to_places(s, t, i, count, args->dx, args->dx_batch, args->dx_step, r[OF_DX].to + at);
}

/* Of a part's rows the member's. */
static void point_to_part(const backward_pass *b, const share *part, const chunk *c) {
    const shape *s = b->shape;
    const ptrdiff_t all = b->last_row - b->first_row;
    ptrdiff_t first, last, n = 0, before = 0;
    part_of(c->row_count, 1, part->peer, part->peers, &first, &last);
    for (ptrdiff_t t = c->first_step; t < c->end && n < last; t++) {
        const ptrdiff_t end = minimum(c->last_row, rows_in(s, t)), skipped = maximum(0, first - n),
                        i = c->first_row + skipped,
                        count = minimum(end, c->first_row + last - n) - i;
        if (count > 0)
            point_to_step(b, c, t, i, count, c->pointers_at + c->kept + n + skipped,
                          before + i - b->first_row);
        n += maximum(0, end - c->first_row);
        before += maximum(0, minimum(all, rows_in(s, t) - b->first_row));
    }
}

/* A part's rows that the chunk does not sum over are kept for the next one. */
static void keep_rows(const backward_pass *b, const chunk *c) {
    const ptrdiff_t count = c->kept + c->row_count - c->summed;
    for (int k = 0; k < OF_DX; k++) {
        const row_pointers *r = &b->rows[k];
        if (!r->to) continue;
        REAL **to = r->to + c->pointers_at, *kept = r->kept + c->part * MOST_KEPT * r->width;
        for (ptrdiff_t n = 0; n < count; n++) {
            REAL *from = to[c->summed + n];
            to[n] = r->width ? kept + n * r->width : from;
            if (to[n] != from) memcpy(to[n], from, (size_t)r->width * sizeof(REAL));
        }
    }
}

static rows pointed_rows(const backward_pass *b, const chunk *c, int kind, ptrdiff_t column) {
    return from_column(rows_through(b->rows[kind].to + c->pointers_at), column);
}

/* The chunk's rows of derivatives, from a block on. */
static rows rows_of_derivatives(const backward_pass *b, const chunk *c, int block) {
    const ptrdiff_t at = block * b->shape->units;
    if (points_to_rows(b->shape)) return pointed_rows(b, c, OF_DERIVATIVES, at);
    return rows_of_chunk(b, c, b->derivatives + at, b->stride);
}

/* The chunk's rows of x, those of one gate if each has its own. */
static rows rows_of_inputs(const backward_pass *b, const chunk *c, int copy) {
    const shape *s = b->shape;
    const fastgru_forward *f = &b->args->forward;
    const ptrdiff_t stride = row_stride(s->inputs);
    const REAL *x = f->x;
    if (points_to_rows(s)) return pointed_rows(b, c, OF_INPUTS, 0);
    if (copies_inputs(s))
        return rows_of_chunk(b, c, b->inputs + copy * stride, maximum(1, s->input_copies) * stride);
    if (s->schedule) return rows_at(x + offset_of(s, c->first_step) * f->x_step, f->x_step);
    return rows_of_steps(x + c->first_step * f->x_step + c->first_row * f->x_batch,
                         c->last_row - c->first_row, f->x_batch, f->x_step);
}

/* And of the states before. */
static rows rows_of_befores(const backward_pass *b, const chunk *c, int copy) {
    const shape *s = b->shape;
    const ptrdiff_t hs = b->units_stride;
    if (points_to_rows(s)) return pointed_rows(b, c, OF_BEFORES, 0);
    if (copies_states(s))
        return rows_of_chunk(b, c, b->befores + copy * hs, maximum(1, s->state_copies) * hs);
    return rows_of_steps(b->states + (states_before(s, c->first_step) + c->first_row) * hs,
                         c->last_row - c->first_row, hs, s->batch * hs);
}

/* Their dropout for one of the copies, where they are not copied. */
static rows rows_of_dropout(const backward_pass *b, const chunk *c, int kind, int copy,
                            ptrdiff_t width) {
    if (!b->rows[kind].to) return (rows){0};
    return pointed_rows(b, c, kind, copy * b->shape->batch * width);
}

/* GRU, reset before: and of r * h. */
static rows rows_of_resets(const backward_pass *b, const chunk *c) {
    const shape *s = b->shape;
    const ptrdiff_t hs = b->units_stride, stride = cached_row(s);
    if (points_to_rows(s)) return pointed_rows(b, c, OF_RESETS, 0);
    if (copies_resets(s)) return rows_of_chunk(b, c, b->resets, hs);
    const REAL *from = cached_at(b, c->first_step, c->first_step) + CACHED_Q * hs;
    if (b->again || s->schedule) return rows_of_chunk(b, c, from + b->first_row * stride, stride);
    return rows_of_steps(from + c->first_row * stride, c->last_row - c->first_row, stride,
                         s->batch * stride);
}

/* The weights' gradients are sums over the rows of a chunk: A^T D, where A is x or h; transposed, D^T A. Each member makes
 * some of their rows, which it needs some columns of the left operand for, and all of the right one. It makes both ready
 * for itself: what another has made would have to come out of that one's caches, which takes longer. */
INLINE int derivatives_are_left(const shape *s) { return s->transposes_gradients; }

static void part_of_left(const shape *s, const share *part, ptrdiff_t columns, ptrdiff_t *first,
                         ptrdiff_t *last) {
    part_of(columns, chunks_use_digits(s) ? TILE_LINES : MOST_ROWS, part->peer, part->peers, first,
            last);
}

/* The member's columns of some rows, as the left operand; or all, as the right one. */
static void prepare_operand(const shape *s, const share *part, int left, rows from, rows dropout,
                            ptrdiff_t row_count, ptrdiff_t columns, REAL *to) {
    ptrdiff_t first = 0, last = columns;
    if (left) part_of_left(s, part, columns, &first, &last);
    from = from_column(from, first);
    if (dropout.pointers) dropout = from_column(dropout, first);
    prepare_rows(&from, dropout.pointers ? &dropout : NULL, chunks_use_digits(s), row_count,
                 last - first, left, to);
}

/* The chunk's rows that have to be copied or found, by all who share it. */
static void collect_chunk(const backward_pass *b, const share *part, const chunk *all,
                          const chunk *of_parts, int count) {
    const shape *s = b->shape;
    ptrdiff_t first, last;
    part_of(all->row_count, 1, part->peer, part->peers, &first, &last);
    const int copies = copies_inputs(s) || copies_states(s) || copies_resets(s);
    if (copies) copy_rows(b, all, first, last);
    for (int n = 0; points_to_rows(s) && n < count; n++) point_to_part(b, part, &of_parts[n]);
    if (copies || points_to_rows(s)) fastgru_wait(b->ready, part->peers);
}

static operands prepare_chunk(const backward_pass *b, const share *part, const chunk *c) {
    const shape *s = b->shape;
    const ptrdiff_t h = s->units, total = c->summed;
    const int left = derivatives_are_left(s);
    const rows none = {0};
    operands o;
    lay_out_operands(&o, s, total, b->operands + part->member * b->operands_size);
    blocks groups[MOST_BLOCKS];
    for (int g = groups_of_blocks(s, groups); g-- > 0;)
        prepare_operand(s, part, left, rows_of_derivatives(b, c, groups[g].first), none, total,
                        groups[g].count * h, o.derivatives[g]);
    for (int k = 0; k < maximum(1, s->input_copies); k++)
        prepare_operand(s, part, !left, rows_of_inputs(b, c, k),
                        rows_of_dropout(b, c, OF_INPUT_DROPOUT, k, s->inputs), total, s->inputs,
                        o.inputs[k]);
    for (int k = 0; k < maximum(1, s->state_copies); k++)
        prepare_operand(s, part, !left, rows_of_befores(b, c, k),
                        rows_of_dropout(b, c, OF_STATE_DROPOUT, k, h), total, h, o.befores[k]);
    if (resets_before(s))
        prepare_operand(s, part, !left, rows_of_resets(b, c), none, total, h, o.resets);
    return o;
}

/* The member's rows of a gradient, from where the columns of `gate` stand in it: C (+)= A^T D or D^T A. */
static void sum_over_rows(const backward_pass *b, const share *part, const chunk *c, REAL *a,
                          ptrdiff_t a_columns, REAL *d, ptrdiff_t d_columns, int gate, REAL *to) {
    const shape *s = b->shape;
    const int swapped = derivatives_are_left(s);
    const ptrdiff_t at = place_of_gate(s, gate) * s->units;
    const rows sums = swapped ? rows_at(to + at * a_columns, a_columns)
                              : rows_at(to + at, gates_of(s) * s->units);
    ptrdiff_t first, last;
    part_of_left(s, part, swapped ? d_columns : a_columns, &first, &last);
    const ptrdiff_t columns = swapped ? a_columns : d_columns;
    multiply_operands(&(operand_product){
        .as_digits = chunks_use_digits(s),
        .a = {.data = swapped ? d : a},
        .transposed = 1,
        .b = swapped ? a : d,
        .b_columns = columns,
        .columns = columns,
        .depth = c->summed,
        .lines = TILE_LINES,
        .c = rows_at(row(&sums, first), sums.stride),
        .last = last - first,
        .accumulate = c->accumulate,
    });
}

static void weight_gradients(const backward_pass *b, const share *part, const chunk *c,
                             const operands *o, const sums *to) {
    const shape *s = b->shape;
    const ptrdiff_t h = s->units;
    blocks groups[MOST_BLOCKS];
    const int count = groups_of_blocks(s, groups);
    for (int g = 0; g < count; g++) {
        const int of_w = gate_of_w(s, groups[g].first), of_u = gate_of_u(s, groups[g].first);
        const ptrdiff_t columns = groups[g].count * h;
        REAL *d = o->derivatives[g];
        REAL *x = o->inputs[s->input_copies > 1 && of_w >= 0 ? of_w : 0];
        /* What U's gradients are summed from: the states before, or r * h for the candidate, reset before. */
        REAL *before = resets_before(s) && of_u == N
                           ? o->resets
                           : o->befores[s->state_copies > 1 && of_u >= 0 ? of_u : 0];
        if (of_w >= 0) sum_over_rows(b, part, c, x, s->inputs, d, columns, of_w, to->dkernel);
        if (of_u >= 0) sum_over_rows(b, part, c, before, h, d, columns, of_u, to->drecurrent);
    }
}

static void bias_gradients(const backward_pass *b, const share *part, const chunk *c, REAL *dbias) {
    const shape *s = b->shape;
    const ptrdiff_t h = s->units, gates = gates_of(s);
    const ptrdiff_t to_w = (s->cell == FASTGRU_GRU ? DZ : 0) * h;
    const rows d = rows_of_derivatives(b, c, 0);
    ptrdiff_t first, last;
    if (!dbias) return;
    part_of(h, LANES, part->peer, part->peers, &first, &last);
    for (int g = 0; g < gates; g++)
        add_rows(&d, to_w + g * h + first, c->summed, last - first,
                 dbias + place_of_gate(s, g) * h + first);
    if (s->cell != FASTGRU_GRU || !s->reset_after) return;
    add_rows(&d, DQ * h + first, c->summed, last - first, dbias + 5 * h + first);
}

/* Rows [first, last) of a product into dx, each times its dropout. */
static void scatter_inputs(const backward_pass *b, const chunk *c, ptrdiff_t first, ptrdiff_t last,
                           int copy, int adds) {
    const shape *s = b->shape;
    const fastgru_backward *args = b->args;
    const ptrdiff_t width = s->inputs, stride = row_stride(width);
    FOR_EACH_ROW(b, c, first, last, t, i, n) {
        const REAL *from = b->dx + n * stride;
        const REAL *factor = dropout_of(s, args->forward.input_dropout, copy, width, i);
        REAL *dx = (REAL *)args->dx + place_in(s, t, i, args->dx_batch, args->dx_step);
        if (!adds) copy_scaled(from, factor, width, dx);
        else
            for (ptrdiff_t j = 0; j < width; j++) dx[j] += from[j] * factor[j];
    }
}

/* Zeros in the steps around these rows that don't count. */
static void clear_gaps(const backward_pass *b, const chunk *c, ptrdiff_t first, ptrdiff_t last) {
    const shape *s = b->shape;
    const ptrdiff_t step = b->args->dx_step;
    if (!places_of(s)) return;
    FOR_EACH_ROW(b, c, first, last, t, i, n) {
        const fastgru_place *p = places_of(s) + offset_of(s, t) + i;
        REAL *row = (REAL *)b->args->dx + p->row * b->args->dx_batch;
        if (t == 0) clear_steps(row, step, p->step, s->inputs);
        clear_steps(row + (p->step + 1) * step, step, p->next - p->step - 1, s->inputs);
    }
}

/* Where a chunk's product goes: to dx, or before it is scaled or scattered to a buffer. */
static rows rows_of_dx(const backward_pass *b, const chunk *c) {
    const shape *s = b->shape;
    const fastgru_backward *args = b->args;
    const ptrdiff_t at = s->schedule ? offset_of(s, c->first_step) : c->first_step;
    const REAL *dx = (const REAL *)args->dx + at * args->dx_step;
    if (copies_dx(s)) return rows_at(b->dx, row_stride(s->inputs));
    if (points_to_rows(s)) return rows_through(b->rows[OF_DX].to);
    if (s->schedule) return rows_at(dx, args->dx_step);
    return rows_of_steps(dx + c->first_row * args->dx_batch, c->last_row - c->first_row,
                         args->dx_batch, args->dx_step);
}

static void input_gradients(const backward_pass *b, const share *part, const chunk *c) {
    const shape *s = b->shape;
    const int tiles = chunks_use_digits(s);
    if (!b->args->dx) return;
    const rows to = rows_of_dx(b, c);
    blocks groups[MOST_BLOCKS];
    const int count = groups_of_w(s, groups);
    for (int g = 0; g < count; g++) {
        const rows from = rows_at(b->derivatives + groups[g].first * s->units, b->stride);
        ptrdiff_t first, last;
        part_of(c->row_count, tiles ? 2 * TILE_LINES : MOST_ROWS, part->peer, part->peers, &first,
                &last);
        const ptrdiff_t depth = groups[g].count * s->units;
        if (tiles) take_digit_tiles(tile_lines(last - first), depth);
        multiply_operands(&(operand_product){
            .as_digits = tiles,
            .a = from,
            .b = b->w_transposed[g],
            .b_columns = s->inputs,
            .columns = s->inputs,
            .depth = depth,
            .lines = tile_lines(last - first),
            .c = to,
            .first = first,
            .last = last,
            .scratch = b->scratch + part->member * scratch_size(s),
        });
        if (tiles) TILE_RELEASE();
        if (copies_dx(s)) scatter_inputs(b, c, first, last, s->input_copies > 1 ? g : 0, g > 0);
        if (g == 0) clear_gaps(b, c, first, last);
    }
}

#endif
