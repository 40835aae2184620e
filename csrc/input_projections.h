/* The input projections of a chunk of steps, in one product. */
#ifndef FASTGRU_INPUT_PROJECTIONS_H
#define FASTGRU_INPUT_PROJECTIONS_H

#include "forward_layout.h"

/* A chunk's rows, as one member has them: its own rows of each step, one step after the other, from `area` on. Members
 * who split the rows don't wait for each other, so each has an area of its own. */
typedef struct {
    ptrdiff_t first_step, end, area, row_count;
} chunk_part;

static chunk_part part_of_chunk(const shape *s, const share *part, ptrdiff_t first, ptrdiff_t end) {
    chunk_part c = {first, end, 0, 0};
    if (!part->units_split) c.area = part->member * rows_in_a_chunk(s, projected_rows(s));
    for (ptrdiff_t t = first; t < end; t++)
        c.row_count += maximum(0, last_row_in(s, part, t) - part->first_row);
    return c;
}

/* Whether the product can read the member's rows of x where they are. */
static int reads_in_place(const forward_pass *f, const share *part) {
    const shape *s = f->shape;
    const ptrdiff_t count = part->last_row - part->first_row;
    if (s->input_copies || places_of(s)) return 0;
    if (s->schedule) return count == s->batch;
    return panel_vectors(s) > PLAIN || count == 1 || f->args->x_step == count * f->args->x_batch;
}

/* The row of x, or of another array of that layout, for row i of step t. */
INLINE ptrdiff_t place_in(const shape *s, ptrdiff_t t, ptrdiff_t i, ptrdiff_t batch_stride,
                          ptrdiff_t step_stride) {
    if (!s->schedule) return i * batch_stride + t * step_stride;
    const ptrdiff_t n = offset_of(s, t) + i;
    if (!s->schedule->places) return n * step_stride;
    const fastgru_place *p = s->schedule->places + n;
    return p->row * batch_stride + p->step * step_stride;
}

/* Pointers to `count` rows of step t from row i on. */
static void point_to_places(const shape *s, ptrdiff_t t, ptrdiff_t i, ptrdiff_t count,
                            const REAL *data, ptrdiff_t batch_stride, ptrdiff_t step_stride,
                            REAL **to) {
    for (ptrdiff_t n = 0; n < count; n++)
        to[n] = (REAL *)data + place_in(s, t, i + n, batch_stride, step_stride);
}

/* to = from, times a factor where there is one. */
INLINE void copy_scaled(const REAL *from, const REAL *factor, ptrdiff_t count, REAL *restrict to) {
    if (!factor) memcpy(to, from, (size_t)count * sizeof(REAL));
    else
        for (ptrdiff_t j = 0; j < count; j++) to[j] = from[j] * factor[j];
}

/* The factors on x, or on the state, of row i for one of the copies; NULL where there are none. */
INLINE const REAL *dropout_of(const shape *s, const void *dropout, int copy, ptrdiff_t width,
                              ptrdiff_t i) {
    if (!dropout) return NULL;
    return (const REAL *)dropout + (copy * s->batch + number_of(s, i)) * width;
}

/* Pointers to the factors of the first copy on `count` rows from row i on. */
static void point_to_dropout(const shape *s, const void *dropout, ptrdiff_t width, ptrdiff_t i,
                             ptrdiff_t count, REAL **to) {
    for (ptrdiff_t n = 0; n < count; n++) to[n] = (REAL *)dropout_of(s, dropout, 0, width, i + n);
}

/* One row of x, for each gate with its own dropout. */
static void copy_input(const fastgru_forward *args, ptrdiff_t t, ptrdiff_t i, ptrdiff_t stride,
                       REAL *to) {
    const shape *s = &args->shape;
    const REAL *x = (const REAL *)args->x + place_in(s, t, i, args->x_batch, args->x_step);
    for (int c = 0; c < maximum(s->input_copies, 1); c++)
        copy_scaled(x, dropout_of(s, args->input_dropout, c, s->inputs, i), s->inputs,
                    to + c * stride);
}

static void gather_inputs(forward_pass *f, const share *part, const chunk_part *c) {
    const shape *s = f->shape;
    const ptrdiff_t width = maximum(s->input_copies, 1) * f->inputs_stride;
    REAL *to = f->inputs + c->area * width;
    for (ptrdiff_t t = c->first_step; t < c->end; t++) {
        const ptrdiff_t first = part->first_row, last = last_row_in(s, part, t);
        ptrdiff_t mine = 0, end = maximum(0, last - first);
        if (part->units_split) part_of(end, 1, part->member, part->members, &mine, &end);
        for (ptrdiff_t i = mine; i < end; i++)
            copy_input(f->args, t, first + i, f->inputs_stride, to + i * width);
        to += maximum(0, last - first) * width;
    }
    if (part->units_split) fastgru_wait(f->ready, part->members);
}

/* The member's rows of x, where a product finds them: gathered, if need be. */
static rows rows_of_x(forward_pass *f, const share *part, const chunk_part *c) {
    const shape *s = f->shape;
    const fastgru_forward *args = f->args;
    if (!reads_in_place(f, part)) {
        const ptrdiff_t stride = maximum(s->input_copies, 1) * f->inputs_stride;
        gather_inputs(f, part, c);
        return rows_at(f->inputs + c->area * stride, stride);
    }
    const REAL *x = (const REAL *)args->x + part->first_row * args->x_batch;
    if (s->schedule) return rows_at(x + offset_of(s, c->first_step) * args->x_step, args->x_step);
    return rows_of_steps(x + c->first_step * args->x_step, part->last_row - part->first_row,
                         args->x_batch, args->x_step);
}

/* The member's rows [first, last) of a chunk, where they are in x, and the first gate's dropout of each, if there is any. */
static void point_to_inputs(const forward_pass *f, const share *part, const chunk_part *c,
                            ptrdiff_t first, ptrdiff_t last, REAL **to, REAL **dropout) {
    const fastgru_forward *args = f->args;
    const shape *s = f->shape;
    for (ptrdiff_t t = c->first_step, n = 0; t < c->end && n < last; t++) {
        const ptrdiff_t total = maximum(0, last_row_in(s, part, t) - part->first_row),
                        skipped = maximum(0, first - n), count = minimum(total, last - n) - skipped,
                        i = part->first_row + skipped;
        n += total;
        if (count <= 0) continue;
        point_to_places(s, t, i, count, args->x, args->x_batch, args->x_step, to);
        if (s->input_copies) point_to_dropout(s, args->input_dropout, s->inputs, i, count, dropout);
        to += count;
        dropout += count;
    }
}

/* The product as digits: of some columns, which stay in L2, with all rows that are digits. */
static void project_digits(forward_pass *f, const share *part, const chunk_part *c) {
    const shape *s = f->shape;
    const ptrdiff_t width = f->gates * f->units_stride, column = part->first_unit * f->gates,
                    end = part->last_unit * f->gates;
    const digit_matrix w = digit_matrix_at(f->w, s->inputs, padded_units(s) * f->gates);
    const ptrdiff_t most = columns_at_once(s->inputs, f->gates);
    REAL *x[DIGIT_ROWS], *dropout[DIGIT_ROWS];
    digit_source d = {.pointers = x,
                      .depth = s->inputs,
                      .copies = s->input_copies,
                      .dropout = s->input_copies ? dropout : NULL,
                      .dropout_stride = s->batch * s->inputs};
    for (; d.first < c->row_count; d.first = d.last) {
        d.last = minimum(c->row_count, d.first + DIGIT_ROWS);
        point_to_inputs(f, part, c, d.first, d.last, x, dropout);
        take_digit_tiles(tile_lines(d.last - d.first), s->inputs);
        digit_product m = begin_digit_product(f, part->member, &d, &w, 1);
        m.gates = f->gates;
        for (ptrdiff_t j = column; j < end; j += most) {
            m.columns = minimum(most, end - j);
            m.b = columns_of_digits(&w, s->inputs, j);
            m.start = f->input_bias + j;
            m.c = rows_at(f->projected + (c->area + d.first) * width + j, width);
            multiply_digits(&m);
        }
    }
    TILE_RELEASE();
}

/* The member's rows and units of the input projections of a chunk. */
static void project_inputs(forward_pass *f, const share *part, const chunk_part *c) {
    const shape *s = f->shape;
    if (inputs_use_digits(s)) {
        project_digits(f, part, c);
        return;
    }
    const rows x = rows_of_x(f, part, c);
    const ptrdiff_t width = f->gates * f->units_stride, column = part->first_unit * f->gates;
    multiply_packed(&(packed_product){
        .a = x,
        .c = rows_at(f->projected + c->area * width + column, width),
        .last = c->row_count,
        .b = f->w + column * s->inputs,
        .depth = s->inputs,
        .columns = (part->last_unit - part->first_unit) * f->gates,
        .vectors = panel_vectors(s),
        .start = f->input_bias + column,
        .gate_step = s->input_copies > 1 ? f->inputs_stride : 0,
        .gates = f->gates,
    });
}

#endif
