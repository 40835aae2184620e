/* Where a GRU's packed weights, cache and workspace hold what. Hp: H padded to whole vectors. */
#ifndef FASTGRU_GRU_LAYOUT_H
#define FASTGRU_GRU_LAYOUT_H

#include "product.h"

typedef fastgru_gru_shape gru_shape;

INLINE ptrdiff_t padded_units(const gru_shape *s) { return padded(s->units, LANES); }

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

/* ---- cache: for each step and row z, r, n and a fourth vector of Hp each, then the states h_0 ... h_T ---------
 * The fourth is what the candidate's recurrent product met: h U_n + c_n (reset after) or r * h (before). */
enum { CACHED_Z, CACHED_R, CACHED_N, CACHED_Q, CACHED };

INLINE ptrdiff_t cached_states_at(const gru_shape *s) {
    return s->steps * s->batch * CACHED * padded_units(s);
}
static size_t gru_cache_size(const gru_shape *s) {
    return (size_t)(cached_states_at(s) + (s->steps + 1) * s->batch * padded_units(s));
}

/* A buffer that is handed out piece by piece. */
INLINE REAL *take(REAL **buffer, ptrdiff_t count) {
    REAL *piece = *buffer;
    *buffer += count;
    return piece;
}

#endif
