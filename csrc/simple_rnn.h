/* The simple RNN, forward; and the choice among the cells. */
#ifndef FASTGRU_SIMPLE_RNN_H
#define FASTGRU_SIMPLE_RNN_H

#include "lstm.h"

NOINLINE void finish_simple_rnn(const forward_pass *f, const step *t, ptrdiff_t unit,
                                ptrdiff_t count) {
    const ptrdiff_t hs = f->units_stride;
    const int standard = has_standard_activations(f->shape);
    for (ptrdiff_t i = t->first; i < t->last; i++) {
        const REAL *recurrent = t->recurrent + i * count * LANES;
        const REAL *projected = t->projected + i * hs + unit;
        for (ptrdiff_t j = 0; j < count * LANES; j += LANES) {
            vec slope;
            const vec h =
                activation(f, load(recurrent + j) + load(projected + j), standard, &slope);
            store(t->after + i * hs + unit + j, h);
            store_output(f, t, i, unit + j, h);
            if (t->cache && !standard) store(t->cache + i * cached_row(f->shape) + unit + j, slope);
        }
    }
}

static finish_function *finish_function_of(const shape *s) {
    const int standard = has_standard_activations(s);
    switch (s->cell) {
    case FASTGRU_GRU:
        return standard ? finish_standard_gru : finish_any_gru;
    case FASTGRU_LSTM:
        return standard ? finish_standard_lstm : finish_any_lstm;
    case FASTGRU_SIMPLE_RNN:
        break;
    }
    return finish_simple_rnn;
}

#endif
