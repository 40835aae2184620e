/* The LSTM's gates, forward. */
#ifndef FASTGRU_LSTM_H
#define FASTGRU_LSTM_H

#include "recurrent_forward.h"

INLINE void finish_lstm(const forward_pass *f, const step *t, ptrdiff_t unit, ptrdiff_t count,
                        const int standard) {
    const ptrdiff_t hs = f->units_stride, cached = cached_row(f->shape);
    for (ptrdiff_t i = t->first; i < t->last; i++) {
        const REAL *recurrent = t->recurrent + i * count * LSTM_GATES * LANES;
        const REAL *projected = t->projected + (i * hs + unit) * LSTM_GATES;
        for (ptrdiff_t j = unit; j < unit + count * LANES; j += LANES) {
            vec value[LSTM_VALUES], slope[LSTM_VALUES];
            UNROLL for (int g = 0; g < LSTM_GATES; g++) {
                const vec sum = load(recurrent + g * LANES) + load(projected + g * LANES);
                value[g] = g == G ? activation(f, sum, standard, &slope[g])
                                  : recurrent_activation(f, sum, standard, &slope[g]);
            }
            const vec c = fma_(value[F], load(t->c_before + i * hs + j), value[I_GATE] * value[G]);
            value[CACHED_TC] = activation(f, c, standard, &slope[CACHED_TC]);
            const vec h = value[O] * value[CACHED_TC];
            store(t->c_after + i * hs + j, c);
            store(t->after + i * hs + j, h);
            store_output(f, t, i, j, h);
            if (t->cache) {
                REAL *cache = t->cache + i * cached + j;
                prefetch_cached(cache + 2 * cached, hs, LSTM_VALUES);
                UNROLL for (int g = 0; g < LSTM_VALUES; g++) store(cache + g * hs, value[g]);
                for (int g = 0; !standard && g < LSTM_VALUES; g++)
                    store(cache + (LSTM_VALUES + g) * hs, slope[g]);
            }
            recurrent += LSTM_GATES * LANES;
            projected += LSTM_GATES * LANES;
        }
    }
}
NOINLINE void finish_standard_lstm(const forward_pass *f, const step *t, ptrdiff_t unit,
                                   ptrdiff_t count) {
    finish_lstm(f, t, unit, count, 1);
}
NOINLINE void finish_any_lstm(const forward_pass *f, const step *t, ptrdiff_t unit,
                              ptrdiff_t count) {
    finish_lstm(f, t, unit, count, 0);
}

#endif
