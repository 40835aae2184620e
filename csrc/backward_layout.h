/* What a backward pass works on: the blocks that a row of derivatives is made of, and the buffers of a call.
 *
 * A row of derivatives, before the activations, is blocks of H:
 *   GRU          [dq | dz | dr | dn]   dq = r * dn is what reaches h U_n when the reset comes after. So blocks 0-2 are
 *                                      what U meets, and blocks 1-3, in Keras' order, what W meets
 *   LSTM         [di | df | dg | do]
 *   simple RNN   [d] */
#ifndef FASTGRU_BACKWARD_LAYOUT_H
#define FASTGRU_BACKWARD_LAYOUT_H

#include "recurrent_forward.h"

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
    if (s->cell == FASTGRU_GRU && !is_gated(s) && !s->resets_first) {
        groups[count++] = (blocks){DZ, 2};
        groups[count++] = (blocks){DN, 1};
        if (s->reset_after) groups[count++] = (blocks){DQ, 1};
    } else if (s->cell != FASTGRU_GRU && !is_gated(s)) {
        groups[count++] = (blocks){0, blocks_of(s)};
    } else {
        for (int b = resets_before(s) ? DZ : 0; b < blocks_of(s); b++)
            groups[count++] = (blocks){b, 1};
    }
    return count;
}

/* For dh: what the product with U's transpose takes; the candidate's block comes alone where the reset comes before. */
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
INLINE ptrdiff_t rows_at_a_time(const shape *s) { return USE_TILES(s->units <= 256) ? 192 : 256; }

/* Of a part's rows that fill no block of digits: where rows are pointed to they wait for the next chunk. */
enum { MOST_KEPT = LINE_BYTES };

/* Whether the products go through digits: those of a chunk, if it fills tiles and so do the units, or nearly with a batch that
 * does; and those of a step, if it fills them or U, which then has three bytes a weight instead of four, does not stay in
 * L2. The answer does not depend on the number of threads. */
INLINE int chunks_use_digits(const shape *s) {
    const ptrdiff_t row_count = rows_in_a_chunk(s, rows_at_a_time(s));
    const ptrdiff_t fewest = s->batch >= TILE_LINES ? 2 * LANES + 1 : 4 * LANES;
    return USE_TILES(row_count >= 2 * TILE_LINES && s->units >= fewest) &&
           maximum(parts_of(s) * row_count + MOST_KEPT, gates_of(s) * s->units) <= DEEPEST;
}
INLINE int steps_use_digits(const shape *s) {
    const ptrdiff_t bytes_of_u = gates_of(s) * s->units * s->units * (ptrdiff_t)sizeof(REAL);
    return chunks_use_digits(s) && USE_TILES(s->batch >= TILE_LINES || bytes_of_u > 1 << 20);
}

/* With a schedule all parts' rows are counted together: how many each of them has changes from step to step. */
INLINE ptrdiff_t most_rows_of_a_part(const shape *s) {
    return (s->schedule ? parts_of(s) : 1) * rows_at_a_time(s);
}

/* Elements of an operand of a sum over rows: gradients of weights come out transposed where its left-hand side and its
 * right-hand side change places. */
INLINE ptrdiff_t operand_size(int tiles, ptrdiff_t row_count, ptrdiff_t columns) {
    return maximum(right_size(tiles, row_count, columns), left_size(tiles, row_count, columns));
}

/* Where rows of derivatives become digits: some of their blocks. A larger depth may take less, with fewer rows at a time. */
INLINE ptrdiff_t scratch_size(const shape *s) {
    ptrdiff_t size = 0;
    for (int count = 1; count <= gates_of(s); count++)
        size = maximum(size, split_size(count * s->units));
    return size;
}

/* A member's operands of products over the rows of a chunk. */
typedef struct {
    REAL *derivatives[MOST_BLOCKS];                   /* each group of blocks */
    REAL *inputs[MOST_BLOCKS], *befores[MOST_BLOCKS]; /* x and h: for all gates, or for each */
    REAL *resets;                                     /* r * h */
} operands;

/* Where rows of a chunk are, and their dropout: of dx in the order of the steps; else part by part, each part's kept rows
 * first. And where kept rows go that were in the chunk's buffers: so many numbers each; 0 where rows stay. */
enum {
    OF_DERIVATIVES,
    OF_INPUTS,
    OF_INPUT_DROPOUT,
    OF_BEFORES,
    OF_STATE_DROPOUT,
    OF_RESETS,
    OF_DX,
    POINTED
};
typedef struct {
    REAL **to, *kept; /* to: NULL where there are none */
    ptrdiff_t width;
} row_pointers;

/* The weights' gradients, summed over a part of the rows. */
typedef struct {
    REAL *dkernel, *drecurrent, *dbias;
} sums;

typedef struct {
    const fastgru_backward *args;
    const shape *shape;
    ptrdiff_t units_stride, stride; /* of rows of units, and of derivatives */
    const REAL *cache;              /* recomputed: the chunk's rows, one after the other */
    ptrdiff_t first_row, last_row;  /* at work */
    sums parts[MOST_PARTS];         /* of the rows; the first one's are the caller's arrays */
    int part_count;
    ptrdiff_t part_rows[MOST_PARTS + 1]; /* where each part begins, and the last one ends */
    int begun[MOST_PARTS];               /* whether its sums have something in them */
    ptrdiff_t kept[MOST_PARTS];          /* its rows that wait for the next chunk */
    const REAL *states, *c_states;
    int steps_use_digits, steps_use_tiles; /* tiles, for more than a few rows */
    REAL *u_transposed[MOST_BLOCKS], *w_transposed[MOST_BLOCKS]; /* packed; one for each group */
    REAL *candidate_transposed;                                  /* GRU, reset before: U_n's */
    REAL *operands;                                              /* each member's */
    ptrdiff_t operands_size;
    REAL *areas; /* for each part at work: what follows up to made_again, with a chunk's rows */
    ptrdiff_t area_size;
    REAL *derivatives;
    REAL *inputs;  /* x, for each gate with its own dropout, where it is scattered or scaled */
    REAL *befores; /* and h, likewise */
    REAL *resets;  /* r * h, where scattered */
    row_pointers rows[POINTED];
    ptrdiff_t pointers_of_a_part;
    REAL *dx;         /* a product, before it is scaled or scattered */
    REAL *made_again; /* rows of the cache */
    REAL *dh;         /* (B, Hs): gradient of the loss to the state after the step at hand */
    REAL *dc;         /* LSTM: likewise */
    REAL *carried;    /* (B, Hs): a product that has to be scaled, or GRU, reset before: to r * h */
    REAL *scratch;    /* each member's, where products go through tiles */
    forward_pass *again;    /* what makes rows of the cache again; NULL where the cache has all */
    REAL *end;              /* where the buffers end */
    fastgru_barrier *ready; /* of the members who sum over the same rows */
} backward_pass;

/* With a schedule the rows of a chunk that belong to one part are not at one stride, and with a mask no rows of x are.
 * Digits are made of rows anywhere, times their dropout: they are pointed to. For the micro-kernel they are copied. */
INLINE int points_to_rows(const shape *s) {
    return (s->schedule || s->input_copies || s->state_copies) && chunks_use_digits(s);
}
INLINE int copies_inputs(const shape *s) {
    const int scattered = places_of(s) || (s->schedule && parts_of(s) > 1);
    return (s->input_copies || scattered) && !points_to_rows(s);
}
INLINE int copies_states(const shape *s) {
    return (s->state_copies || s->schedule) && !points_to_rows(s);
}
INLINE int copies_resets(const shape *s) {
    return resets_before(s) && s->schedule && parts_of(s) > 1 && !points_to_rows(s);
}
/* Whether dx is a product in a buffer first. */
INLINE int copies_dx(const shape *s) { return s->input_copies || copies_inputs(s); }

INLINE ptrdiff_t kernel_size(const shape *s) { return gates_of(s) * s->units * s->inputs; }
INLINE ptrdiff_t recurrent_kernel_size(const shape *s) { return gates_of(s) * s->units * s->units; }

static REAL *lay_out_operands(operands *o, const shape *s, ptrdiff_t row_count, REAL *buffer) {
    const int tiles = chunks_use_digits(s);
    const ptrdiff_t h = s->units, size_of_x = operand_size(tiles, row_count, s->inputs);
    const ptrdiff_t size_of_h = operand_size(tiles, row_count, h);
    blocks groups[MOST_BLOCKS];
    for (int g = groups_of_blocks(s, groups); g-- > 0;)
        o->derivatives[g] = take(&buffer, operand_size(tiles, row_count, groups[g].count * h));
    for (int k = 0; k < maximum(1, s->input_copies); k++) o->inputs[k] = take(&buffer, size_of_x);
    for (int k = 0; k < maximum(1, s->state_copies); k++) o->befores[k] = take(&buffer, size_of_h);
    o->resets = take(&buffer, resets_before(s) ? size_of_h : 0);
    return buffer;
}

static REAL **take_pointers(REAL **buffer, ptrdiff_t count) {
    const ptrdiff_t bytes = count * (ptrdiff_t)sizeof(REAL *);
    return (REAL **)take(buffer, (bytes + (ptrdiff_t)sizeof(REAL) - 1) / (ptrdiff_t)sizeof(REAL));
}

static REAL *lay_out_area(backward_pass *b, const shape *s, REAL *buffer) {
    const ptrdiff_t chunk = rows_in_a_chunk(s, parts_of(s) * rows_at_a_time(s));
    const ptrdiff_t hs = stride_of_units(s);
    const ptrdiff_t inputs = maximum(1, s->input_copies), states = maximum(1, s->state_copies);
    b->derivatives = take(&buffer, chunk * derivatives_stride(s));
    b->inputs = take(&buffer, copies_inputs(s) ? chunk * inputs * row_stride(s->inputs) : 0);
    b->befores = take(&buffer, copies_states(s) ? chunk * states * hs : 0);
    b->resets = take(&buffer, copies_resets(s) ? chunk * hs : 0);
    b->dx = take(&buffer, copies_dx(s) ? chunk * row_stride(s->inputs) : 0);
    const struct {
        ptrdiff_t used, width;
    } pointed[POINTED] = {[OF_DERIVATIVES] = {1, derivatives_stride(s)},
                          [OF_INPUTS] = {1},
                          [OF_INPUT_DROPOUT] = {s->input_copies},
                          [OF_BEFORES] = {1},
                          [OF_STATE_DROPOUT] = {s->state_copies},
                          [OF_RESETS] = {resets_before(s), s->recompute ? hs : 0},
                          [OF_DX] = {!copies_dx(s)}};
    b->pointers_of_a_part = chunk + MOST_KEPT;
    for (int k = 0; k < POINTED; k++) {
        b->rows[k] = (row_pointers){.width = pointed[k].width};
        if (!pointed[k].used || !points_to_rows(s)) continue;
        b->rows[k].to = take_pointers(&buffer, parts_of(s) * b->pointers_of_a_part);
        b->rows[k].kept = take(&buffer, parts_of(s) * MOST_KEPT * pointed[k].width);
    }
    b->made_again = take(&buffer, s->recompute ? chunk * cached_row(s) : 0);
    return buffer;
}

/* Lays the buffers out and returns where they end. */
static REAL *lay_out_backward(backward_pass *b, const shape *s, int threads, REAL *buffer) {
    const int by_chunk = chunks_use_digits(s), by_step = steps_use_digits(s);
    const ptrdiff_t h = s->units, chunk = rows_in_a_chunk(s, most_rows_of_a_part(s)),
                    bhs = s->batch * stride_of_units(s);
    blocks groups[MOST_BLOCKS];
    for (int g = groups_of_u(s, groups); g-- > 0;)
        b->u_transposed[g] = take(&buffer, right_size(by_step, groups[g].count * h, h));
    for (int g = groups_of_w(s, groups); g-- > 0;)
        b->w_transposed[g] = take(&buffer, right_size(by_chunk, groups[g].count * h, s->inputs));
    b->candidate_transposed = take(&buffer, resets_before(s) ? right_size(by_step, h, h) : 0);
    operands o;
    b->operands_size =
        lay_out_operands(&o, s, chunk + (points_to_rows(s) ? MOST_KEPT : 0), buffer) - buffer;
    b->operands = take(&buffer, threads * b->operands_size);
    b->area_size = lay_out_area(b, s, buffer) - buffer;
    b->areas = take(&buffer, (threads > 1 ? parts_of(s) : 1) * b->area_size);
    b->dh = take(&buffer, bhs);
    b->dc = take(&buffer, s->cell == FASTGRU_LSTM ? bhs : 0);
    b->carried = take(&buffer, s->state_copies || resets_before(s) ? bhs : 0);
    b->scratch = take(&buffer, by_chunk ? threads * scratch_size(s) : 0);
    for (int n = 1; n < parts_of(s); n++)
        b->parts[n] = (sums){take(&buffer, kernel_size(s)), take(&buffer, recurrent_kernel_size(s)),
                             take(&buffer, biases_of(s) * s->units)};
    return buffer;
}

static size_t backward_workspace(const shape *s, int threads) {
    backward_pass b;
    REAL origin; /* addresses are subtracted, never used */
    const size_t size =
        (size_t)(lay_out_backward(&b, s, threads_for(s, threads), &origin) - &origin);
    return s->recompute ? size + forward_workspace(s, threads) : size;
}

#endif
