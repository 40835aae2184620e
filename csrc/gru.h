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

enum { GRU_TOGETHER = 2 };

INLINE unit_vector finish_gru_vectors(const forward_pass *f, const step *t, ptrdiff_t unit,
                                      ptrdiff_t count, unit_vector at, const int together,
                                      const int standard) {
    const ptrdiff_t hs = f->units_stride, cached = cached_row(f->shape);
    const int update_replaces = f->shape->update_replaces;
    const REAL *recurrent = t->recurrent + at.number * GATES * LANES;
    unit_vector place[GRU_TOGETHER];
    vec gate[2 * GRU_TOGETHER], q[GRU_TOGETHER], n[GRU_TOGETHER];
    vec gate_slope[2 * GRU_TOGETHER], slope[GRU_TOGETHER];
    if (t->on_tiles) KEEP_AWAKE();
    TOGETHER(v, together) {
        const REAL *product = recurrent + v * GATES * LANES;
        const REAL *projected = t->projected + (at.row * hs + at.unit) * GATES;
        gate[2 * v] = load(product) + load(projected);
        gate[2 * v + 1] = load(product + LANES) + load(projected + LANES);
        q[v] = load(product + 2 * LANES) + load(f->candidate_bias + at.unit);
        n[v] = load(projected + 2 * LANES);
        place[v] = at;
        at = next_vector(at, unit, count);
    }
    recurrent_activations(f, gate, standard, gate_slope, 2 * together);
    TOGETHER(v, together) n[v] = fma_(gate[2 * v + 1], q[v], n[v]);
    activations(f, n, standard, slope, together);
    TOGETHER(v, together) {
        const ptrdiff_t i = place[v].row, j = place[v].unit;
        const vec z = gate[2 * v], r = gate[2 * v + 1];
        const vec h = blend(z, load(t->before + i * hs + j), n[v], update_replaces);
        store(t->after + i * hs + j, h);
        store_output(f, t, i, j, h);
        if (!t->cache) continue;
        REAL *cache = t->cache + i * cached + j;
        prefetch_cached(cache + 2 * cached, hs, GRU_VALUES);
        store(cache + Z * hs, z);
        store(cache + R * hs, r);
        store(cache + N * hs, n[v]);
        store(cache + CACHED_Q * hs, q[v]);
        if (standard) continue;
        store(cache + (GRU_VALUES + Z) * hs, gate_slope[2 * v]);
        store(cache + (GRU_VALUES + R) * hs, gate_slope[2 * v + 1]);
        store(cache + (GRU_VALUES + N) * hs, slope[v]);
    }
    return at;
}

NOINLINE void finish_standard_gru(const forward_pass *f, const step *t, ptrdiff_t unit,
                                  ptrdiff_t count) {
    FINISH_VECTORS(finish_gru_vectors, GRU_TOGETHER, f, t, unit, count, 1);
}
NOINLINE void finish_any_gru(const forward_pass *f, const step *t, ptrdiff_t unit,
                             ptrdiff_t count) {
    FINISH_VECTORS(finish_gru_vectors, 1, f, t, unit, count, 0);
}

/* ---- reset before ---- */

/* z and r * h of some units ... */
INLINE unit_vector reset_vectors(const forward_pass *f, const step *t, ptrdiff_t unit,
                                 ptrdiff_t count, unit_vector at, const int together,
                                 const int standard) {
    const shape *s = f->shape;
    const ptrdiff_t hs = f->units_stride;
    const REAL *recurrent = t->recurrent + at.number * 2 * LANES;
    unit_vector place[GRU_TOGETHER];
    vec gate[2 * GRU_TOGETHER], slope[2 * GRU_TOGETHER];
    if (t->on_tiles) KEEP_AWAKE();
    TOGETHER(v, together) {
        const REAL *product = recurrent + v * 2 * LANES;
        const REAL *projected = t->projected + (at.row * hs + at.unit) * GATES;
        gate[2 * v] = load(product) + load(projected);
        gate[2 * v + 1] = load(product + LANES) + load(projected + LANES);
        place[v] = at;
        at = next_vector(at, unit, count);
    }
    recurrent_activations(f, gate, standard, slope, 2 * together);
    TOGETHER(v, together) {
        const ptrdiff_t i = place[v].row, j = place[v].unit;
        const REAL *dropout =
            dropout_of(s, f->args->state_dropout, s->state_copies > 1 ? N : 0, s->units, i);
        vec reset = gate[2 * v + 1] * load(t->before + i * hs + j);
        if (dropout) reset = reset * load_part(dropout + j, s->units - j);
        store(f->update + i * hs + j, gate[2 * v]);
        store(f->reset_state + i * hs + j, reset);
        if (!t->cache) continue;
        REAL *cache = t->cache + i * cached_row(s) + j;
        store(cache + R * hs, gate[2 * v + 1]);
        for (int g = 0; !standard && g < 2; g++)
            store(cache + (GRU_VALUES + g) * hs, slope[2 * v + g]);
    }
    return at;
}
NOINLINE void reset_units(const forward_pass *f, const step *t, ptrdiff_t unit, ptrdiff_t count) {
    const int standard = has_standard_activations(f->shape);
    if (standard) {
        FINISH_VECTORS(reset_vectors, GRU_TOGETHER, f, t, unit, count, 1);
    } else {
        FINISH_VECTORS(reset_vectors, 1, f, t, unit, count, 0);
    }
}

/* ... and, when all units have theirs, the candidate and the new state. */
INLINE unit_vector finish_candidate_vectors(const forward_pass *f, const step *t, ptrdiff_t unit,
                                            ptrdiff_t count, unit_vector at, const int together,
                                            const int standard) {
    const ptrdiff_t hs = f->units_stride;
    const REAL *recurrent = t->recurrent + at.number * LANES;
    unit_vector place[GRU_TOGETHER];
    vec n[GRU_TOGETHER], slope[GRU_TOGETHER];
    if (t->on_tiles) KEEP_AWAKE();
    TOGETHER(v, together) {
        const REAL *projected = t->projected + (at.row * hs + at.unit) * GATES + 2 * LANES;
        n[v] = load(recurrent + v * LANES) + load(projected);
        place[v] = at;
        at = next_vector(at, unit, count);
    }
    activations(f, n, standard, slope, together);
    TOGETHER(v, together) {
        const ptrdiff_t i = place[v].row, j = place[v].unit;
        const vec z = load(f->update + i * hs + j);
        const vec h = blend(z, load(t->before + i * hs + j), n[v], f->shape->update_replaces);
        store(t->after + i * hs + j, h);
        store_output(f, t, i, j, h);
        if (!t->cache) continue;
        REAL *cache = t->cache + i * cached_row(f->shape) + j;
        store(cache + Z * hs, z);
        store(cache + N * hs, n[v]);
        store(cache + CACHED_Q * hs, load(f->reset_state + i * hs + j));
        if (!standard) store(cache + (GRU_VALUES + N) * hs, slope[v]);
    }
    return at;
}
NOINLINE void finish_candidates(const forward_pass *f, const step *t, ptrdiff_t unit,
                                ptrdiff_t count) {
    const int standard = has_standard_activations(f->shape);
    if (standard) {
        FINISH_VECTORS(finish_candidate_vectors, GRU_TOGETHER, f, t, unit, count, 1);
    } else {
        FINISH_VECTORS(finish_candidate_vectors, 1, f, t, unit, count, 0);
    }
}

static void step_reset_before(forward_pass *f, const step *t) {
    const ptrdiff_t last = t->part->last_unit;
    const state_product gates = product_of_gates(f, t);
    const state_product candidate = {
        .state = f->reset_state, .u = f->u_candidate, .gates = 1, .vectors = PLAIN};
    digit_product digits = begin_products(f, t, &gates);
    ptrdiff_t most = units_at_once(f, t, &gates);
    for (ptrdiff_t unit = t->part->first_unit; unit < last; unit += most) {
        const ptrdiff_t units = minimum(most, last - unit);
        multiply_state(f, t, &gates, &digits, unit * 2, units * 2, (unit + units) * 2);
        reset_units(f, t, unit, units / LANES);
    }
    if (t->part->units_split) fastgru_wait(f->ready, t->part->members);
    digits = begin_products(f, t, &candidate);
    most = units_at_once(f, t, &candidate);
    for (ptrdiff_t unit = t->part->first_unit; unit < last; unit += most) {
        const ptrdiff_t units = minimum(most, last - unit);
        multiply_state(f, t, &candidate, &digits, unit, units, unit + units);
        finish_candidates(f, t, unit, units / LANES);
    }
}

#endif
