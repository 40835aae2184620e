/* What a forward pass works on: the buffers of a call. */
#ifndef FASTGRU_FORWARD_LAYOUT_H
#define FASTGRU_FORWARD_LAYOUT_H

#include "sharing.h"

typedef struct forward_pass forward_pass;
typedef struct step step;

/* Makes gates and states of the member's rows and the units of `count` whole vectors from `unit` on. */
typedef void finish_function(const forward_pass *f, const step *t, ptrdiff_t unit, ptrdiff_t count);

/* One call's buffers and pointers. A row of `projected` holds, vector by vector of units, all gates' vectors. */
struct forward_pass {
    const fastgru_forward *args;
    const shape *shape;
    int gates;
    ptrdiff_t units_stride, inputs_stride;
    const REAL *w, *u, *u_candidate;
    REAL *input_bias;     /* as projected rows are ordered; a GRU's z and r include U's bias */
    REAL *candidate_bias; /* GRU, reset after: c_n */
    REAL *inputs;         /* a chunk's rows of x where they can't be read in place */
    REAL *projected;
    REAL *recurrent; /* products of a few panels, for all rows; each member has its own */
    REAL *digits;    /* each member's, of its rows of x or of a state */
    REAL *dropped;   /* the state that enters the products, a copy for each gate or one for all */
    REAL *state[2];  /* inference: h before and after a step, in turn */
    REAL *c_state;
    REAL *update;            /* GRU, reset before: z, until the candidate is known */
    REAL *reset_state;       /* ... and r * h, times its dropout */
    REAL *states, *c_states; /* training: all of them, in the cache; else NULL */
    REAL *cache;             /* rows from step cached_from on, or NULL */
    ptrdiff_t cached_from, cached_first,
        cached_last; /* recomputing: rows of these steps and rows */
    int recomputes;  /* the states are known: only the cache's rows are made */
    finish_function *finish;
    fastgru_barrier *ready; /* with the units split: all have made their units of the step */
};

/* Rows whose input projections are made together: enough for a product to run at full speed, few enough to stay in
 * L2 until the steps have used them. */
INLINE ptrdiff_t projected_rows(const shape *s) {
    const int tiles = inputs_use_digits(s); /* these are faster, and want more rows */
    const ptrdiff_t bytes = (ptrdiff_t)1 << (tiles ? 20 : 18);
    const ptrdiff_t fitting = bytes / ((ptrdiff_t)sizeof(REAL) * gates_of(s) * padded_units(s));
    return minimum(maximum(fitting, tiles ? 128 : 64), 512);
}

/* Vectors of columns that one product of a state with U makes of so many rows: as digits many, for each product ends with sums
 * that become reals while nothing is multiplied, but so few that they stay close until the step is finished. */
enum { MOST_COLUMNS = 48, FEWEST_COLUMNS = 6, MOST_PRODUCTS = 16 * MOST_COLUMNS };

INLINE ptrdiff_t columns_of_rows(ptrdiff_t row_count) {
    if (row_count <= ROWS_ON_VECTORS)
        return 12; /* U's last columns may stay in L2 until the next step */
    const ptrdiff_t columns = MOST_PRODUCTS / row_count / FEWEST_COLUMNS * FEWEST_COLUMNS;
    return minimum(maximum(columns, FEWEST_COLUMNS), MOST_COLUMNS);
}
INLINE ptrdiff_t recurrent_size(const shape *s) {
    if (!states_use_digits(s)) return piece(s->batch * MOST_PANELS * MOST_VECTORS * LANES);
    return piece(maximum(MOST_PRODUCTS, s->batch * FEWEST_COLUMNS) * LANES);
}

/* A member's rows of x, DIGIT_ROWS at a time, or of a state, as digits, and their scales: a copy for all gates, or for each. */
enum { DIGIT_ROWS = 128 };

INLINE ptrdiff_t digits_of_rows(ptrdiff_t row_count, ptrdiff_t depth) {
    return left_digits_size(row_count, depth) + piece(row_count);
}
INLINE ptrdiff_t member_digits(const shape *s) {
    const ptrdiff_t inputs = inputs_use_digits(s) ? digits_of_rows(DIGIT_ROWS, s->inputs) : 0;
    const ptrdiff_t states = states_use_digits(s) ? digits_of_rows(s->batch, s->units) : 0;
    return maximum(maximum(s->input_copies, 1) * inputs, maximum(s->state_copies, 1) * states);
}

/* Lays the buffers out and returns where they end. */
static REAL *lay_out_forward(forward_pass *f, const shape *s, int threads, REAL *buffer) {
    const ptrdiff_t hp = padded_units(s), bhs = s->batch * stride_of_units(s);
    const ptrdiff_t chunk = threads * rows_in_a_chunk(s, projected_rows(s));
    const int before = resets_before(s);
    f->input_bias = take(&buffer, gates_of(s) * hp);
    f->candidate_bias = take(&buffer, hp);
    f->inputs = take(&buffer, inputs_use_digits(s)
                                  ? 0
                                  : chunk * maximum(s->input_copies, 1) * row_stride(s->inputs));
    f->projected = take(&buffer, chunk * gates_of(s) * stride_of_units(s));
    f->recurrent = take(&buffer, threads * recurrent_size(s));
    f->digits = take(&buffer, threads * member_digits(s));
    f->dropped = take(&buffer, s->state_copies * bhs);
    f->state[0] = take(&buffer, bhs);
    f->state[1] = take(&buffer, bhs);
    f->c_state = take(&buffer, s->cell == FASTGRU_LSTM ? bhs : 0);
    f->update = take(&buffer, before ? bhs : 0);
    f->reset_state = take(&buffer, before ? bhs : 0);
    return buffer;
}

static size_t forward_workspace(const shape *s, int threads) {
    forward_pass f;
    REAL origin; /* addresses are subtracted, never used */
    return (size_t)(lay_out_forward(&f, s, threads_for(s, threads), &origin) - &origin);
}

/* The biases, in the order and with the padding of the products that they are added to. */
static void pack_biases(const forward_pass *f) {
    const ptrdiff_t h = f->shape->units, gates = f->gates;
    const int after = f->shape->cell == FASTGRU_GRU && f->shape->reset_after;
    const REAL *b = f->args->bias, *c = after && b ? b + gates * h : NULL;
    memset(f->input_bias, 0, (size_t)(gates * padded_units(f->shape)) * sizeof(REAL));
    memset(f->candidate_bias, 0, (size_t)padded_units(f->shape) * sizeof(REAL));
    for (int g = 0; b && g < gates; g++) {
        const ptrdiff_t at = place_of_gate(f->shape, g) * h;
        for (ptrdiff_t j = 0; j < h; j++)
            f->input_bias[(j / LANES * gates + g) * LANES + j % LANES] =
                c && g != N ? b[at + j] + c[at + j] : b[at + j];
    }
    if (c) memcpy(f->candidate_bias, c + N * h, (size_t)h * sizeof(REAL));
}

static finish_function *finish_function_of(const shape *s);

static forward_pass begin_forward(const fastgru_forward *args, int threads, REAL *workspace) {
    const shape *s = &args->shape;
    const REAL *packed = args->packed;
    forward_pass f = {.args = args, .shape = s, .gates = gates_of(s), .w = packed};
    f.units_stride = stride_of_units(s);
    f.inputs_stride = row_stride(s->inputs);
    f.u = packed + packed_recurrent_at(s);
    if (resets_before(s)) f.u_candidate = packed + packed_candidate_at(s);
    f.finish = finish_function_of(s);
    lay_out_forward(&f, s, threads, workspace);
    if (args->cache) {
        f.states = (REAL *)args->cache + cached_states_at(s);
        if (s->cell == FASTGRU_LSTM) f.c_states = f.states + states_size(s);
        if (!s->recompute) f.cache = args->cache;
    }
    pack_biases(&f);
    return f;
}

/* Rows of x, each where it is, or of a state, at strides. For so many gates each has its own: x times its dropout, or a copy
 * of the state. */
typedef struct {
    rows from;
    REAL *const *pointers; /* instead of from, to row `first` and those after it */
    ptrdiff_t first, last, depth, copy_stride;
    int copies;
    REAL *const *dropout;     /* with pointers: the first gate's, of each row, or NULL */
    ptrdiff_t dropout_stride; /* from gate to gate */
} digit_source;

static void split_source(const digit_source *d, int copy, const left_digits *to) {
    enum { AT_ONCE = 4 * TILE_LINES };
    const ptrdiff_t total = d->last - d->first;
    rows from = d->from;
    from.data += copy * d->copy_stride;
    for (ptrdiff_t i = 0; i < total; i += AT_ONCE) {
        const ptrdiff_t count = minimum(AT_ONCE, total - i);
        REAL *x[AT_ONCE], *dropout[AT_ONCE];
        if (!d->pointers) point_to_rows(&from, d->first + i, count, x);
        for (ptrdiff_t n = 0; d->dropout && n < count; n++)
            dropout[n] = d->dropout[i + n] + copy * d->dropout_stride;
        split_for_products(to, total > ROWS_ON_VECTORS, d->pointers ? d->pointers + i : x,
                           d->dropout ? dropout : NULL, i, count);
    }
}

/* A product of these rows, as digits, with some columns that are still to be said. */
static digit_product begin_digit_product(const forward_pass *f, int member, const digit_source *d,
                                         const digit_matrix *b, int balanced) {
    const ptrdiff_t next = digits_of_rows(d->last - d->first, d->depth);
    const ptrdiff_t scales_at = left_digits_size(d->last - d->first, d->depth);
    REAL *at = f->digits + member * member_digits(f->shape);
    left_digits to = {(char *)at, at + scales_at, d->depth, tile_lines(d->last - d->first),
                      balanced ? b->balance : NULL};
    for (int c = 0; c < maximum(d->copies, 1); c++) {
        split_source(d, c, &to);
        to.digits += next * (ptrdiff_t)sizeof(REAL);
        to.scales += next;
    }
    return (digit_product){
        .a = (const char *)at,
        .a_scales = at + scales_at,
        .a_next = d->copies > 1 ? next * (ptrdiff_t)sizeof(REAL) : 0,
        .scales_next = next,
        .b = *b,
        .row_count = d->last - d->first,
        .lines = to.lines,
        .depth = d->depth,
    };
}

#endif
