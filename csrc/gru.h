/* The GRU's gates, forward. */
#ifndef FASTGRU_GRU_H
#define FASTGRU_GRU_H

#include "recurrent_forward.h"

/* h' = empty + gate * (full - empty), where a full gate keeps the old state or takes the new one. */
INLINE vec blend(vec gate, vec before, vec candidate, int update_replaces) {
    const vec full = update_replaces ? candidate : before,
              empty = update_replaces ? before : candidate;
    return fma_(gate, full - empty, empty);
}

INLINE void finish_gru(const forward_pass *f, const step *t, ptrdiff_t unit, ptrdiff_t count,
                       const int standard) {
    const ptrdiff_t hs = f->units_stride, cached = cached_row(f->shape);
    const int update_replaces = f->shape->update_replaces;
    for (ptrdiff_t i = t->first; i < t->last; i++) {
        const REAL *recurrent = t->recurrent + i * count * GATES * LANES;
        const REAL *projected = t->projected + (i * hs + unit) * GATES;
        for (ptrdiff_t j = unit; j < unit + count * LANES; j += LANES) {
            vec slope[GATES];
            const vec z =
                recurrent_activation(f, load(recurrent) + load(projected), standard, &slope[Z]);
            const vec r = recurrent_activation(f, load(recurrent + LANES) + load(projected + LANES),
                                               standard, &slope[R]);
            const vec q = load(recurrent + 2 * LANES) + load(f->candidate_bias + j);
            const vec n =
                activation(f, fma_(r, q, load(projected + 2 * LANES)), standard, &slope[N]);
            const vec h = blend(z, load(t->before + i * hs + j), n, update_replaces);
            store(t->after + i * hs + j, h);
            store_output(f, t, i, j, h);
            if (t->cache) {
                REAL *cache = t->cache + i * cached + j;
                prefetch_cached(cache + 2 * cached, hs, GRU_VALUES);
                store(cache + Z * hs, z);
                store(cache + R * hs, r);
                store(cache + N * hs, n);
                store(cache + CACHED_Q * hs, q);
                for (int g = 0; !standard && g < GATES; g++)
                    store(cache + (GRU_VALUES + g) * hs, slope[g]);
            }
            recurrent += GATES * LANES;
            projected += GATES * LANES;
        }
    }
}
NOINLINE void finish_standard_gru(const forward_pass *f, const step *t, ptrdiff_t unit,
                                  ptrdiff_t count) {
    finish_gru(f, t, unit, count, 1);
}
NOINLINE void finish_any_gru(const forward_pass *f, const step *t, ptrdiff_t unit,
                             ptrdiff_t count) {
    finish_gru(f, t, unit, count, 0);
}

/* ---- reset before ---- */

/* z and r * h of some units ... */
NOINLINE void reset_units(const forward_pass *f, const step *t, ptrdiff_t unit, ptrdiff_t count) {
    const shape *s = f->shape;
    const ptrdiff_t hs = f->units_stride;
    const int standard = has_standard_activations(s);
    for (ptrdiff_t i = t->first; i < t->last; i++) {
        const REAL *recurrent = t->recurrent + i * count * 2 * LANES;
        const REAL *projected = t->projected + (i * hs + unit) * GATES;
        const REAL *dropout =
            dropout_of(s, f->args->state_dropout, s->state_copies > 1 ? N : 0, s->units, i);
        for (ptrdiff_t j = unit; j < unit + count * LANES; j += LANES) {
            vec slope[2];
            const vec z =
                recurrent_activation(f, load(recurrent) + load(projected), standard, &slope[Z]);
            const vec r = recurrent_activation(f, load(recurrent + LANES) + load(projected + LANES),
                                               standard, &slope[R]);
            vec reset = r * load(t->before + i * hs + j);
            if (dropout) reset = reset * load_part(dropout + j, s->units - j);
            store(f->update + i * hs + j, z);
            store(f->reset_state + i * hs + j, reset);
            if (t->cache) {
                REAL *cache = t->cache + i * cached_row(s) + j;
                store(cache + R * hs, r);
                for (int g = 0; !standard && g < 2; g++)
                    store(cache + (GRU_VALUES + g) * hs, slope[g]);
            }
            recurrent += 2 * LANES;
            projected += GATES * LANES;
        }
    }
}

/* ... and, when all units have theirs, the candidate and the new state. */
NOINLINE void finish_candidates(const forward_pass *f, const step *t, ptrdiff_t unit,
                                ptrdiff_t count) {
    const ptrdiff_t hs = f->units_stride;
    const int standard = has_standard_activations(f->shape);
    for (ptrdiff_t i = t->first; i < t->last; i++) {
        const REAL *recurrent = t->recurrent + i * count * LANES;
        const REAL *projected = t->projected + (i * hs + unit) * GATES + 2 * LANES;
        for (ptrdiff_t j = unit; j < unit + count * LANES; j += LANES) {
            vec slope;
            const vec z = load(f->update + i * hs + j);
            const vec n = activation(f, load(recurrent) + load(projected), standard, &slope);
            const vec h = blend(z, load(t->before + i * hs + j), n, f->shape->update_replaces);
            store(t->after + i * hs + j, h);
            store_output(f, t, i, j, h);
            if (t->cache) {
                REAL *cache = t->cache + i * cached_row(f->shape) + j;
                store(cache + Z * hs, z);
                store(cache + N * hs, n);
                store(cache + CACHED_Q * hs, load(f->reset_state + i * hs + j));
                if (!standard) store(cache + (GRU_VALUES + N) * hs, slope);
            }
            recurrent += LANES;
            projected += GATES * LANES;
        }
    }
}

static void step_reset_before(forward_pass *f, const step *t) {
    const ptrdiff_t most = (t->last - t->first > 2 ? 1 : MOST_PANELS) * LANES,
                    last = t->part->last_unit;
    for (ptrdiff_t unit = t->part->first_unit; unit < last; unit += most) {
        const ptrdiff_t units = minimum(most, last - unit);
        multiply_state(f, t, state_for_product(f, t), f->shape->state_copies, f->u, 2, unit * 2,
                       units * 2, (unit + units) * 2);
        reset_units(f, t, unit, units / LANES);
    }
    if (t->part->units_split) fastgru_wait(f->ready, t->part->members);
    for (ptrdiff_t unit = t->part->first_unit; unit < last; unit += most * PLAIN) {
        const ptrdiff_t units = minimum(most * PLAIN, last - unit);
        multiply_state(f, t, f->reset_state, 0, f->u_candidate, PLAIN, unit, units, unit + units);
        finish_candidates(f, t, unit, units / LANES);
    }
}

#endif
