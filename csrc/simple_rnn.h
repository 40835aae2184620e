/* The simple RNN, forward. */
#ifndef FASTGRU_SIMPLE_RNN_H
#define FASTGRU_SIMPLE_RNN_H

#include "recurrent_forward.h"

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

#endif
