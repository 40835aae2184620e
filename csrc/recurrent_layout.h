/* Where a recurrent layer's packed weights and cache hold what, and which rows are at work when. G: the cell's gates. Hp:
 * H padded to whole vectors; Hs: the stride of rows of units. */
#ifndef FASTGRU_RECURRENT_LAYOUT_H
#define FASTGRU_RECURRENT_LAYOUT_H

#include "operands.h"

typedef fastgru_shape shape;

enum { Z, R, N };                     /* a GRU's gates */
enum { I_GATE, F, G, O, LSTM_GATES }; /* an LSTM's */

INLINE int gates_of(const shape *s) {
    return s->cell == FASTGRU_GRU ? 3 : s->cell == FASTGRU_LSTM ? 4 : 1;
}
/* Rows of H in a bias: reset after, a GRU's recurrent kernel has biases of its own. */
INLINE int biases_of(const shape *s) {
    return s->cell == FASTGRU_GRU && s->reset_after ? 2 * gates_of(s) : gates_of(s);
}
INLINE int resets_before(const shape *s) { return s->cell == FASTGRU_GRU && !s->reset_after; }
/* Where among the gates of biases and gradients one stands. */
INLINE int place_of_gate(const shape *s, int gate) {
    return s->resets_first && gate < N ? Z + R - gate : gate;
}
INLINE int has_standard_activations(const shape *s) {
    return s->activation == FASTGRU_TANH &&
           (s->cell == FASTGRU_SIMPLE_RNN || s->recurrent_activation == FASTGRU_SIGMOID);
}

INLINE ptrdiff_t padded_units(const shape *s) { return padded(s->units, LANES); }
INLINE ptrdiff_t stride_of_units(const shape *s) { return row_stride(padded_units(s)); }

/* Vectors in a panel of W, and of U unless the reset comes before its product. A simple RNN has no narrow panel beside
 * wide ones: one row would take them one after the other, and a tile of it wants rows at one stride. */
INLINE int panel_vectors(const shape *s) {
    if (s->cell == FASTGRU_GRU) return GATES;
    const ptrdiff_t last = gates_of(s) * padded_units(s) / LANES % WIDE;
    return last == 0 || last > PLAIN ? WIDE : PLAIN;
}
/* Units that go to one member of a team: whole panels, here and in the backward pass. */
INLINE ptrdiff_t unit_grain(const shape *s) {
    return maximum(panel_vectors(s) / gates_of(s), PLAIN) * LANES;
}

/* The member's part of [0, count), in multiples of `grain`. */
INLINE void part_of(ptrdiff_t count, ptrdiff_t grain, int member, int members, ptrdiff_t *first,
                    ptrdiff_t *last) {
    const ptrdiff_t grains = (count + grain - 1) / grain;
    *first = minimum(count, grains * member / members * grain);
    *last = minimum(count, grains * (member + 1) / members * grain);
}

/* ---- steps and rows: row i of step t is row offset_of(t) + i of all --------------------------------------- */

INLINE ptrdiff_t step_count(const shape *s) { return s->schedule ? s->schedule->steps : s->steps; }
INLINE ptrdiff_t offset_of(const shape *s, ptrdiff_t t) {
    return s->schedule ? s->schedule->offset[t] : t * s->batch;
}
INLINE ptrdiff_t rows_in(const shape *s, ptrdiff_t t) {
    return offset_of(s, t + 1) - offset_of(s, t);
}
INLINE ptrdiff_t total_rows(const shape *s) { return offset_of(s, step_count(s)); }
INLINE const fastgru_place *places_of(const shape *s) {
    return s->schedule ? s->schedule->places : NULL;
}
/* Where the i-th row's states and dropout stand in the caller's arrays. */
INLINE ptrdiff_t number_of(const shape *s, ptrdiff_t i) {
    return s->schedule && s->schedule->order ? s->schedule->order[i] : i;
}
/* The end of a chunk of steps from `first` on that has at most so many rows, or is one step. */
INLINE ptrdiff_t chunk_end(const shape *s, ptrdiff_t first, ptrdiff_t most_rows) {
    ptrdiff_t end = first + 1;
    while (end < step_count(s) && offset_of(s, end + 1) - offset_of(s, first) <= most_rows) end++;
    return end;
}
INLINE ptrdiff_t rows_in_a_chunk(const shape *s, ptrdiff_t most_rows) {
    return minimum(total_rows(s), maximum(most_rows, s->batch));
}

/* Zeros in `count` steps of an array, from the one at `at` on. */
static void clear_steps(REAL *at, ptrdiff_t step, ptrdiff_t count, ptrdiff_t width) {
    if (count <= 0) return;
    if (step == -width) at += (count - 1) * step;
    if (step == width || step == -width) {
        memset(at, 0, (size_t)(count * width) * sizeof(REAL));
        return;
    }
    for (; count > 0; count--, at += step) memset(at, 0, (size_t)width * sizeof(REAL));
}

/* Whether inputs meet W, and states U, as digits: in all batches of a layer, or a row's bits would depend on those beside it.
 * A single row of few features or units would lose more than a batch gains. */
INLINE int inputs_use_digits(const shape *s) {
    return USE_TILES(s->inputs >= 64) && s->inputs <= DEEPEST;
}
INLINE int states_use_digits(const shape *s) {
    return USE_TILES(s->units >= 64) && s->units <= DEEPEST;
}

/* ---- packed weights: W, then U, vectors of the gates of the same units side by side ---------------------------
 * GRU: panels of its three gates. LSTM: panels of its four gates, or of two. Simple RNN: panels of consecutive units.
 * GRU, reset before: U has panels of z and r, then n's columns as a plain matrix. Or each of these is digits. */
INLINE ptrdiff_t packed_gates_size(int as_digits, ptrdiff_t depth, ptrdiff_t columns) {
    return as_digits ? piece(digit_matrix_size(depth, columns)) : columns * depth;
}
INLINE ptrdiff_t packed_recurrent_at(const shape *s) {
    return packed_gates_size(inputs_use_digits(s), s->inputs, gates_of(s) * padded_units(s));
}
INLINE ptrdiff_t packed_states_size(const shape *s, int gates) {
    return packed_gates_size(states_use_digits(s), s->units, gates * padded_units(s));
}
INLINE ptrdiff_t packed_candidate_at(const shape *s) {
    return packed_recurrent_at(s) + packed_states_size(s, 2);
}
static size_t packed_size(const shape *s) {
    if (resets_before(s)) return (size_t)(packed_candidate_at(s) + packed_states_size(s, 1));
    return (size_t)(packed_recurrent_at(s) + packed_states_size(s, gates_of(s)));
}

/* ---- cache: what each row of each step leaves, then the states: h0 of all rows, and h after each row ----------
 * A row holds vectors of Hs: the gates, what else the derivatives want, and, unless they follow from the values, the
 * activations' derivatives. LSTM: the second state follows, as the first. */
enum {
    CACHED_Q = GATES, /* GRU: what the candidate's recurrent product met: h U_n + c_n, or r * h */
    GRU_VALUES,
    CACHED_TC = LSTM_GATES, /* LSTM: a(c') */
    LSTM_VALUES,
};

INLINE int cached_values(const shape *s) {
    return s->cell == FASTGRU_GRU ? GRU_VALUES : s->cell == FASTGRU_LSTM ? LSTM_VALUES : 0;
}
INLINE int cached_slopes(const shape *s) {
    if (has_standard_activations(s)) return 0;
    return s->cell == FASTGRU_GRU ? GATES : s->cell == FASTGRU_LSTM ? LSTM_VALUES : 1;
}
INLINE ptrdiff_t cached_row(const shape *s) {
    return (cached_values(s) + cached_slopes(s)) * stride_of_units(s);
}
INLINE ptrdiff_t cached_states_at(const shape *s) {
    return s->recompute ? 0 : total_rows(s) * cached_row(s);
}
INLINE ptrdiff_t states_size(const shape *s) {
    return (total_rows(s) + s->batch) * stride_of_units(s);
}
static size_t cache_size(const shape *s) {
    return (size_t)(cached_states_at(s) + states_size(s) * (s->cell == FASTGRU_LSTM ? 2 : 1));
}
/* Asks for the same vectors of a row that will soon be wanted: caches are larger than L2, and the hardware's own
 * prefetching begins anew in each of a row's streams. */
INLINE void prefetch_cached(const REAL *row, ptrdiff_t hs, const int vectors) {
    UNROLL for (int v = 0; v < vectors; v++) __builtin_prefetch(row + v * hs, 0, 2);
}
/* The row of the states before a step. Those after it begin at s->batch + offset_of(t). */
INLINE ptrdiff_t states_before(const shape *s, ptrdiff_t t) {
    return t ? s->batch + offset_of(s, t - 1) : 0;
}

/* States as the caller has them, (B, H) or NULL for zeros, into rows of Hs in the order of the schedule. */
static void load_states(const shape *s, const REAL *from, REAL *to) {
    const ptrdiff_t hs = stride_of_units(s);
    memset(to, 0, (size_t)(s->batch * hs) * sizeof(REAL));
    for (ptrdiff_t i = 0; from && i < s->batch; i++)
        memcpy(to + i * hs, from + number_of(s, i) * s->units, (size_t)s->units * sizeof(REAL));
}
INLINE void save_state(const shape *s, ptrdiff_t i, const REAL *from, REAL *to) {
    memcpy(to + number_of(s, i) * s->units, from, (size_t)s->units * sizeof(REAL));
}

#endif
