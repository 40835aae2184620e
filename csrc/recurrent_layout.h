/* Where a recurrent layer's packed weights, cache and workspace hold what, and who of a team computes what. G: the
 * cell's gates. Hp: H padded to whole vectors; Hs: the stride of rows of units. */
#ifndef FASTGRU_RECURRENT_LAYOUT_H
#define FASTGRU_RECURRENT_LAYOUT_H

#include "denormals.h"
#include "split_product.h"
#include "team.h"

typedef fastgru_shape shape;

enum { Z, R, N };                     /* a GRU's gates */
enum { I_GATE, F, G, O, LSTM_GATES }; /* an LSTM's */

INLINE int gates_of(const shape *s) {
    return s->cell == FASTGRU_GRU ? 3 : s->cell == FASTGRU_LSTM ? 4 : 1;
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
INLINE ptrdiff_t chunk_start(const shape *s, ptrdiff_t end, ptrdiff_t most_rows) {
    ptrdiff_t first = end - 1;
    while (first > 0 && offset_of(s, end) - offset_of(s, first - 1) <= most_rows) first--;
    return first;
}
INLINE ptrdiff_t rows_in_a_chunk(const shape *s, ptrdiff_t most_rows) {
    return minimum(total_rows(s), maximum(most_rows, s->batch));
}

/* Whether input projections go through matrix tiles. All batches of a layer must, or a row's bits would depend on those
 * beside it; so they do where W is large: where it is small, a single row would lose more than a batch gains. */
INLINE int inputs_use_tiles(const shape *s) {
    return USE_TILES(gates_of(s) * s->units * s->inputs * (ptrdiff_t)sizeof(REAL) >= 3 << 15 &&
                     s->inputs >= 2 * TILE_DEPTH);
}

/* ---- packed weights: W, then U, vectors of the gates of the same units side by side ---------------------------
 * GRU: panels of its three gates. LSTM: panels of its four gates, or of two. Simple RNN: panels of consecutive units.
 * GRU, reset before: U has panels of z and r, then n's columns as a plain matrix. W for matrix tiles: in pieces. */
INLINE ptrdiff_t packed_recurrent_at(const shape *s) {
    const ptrdiff_t columns = gates_of(s) * padded_units(s);
    return inputs_use_tiles(s) ? pieces_size(columns, s->inputs) : columns * s->inputs;
}
INLINE ptrdiff_t packed_candidate_at(const shape *s) {
    return packed_recurrent_at(s) + 2 * padded_units(s) * s->units;
}
static size_t packed_size(const shape *s) {
    return (size_t)(packed_recurrent_at(s) + gates_of(s) * padded_units(s) * s->units);
}

/* One thread's part of the packing. */
typedef struct {
    const shape *shape;
    const fastgru_weights *kernel, *recurrent;
    REAL *packed;
} packing;

/* Rows of the weights go through by some at a time: all units of a row stand in a few pages. */
enum { ROWS_PACKED_AT_ONCE = 32 };

/* Rows [first, last) of a matrix `depth` deep, in panels of `vectors` vectors. */
static void pack_gates(const fastgru_weights *w, ptrdiff_t first, ptrdiff_t last, ptrdiff_t depth,
                       ptrdiff_t units, int gates, int vectors, REAL *to) {
    const ptrdiff_t total = padded(units, LANES) / LANES * gates;
    for (ptrdiff_t k = first; k < last; k += ROWS_PACKED_AT_ONCE) {
        const REAL *from = (const REAL *)w->data + k * w->row;
        const ptrdiff_t row_count = minimum(ROWS_PACKED_AT_ONCE, last - k);
        for (ptrdiff_t v = 0; v < total; v++) {
            const ptrdiff_t unit = v / gates * LANES, panel = v / vectors * vectors;
            const ptrdiff_t width = minimum(vectors, total - panel);
            pack_vector(from + w->gate[v % gates] + unit * w->column, w->row, w->column, row_count,
                        units - unit, to + (panel * depth + k * width + v - panel) * LANES,
                        width * LANES);
        }
    }
}

/* Rows [first, last) of W, first a multiple of TILE_DEPTH, in pieces: a vector of a gate's units is a tile's columns. */
static void split_gates(const shape *s, const fastgru_weights *w, ptrdiff_t first, ptrdiff_t last,
                        REAL *to) {
    const ptrdiff_t gates = gates_of(s), tile = pieces_size(TILE_LINES, s->inputs);
    for (ptrdiff_t k = first; k < last; k += TILE_DEPTH)
        for (ptrdiff_t v = 0; v < padded_units(s) / LANES * gates; v++) {
            const stacked m = {.matrix = {(const REAL *)w->data + w->gate[v % gates]},
                               .count = 1,
                               .depth = s->inputs,
                               .row_stride = w->row,
                               .column_stride = w->column};
            const ptrdiff_t unit = v / gates * LANES;
            split_stacked(&m, k, unit, s->units - unit,
                          to + v * tile + k / TILE_DEPTH * SPLIT_SIZE);
        }
}

static void pack_task(void *context, int member, int members) {
    const packing *p = context;
    const shape *s = p->shape;
    const fastgru_weights *recurrent = p->recurrent;
    const ptrdiff_t h = s->units, gates = gates_of(s);
    const int before = resets_before(s);
    REAL *u = p->packed + packed_recurrent_at(s);
    ptrdiff_t first, last;
    part_of(s->inputs, TILE_DEPTH, member, members, &first, &last);
    if (inputs_use_tiles(s)) split_gates(s, p->kernel, first, last, p->packed);
    else pack_gates(p->kernel, first, last, s->inputs, h, gates, panel_vectors(s), p->packed);
    part_of(h, LANES, member, members, &first, &last);
    pack_gates(recurrent, first, last, h, h, before ? 2 : gates, before ? 2 : panel_vectors(s), u);
    if (before)
        pack_plain((const REAL *)recurrent->data + recurrent->gate[N] + first * recurrent->row,
                   recurrent->row, recurrent->column, last - first, h,
                   p->packed + packed_candidate_at(s), first, h);
}

static void pack_weights(const shape *s, const fastgru_weights *kernel,
                         const fastgru_weights *recurrent, void *packed, int threads) {
    packing p = {s, kernel, recurrent, packed};
    const int worth_sharing = packed_size(s) > 1 << 16;
    fastgru_run_team(worth_sharing ? threads : 1, pack_task, &p);
}

/* ---- cache: what each row of each step leaves, then the states: h0 of all rows, and h after each row ----------
 * A row holds vectors of Hs: the gates, what else the derivatives want, and, unless they follow from the values, the
 * activations' derivatives. LSTM: the second state follows, as the first. */
enum { CACHED_Q = 3 };  /* GRU: what the candidate's recurrent product met: h U_n + c_n, or r * h */
enum { CACHED_TC = 4 }; /* LSTM: a(c') */

INLINE int cached_values(const shape *s) {
    return s->cell == FASTGRU_GRU ? 4 : s->cell == FASTGRU_LSTM ? 5 : 0;
}
INLINE int cached_slopes(const shape *s) {
    if (has_standard_activations(s)) return 0;
    return s->cell == FASTGRU_GRU ? 3 : s->cell == FASTGRU_LSTM ? 5 : 1;
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

/* A buffer that is handed out piece by piece, each at the start of a cache line if the buffer is. */
INLINE ptrdiff_t piece(ptrdiff_t count) { return padded(count, 64 / (ptrdiff_t)sizeof(REAL)); }
INLINE REAL *take(REAL **buffer, ptrdiff_t count) {
    REAL *start = *buffer;
    *buffer += piece(count);
    return start;
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

/* ---- sharing the work ------------------------------------------------------------------------------------------
 * A member of a team computes some units of some rows, over all steps. With the rows split, members need not wait for
 * each other; with the units split, each step needs what all have made of the step before. */
typedef struct {
    int member, members;
    ptrdiff_t first_row, last_row;
    ptrdiff_t first_unit, last_unit; /* the last one's last is Hp */
    int units_split;
} share;

/* The first row with at least so many rows' steps before it: rows are cut where the work is shared evenly. */
static ptrdiff_t row_after(const shape *s, ptrdiff_t row_steps) {
    ptrdiff_t length = step_count(s), i = 0;
    for (ptrdiff_t done = 0; done < row_steps && i < s->batch; i++) {
        while (length > 0 && rows_in(s, length - 1) <= i) length--;
        if (length == 0) return s->batch;
        done += length;
    }
    return i;
}

/* Splitting the units costs a barrier a step, and lets each member keep its part of U close by. */
INLINE int prefers_units(const shape *s, int members) {
    const ptrdiff_t bytes_of_u = gates_of(s) * s->units * s->units * (ptrdiff_t)sizeof(REAL);
    return s->batch < 4 * members || (bytes_of_u > ((ptrdiff_t)1 << 20) && s->batch < 256);
}

static share share_of(const shape *s, int member, int members) {
    share part = {member, members, 0, s->batch, 0, padded_units(s), 0};
    part.units_split = members > 1 && prefers_units(s, members);
    if (part.units_split) {
        part_of(part.last_unit, unit_grain(s), member, members, &part.first_unit, &part.last_unit);
    } else if (members > 1 && s->schedule) {
        part.first_row = row_after(s, total_rows(s) * member / members);
        if (member < members - 1)
            part.last_row = row_after(s, total_rows(s) * (member + 1) / members);
    } else part_of(s->batch, 1, member, members, &part.first_row, &part.last_row);
    return part;
}

/* The member's rows of a step: of what takes part in it, those between its first and its last. */
INLINE ptrdiff_t last_row_in(const shape *s, const share *part, ptrdiff_t t) {
    return minimum(part->last_row, rows_in(s, t));
}

/* How many threads a pass is worth: sharing costs microseconds a call and, with the units split, about half of one a
 * step. */
INLINE int threads_for(const shape *s, int threads) {
    const double work = 2.0 * gates_of(s) * (double)total_rows(s) * (double)s->units *
                        (double)(s->inputs + s->units);
    if (threads < 2 || work < 1e6) return 1;
    if (prefers_units(s, threads) &&
        (work < 1e5 * (double)step_count(s) || s->units < unit_grain(s) * threads))
        return 1;
    return threads;
}

#endif
