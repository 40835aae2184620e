/* Where a GRU's packed weights, cache and workspace hold what. Hp: H padded to whole vectors; Hs: the stride of rows of
 * units. */
#ifndef FASTGRU_GRU_LAYOUT_H
#define FASTGRU_GRU_LAYOUT_H

#include "denormals.h"
#include "product.h"
#include "team.h"

typedef fastgru_gru_shape gru_shape;

INLINE ptrdiff_t padded_units(const gru_shape *s) { return padded(s->units, LANES); }
INLINE ptrdiff_t stride_of_units(const gru_shape *s) { return row_stride(padded_units(s)); }

/* ---- packed weights: W in gate panels [Hp / LANES][I][3][LANES], then U ---------------------------------------
 * U, reset after:  gate panels as well
 * U, reset before: panels of z and r [Hp / LANES][H][2][LANES], then n's columns as a plain matrix */
INLINE ptrdiff_t packed_recurrent_at(const gru_shape *s) {
    return GATES * padded_units(s) * s->inputs;
}
INLINE ptrdiff_t packed_candidate_at(const gru_shape *s) {
    return packed_recurrent_at(s) + 2 * padded_units(s) * s->units;
}
static size_t gru_packed_size(const gru_shape *s) {
    return (size_t)(GATES * padded_units(s) * (s->inputs + s->units));
}

/* Panels of the first `gates` gates of a weight matrix, those of the same units side by side. */
static void pack_gates(const fastgru_gru_weights *w, ptrdiff_t depth, ptrdiff_t units, int gates,
                       REAL *to) {
    const REAL *from = w->data;
    for (ptrdiff_t unit = 0; unit < units; unit += LANES) {
        for (int g = 0; g < gates; g++)
            pack_vector(from + w->gate[g] + unit * w->column, w->row, w->column, depth,
                        units - unit, to + g * LANES, gates * LANES);
        to += depth * gates * LANES;
    }
}

static void gru_pack(const gru_shape *s, const fastgru_gru_weights *kernel,
                     const fastgru_gru_weights *recurrent, void *packed) {
    REAL *to = packed;
    pack_gates(kernel, s->inputs, s->units, GATES, to);
    if (s->reset_after) {
        pack_gates(recurrent, s->units, s->units, GATES, to + packed_recurrent_at(s));
        return;
    }
    pack_gates(recurrent, s->units, s->units, 2, to + packed_recurrent_at(s));
    pack_plain((const REAL *)recurrent->data + recurrent->gate[2], recurrent->row,
               recurrent->column, s->units, s->units, to + packed_candidate_at(s), 0, s->units);
}

/* ---- cache: for each step and row z, r, n and a fourth vector of Hs each, then the states h_0 ... h_T ---------
 * The fourth is what the candidate's recurrent product met: h U_n + c_n (reset after) or r * h (before). */
enum { CACHED_Z, CACHED_R, CACHED_N, CACHED_Q, CACHED };

INLINE ptrdiff_t cached_states_at(const gru_shape *s) {
    return s->steps * s->batch * CACHED * stride_of_units(s);
}
static size_t gru_cache_size(const gru_shape *s) {
    return (size_t)(cached_states_at(s) + (s->steps + 1) * s->batch * stride_of_units(s));
}

/* A buffer that is handed out piece by piece, each at the start of a cache line if the buffer is. */
INLINE ptrdiff_t piece(ptrdiff_t count) { return padded(count, 64 / (ptrdiff_t)sizeof(REAL)); }
INLINE REAL *take(REAL **buffer, ptrdiff_t count) {
    REAL *start = *buffer;
    *buffer += piece(count);
    return start;
}

/* ---- sharing the work ------------------------------------------------------------------------------------------
 * A member of a team computes some units of some rows, over all steps. With the rows split, members need not wait for
 * each other; with the units split, each step needs what all have made of the step before. */
typedef struct {
    int member, members;
    ptrdiff_t first_row, last_row;
    ptrdiff_t first_unit, last_unit; /* the last one's last is Hp */
    int units_split;
} share;

/* The member's part of [0, count), in multiples of `grain`. */
INLINE void part_of(ptrdiff_t count, ptrdiff_t grain, int member, int members, ptrdiff_t *first,
                    ptrdiff_t *last) {
    const ptrdiff_t grains = (count + grain - 1) / grain;
    *first = minimum(count, grains * member / members * grain);
    *last = minimum(count, grains * (member + 1) / members * grain);
}

/* Splitting the units costs a barrier a step, and lets each member keep its part of U close by. */
INLINE int prefers_units(const gru_shape *s, int members) {
    const ptrdiff_t bytes_of_u = GATES * s->units * s->units * (ptrdiff_t)sizeof(REAL);
    return s->batch < 4 * members || (bytes_of_u > ((ptrdiff_t)1 << 20) && s->batch < 256);
}

static share share_of(const gru_shape *s, int member, int members) {
    share part = {member, members, 0, s->batch, 0, padded_units(s), 0};
    part.units_split = members > 1 && prefers_units(s, members);
    if (part.units_split)
        part_of(part.last_unit, PLAIN * LANES, member, members, &part.first_unit, &part.last_unit);
    else part_of(s->batch, 1, member, members, &part.first_row, &part.last_row);
    return part;
}

/* How many threads a pass is worth: sharing costs microseconds a call and, with the units split, about half of one a
 * step. */
INLINE int threads_for(const gru_shape *s, int threads) {
    const double per_step =
        6.0 * (double)s->batch * (double)s->units * (double)(s->inputs + s->units);
    if (threads < 2 || per_step * (double)s->steps < 1e6) return 1;
    if (prefers_units(s, threads) && (per_step < 1e5 || s->units < PLAIN * LANES * threads))
        return 1;
    return threads;
}

#endif
