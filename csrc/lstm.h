/* The LSTM's gates, forward. */
#ifndef FASTGRU_LSTM_H
#define FASTGRU_LSTM_H

#include "recurrent_forward.h"

enum { LSTM_TOGETHER = 2 };

INLINE unit_vector finish_lstm_vectors(const forward_pass *f, const step *t, ptrdiff_t unit,
                                       ptrdiff_t count, unit_vector at, const int together,
                                       const int standard) {
    enum { SIGMOIDS = LSTM_GATES - 1 }; /* i, f, o */
    const ptrdiff_t hs = f->units_stride, cached = cached_row(f->shape);
    const REAL *recurrent = t->recurrent + at.number * LSTM_GATES * LANES;
    unit_vector place[LSTM_TOGETHER];
    vec gate[SIGMOIDS * LSTM_TOGETHER], gate_slope[SIGMOIDS * LSTM_TOGETHER];
    vec g[LSTM_TOGETHER], g_slope[LSTM_TOGETHER], c[LSTM_TOGETHER], tc[LSTM_TOGETHER],
        tc_slope[LSTM_TOGETHER];
    if (t->on_tiles) KEEP_AWAKE();
    TOGETHER(v, together) {
        const REAL *product = recurrent + v * LSTM_GATES * LANES;
        const REAL *projected = t->projected + (at.row * hs + at.unit) * LSTM_GATES;
#define SUM(gate) (load(product + (gate) * LANES) + load(projected + (gate) * LANES))
        gate[SIGMOIDS * v] = SUM(I_GATE);
        gate[SIGMOIDS * v + 1] = SUM(F);
        gate[SIGMOIDS * v + 2] = SUM(O);
        g[v] = SUM(G);
#undef SUM
        place[v] = at;
        at = next_vector(at, unit, count);
    }
    recurrent_activations(f, gate, standard, gate_slope, SIGMOIDS * together);
    if (t->on_tiles) KEEP_AWAKE();
    activations(f, g, standard, g_slope, together);
    TOGETHER(v, together) {
        const vec before = load(t->c_before + place[v].row * hs + place[v].unit);
        tc[v] = c[v] = fma_(gate[SIGMOIDS * v + 1], before, gate[SIGMOIDS * v] * g[v]);
    }
    if (t->on_tiles) KEEP_AWAKE();
    activations(f, tc, standard, tc_slope, together);
    TOGETHER(v, together) {
        const ptrdiff_t i = place[v].row, j = place[v].unit;
        const vec *own = gate + SIGMOIDS * v, *slope = gate_slope + SIGMOIDS * v;
        const vec h = own[2] * tc[v];
        store(t->c_after + i * hs + j, c[v]);
        store(t->after + i * hs + j, h);
        store_output(f, t, i, j, h);
        if (!t->cache) continue;
        REAL *cache = t->cache + i * cached + j;
        prefetch_cached(cache + 2 * cached, hs, LSTM_VALUES);
        const vec value[LSTM_VALUES] = {
            [I_GATE] = own[0], [F] = own[1], [G] = g[v], [O] = own[2], [CACHED_TC] = tc[v]};
        UNROLL for (int n = 0; n < LSTM_VALUES; n++) store(cache + n * hs, value[n]);
        if (standard) continue;
        const vec slopes[LSTM_VALUES] = {[I_GATE] = slope[0],
                                         [F] = slope[1],
                                         [G] = g_slope[v],
                                         [O] = slope[2],
                                         [CACHED_TC] = tc_slope[v]};
        UNROLL for (int n = 0; n < LSTM_VALUES; n++)
            store(cache + (LSTM_VALUES + n) * hs, slopes[n]);
    }
    return at;
}

NOINLINE void finish_standard_lstm(const forward_pass *f, const step *t, ptrdiff_t unit,
                                   ptrdiff_t count) {
    FINISH_VECTORS(finish_lstm_vectors, LSTM_TOGETHER, f, t, unit, count, 1);
}
NOINLINE void finish_any_lstm(const forward_pass *f, const step *t, ptrdiff_t unit,
                              ptrdiff_t count) {
    FINISH_VECTORS(finish_lstm_vectors, 1, f, t, unit, count, 0);
}

#endif
