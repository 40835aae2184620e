/* The simple RNN, forward. */
#ifndef FASTGRU_SIMPLE_RNN_H
#define FASTGRU_SIMPLE_RNN_H

#include "recurrent_forward.h"

enum { SIMPLE_RNN_TOGETHER = 4 };

INLINE unit_vector finish_simple_rnn_vectors(const forward_pass *f, const step *t, ptrdiff_t unit,
                                             ptrdiff_t count, unit_vector at, const int together,
                                             const int standard) {
    const ptrdiff_t hs = f->units_stride;
    const REAL *recurrent = t->recurrent + at.number * LANES;
    unit_vector place[SIMPLE_RNN_TOGETHER];
    vec h[SIMPLE_RNN_TOGETHER], slope[SIMPLE_RNN_TOGETHER];
    if (t->on_tiles) KEEP_AWAKE();
    TOGETHER(v, together) {
        h[v] = load(recurrent + v * LANES) + load(t->projected + at.row * hs + at.unit);
        place[v] = at;
        at = next_vector(at, unit, count);
    }
    activations(f, h, standard, slope, together);
    TOGETHER(v, together) {
        const ptrdiff_t i = place[v].row, j = place[v].unit;
        store(t->after + i * hs + j, h[v]);
        store_output(f, t, i, j, h[v]);
        if (t->cache && !standard) store(t->cache + i * cached_row(f->shape) + j, slope[v]);
    }
    return at;
}
NOINLINE void finish_standard_simple_rnn(const forward_pass *f, const step *t, ptrdiff_t unit,
                                         ptrdiff_t count) {
    FINISH_VECTORS(finish_simple_rnn_vectors, SIMPLE_RNN_TOGETHER, f, t, unit, count, 1);
}
NOINLINE void finish_any_simple_rnn(const forward_pass *f, const step *t, ptrdiff_t unit,
                                    ptrdiff_t count) {
    FINISH_VECTORS(finish_simple_rnn_vectors, 1, f, t, unit, count, 0);
}

#endif
