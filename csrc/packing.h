/* Packs a recurrent layer's weights for the forward pass. */
#ifndef FASTGRU_PACKING_H
#define FASTGRU_PACKING_H

#include "recurrent_layout.h"
#include "team.h"

/* What all threads share. */
typedef struct {
    const shape *shape;
    const fastgru_weights *kernel, *recurrent;
    REAL *packed;
    fastgru_barrier ready;
} packing;

/* Rows of the weights go through by some at a time: all units of a row stand in a few pages. */
enum { ROWS_PACKED_AT_ONCE = 32 };

/* Rows [first, last) of a matrix `depth` deep, in panels of `vectors` vectors. */
static void pack_panels(const fastgru_weights *w, ptrdiff_t first, ptrdiff_t last, ptrdiff_t depth,
                        ptrdiff_t units, int first_gate, int gates, int vectors, REAL *to) {
    const ptrdiff_t total = padded(units, LANES) / LANES * gates;
    for (ptrdiff_t k = first; k < last; k += ROWS_PACKED_AT_ONCE) {
        const REAL *from = (const REAL *)w->data + k * w->row;
        const ptrdiff_t row_count = minimum(ROWS_PACKED_AT_ONCE, last - k);
        for (ptrdiff_t v = 0; v < total; v++) {
            const ptrdiff_t unit = v / gates * LANES, panel = v / vectors * vectors;
            const ptrdiff_t width = minimum(vectors, total - panel);
            pack_vector(from + w->gate[first_gate + v % gates] + unit * w->column, w->row,
                        w->column, row_count, units - unit,
                        to + (panel * depth + k * width + v - panel) * LANES, width * LANES);
        }
    }
}

/* Some gates of W or of U, `depth` deep, into panels or digits. */
typedef struct {
    const fastgru_weights *weights;
    ptrdiff_t depth, units;
    int first_gate, gates;
    int as_digits, balanced, vectors; /* in a panel */
    REAL *to;
} gates_packing;

#ifdef HAS_TILES

/* Lines that go through together: as many streams as the processor prefetches, or, out of columns, what a transpose
 * in registers takes. A block of the depth has some whole such. */
enum { MOST_LINES = LANES };
typedef REAL some_lines[MOST_LINES * LANES];
INLINE ptrdiff_t lines_at_once(const gates_packing *p) { return p->weights->row == 1 ? 16 : 8; }

INLINE ptrdiff_t lines_of_digits(const gates_packing *p) {
    const digit_blocks blocks = digit_blocks_of(p->depth);
    return blocks.count * blocks.depth;
}

/* Lines from the k-th on of the v-th vector of columns, each times a factor; zeros where the depth ends. */
INLINE void gather_lines(const gates_packing *p, ptrdiff_t k, ptrdiff_t v, const REAL *factors,
                         some_lines lines) {
    const fastgru_weights *w = p->weights;
    const ptrdiff_t unit = v / p->gates * LANES;
    const ptrdiff_t most = lines_at_once(p), count = maximum(0, minimum(most, p->depth - k));
    pack_vector((const REAL *)w->data + w->gate[p->first_gate + v % p->gates] + k * w->row +
                    unit * w->column,
                w->row, w->column, count, p->units - unit, lines, LANES);
    memset(lines + count * LANES, 0, (size_t)((most - count) * LANES) * sizeof(REAL));
    for (ptrdiff_t i = 0; factors && i < count; i++)
        store(lines + i * LANES, load(lines + i * LANES) * factors[i]);
}

/* What takes the balance of some lines away from the weights again; NULL where there is none. */
INLINE const REAL *factors_of_lines(const gates_packing *p, const digit_matrix *to, ptrdiff_t k,
                                    REAL factors[MOST_LINES]) {
    for (ptrdiff_t i = 0; p->balanced && i < minimum(lines_at_once(p), p->depth - k); i++) {
        const REAL power = to->balance[k + i];
        factors[i] = power > 0 ? 1 / power : 0;
    }
    return p->balanced ? factors : NULL;
}

/* The powers of two of the member's lines. */
static void find_balance(const gates_packing *p, const digit_matrix *to, int member, int members) {
    const ptrdiff_t vectors = padded(p->units, LANES) / LANES * p->gates;
    const ptrdiff_t at_once = lines_at_once(p);
    _Alignas(64) some_lines lines, largest;
    ptrdiff_t first, last;
    part_of(p->depth, at_once, member, members, &first, &last);
    for (ptrdiff_t k = first; k < last; k += at_once) {
        memset(largest, 0, sizeof largest);
        for (ptrdiff_t v = 0; v < vectors; v++) {
            gather_lines(p, k, v, NULL, lines);
            for (ptrdiff_t i = 0; i < at_once * LANES; i += LANES) {
                const ivec finite = finite_magnitude(load(lines + i));
                store(largest + i, (vec)larger(load_integers(largest + i), finite));
            }
        }
        for (ptrdiff_t i = 0; i < minimum(at_once, p->depth - k); i++)
            to->balance[k + i] = power_below(largest_lane(load_integers(largest + i * LANES)));
    }
}

/* The member's columns as digits: first their scales, and then the digits, so that both times all units of a row, in a few
 * pages, go through together. */
static void split_gates(const gates_packing *p, const digit_matrix *to, int member, int members) {
    const ptrdiff_t column = digit_column(digit_blocks_of(p->depth)), at_once = lines_at_once(p);
    _Alignas(64) some_lines lines;
    REAL room[MOST_LINES];
    ptrdiff_t first, last;
    part_of(padded(p->units, LANES) / LANES * p->gates, 1, member, members, &first, &last);
    const size_t bytes = (size_t)((last - first) * LANES) * sizeof(REAL);
    memset(to->scales + first * LANES, 0, bytes);
    memset(to->excess + first * LANES * DIGITS, 0, DIGITS * bytes);
    for (ptrdiff_t k = 0; k < lines_of_digits(p); k += at_once) {
        const REAL *factors = factors_of_lines(p, to, k, room);
        for (ptrdiff_t v = first; v < last; v++) {
            gather_lines(p, k, v, factors, lines);
            raise_largest(lines, at_once, to->scales + v * LANES);
        }
    }
    for (ptrdiff_t v = first; v < last; v++)
        store(to->scales + v * LANES, scale_of(load_integers(to->scales + v * LANES)));
    for (ptrdiff_t k = 0; k < lines_of_digits(p); k += at_once) {
        const REAL *factors = factors_of_lines(p, to, k, room);
        for (ptrdiff_t v = first; v < last; v++) {
            gather_lines(p, k, v, factors, lines);
            split_right(lines, load(to->scales + v * LANES), at_once,
                        to->digits + v * column + digits_along(k), to->excess + v * LANES * DIGITS);
        }
    }
}

static void pack_digits(const gates_packing *p, fastgru_barrier *ready, int member, int members) {
    const digit_matrix to = digit_matrix_at(p->to, p->depth, padded(p->units, LANES) * p->gates);
    if (p->balanced) {
        find_balance(p, &to, member, members);
        fastgru_wait(ready, members);
    }
    split_gates(p, &to, member, members);
}

#else /* never called */
static void pack_digits(const gates_packing *p, fastgru_barrier *ready, int member, int members) {
    (void)p, (void)ready, (void)member, (void)members;
}
#endif

/* The member's part. */
static void pack_gates(const gates_packing *p, fastgru_barrier *ready, int member, int members) {
    ptrdiff_t first, last;
    if (p->as_digits) {
        pack_digits(p, ready, member, members);
        return;
    }
    part_of(p->depth, LANES, member, members, &first, &last);
    pack_panels(p->weights, first, last, p->depth, p->units, p->first_gate, p->gates, p->vectors,
                p->to);
}

static void pack_task(void *context, int member, int members) {
    packing *p = context;
    const shape *s = p->shape;
    const int gates = gates_of(s), before = resets_before(s);
    gates_packing w = {.weights = p->kernel,
                       .depth = s->inputs,
                       .units = s->units,
                       .gates = gates,
                       .as_digits = inputs_use_digits(s),
                       .balanced = 1,
                       .vectors = panel_vectors(s),
                       .to = p->packed};
    pack_gates(&w, &p->ready, member, members);
    gates_packing u = {.weights = p->recurrent,
                       .depth = s->units,
                       .units = s->units,
                       .gates = before ? 2 : gates,
                       .as_digits = states_use_digits(s),
                       .vectors = before ? 2 : panel_vectors(s),
                       .to = p->packed + packed_recurrent_at(s)};
    pack_gates(&u, &p->ready, member, members);
    if (!before) return;
    u.first_gate = N;
    u.gates = 1;
    u.vectors = PLAIN;
    u.to = p->packed + packed_candidate_at(s);
    pack_gates(&u, &p->ready, member, members);
}

static void pack_weights(const shape *s, const fastgru_weights *kernel,
                         const fastgru_weights *recurrent, void *packed, int threads) {
    packing p = {.shape = s, .kernel = kernel, .recurrent = recurrent, .packed = packed};
    const int worth_sharing = packed_size(s) > 1 << 16;
    fastgru_run_team(worth_sharing ? threads : 1, pack_task, &p);
}

#endif
