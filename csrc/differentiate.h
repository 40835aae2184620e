/* The derivatives of the cells' gates: one step of the backward pass. */
#ifndef FASTGRU_DIFFERENTIATE_H
#define FASTGRU_DIFFERENTIATE_H

#include "recurrent_backward.h"

/* dh of the step: what later steps carried back, and the gradient of its output. */
INLINE vec gradient_of_state(const backward_pass *b, const back_step *t, ptrdiff_t i, ptrdiff_t j) {
    const vec dh = load(b->dh + i * b->units_stride + j);
    if (!t->dy) return dh;
    const fastgru_place *p = t->places ? t->places + i : NULL;
    const ptrdiff_t at =
        p ? p->row * b->args->dy_batch + p->step * b->args->dy_step : i * t->dy_batch;
    return dh + load_part(t->dy + at + j, b->shape->units - j);
}

/* Through an activation: by its value where it is the standard one, else by the cached derivative. */
INLINE vec through_gate(vec dy, vec y, const REAL *slope, int standard) {
    return standard ? through_sigmoid(dy, y) : dy * load(slope);
}
INLINE vec through_activation(vec dy, vec y, const REAL *slope, int standard) {
    return standard ? through_tanh(dy, y) : dy * load(slope);
}

/* ---- GRU ---- */

/* Through the blend and the activations of z and n. dh becomes what reaches the state before directly. */
INLINE vec differentiate_blend(const backward_pass *b, const back_step *t, ptrdiff_t i, ptrdiff_t j,
                               const int standard) {
    const ptrdiff_t h = b->shape->units, hs = b->units_stride, left = h - j;
    const REAL *cache = t->cache + i * cached_row(b->shape) + j;
    REAL *derivatives = t->derivatives + i * b->stride + j;
    if (b->steps_use_tiles) KEEP_AWAKE();
    prefetch_cached(cache + cached_row(b->shape), hs, GRU_VALUES);
    const vec dh = gradient_of_state(b, t, i, j);
    const vec z = load(cache + Z * hs), n = load(cache + N * hs);
    const vec before = load(t->before + i * hs + j);
    const int replaces = b->shape->update_replaces;
    const vec to_candidate = replaces ? z : splat(1) - z, to_before = replaces ? splat(1) - z : z;
    const vec dz = dh * (replaces ? n - before : before - n);
    const vec dn =
        through_activation(dh * to_candidate, n, cache + (GRU_VALUES + N) * hs, standard);
    store_part(derivatives + DZ * h, through_gate(dz, z, cache + (GRU_VALUES + Z) * hs, standard),
               left);
    store_part(derivatives + DN * h, dn, left);
    store(b->dh + i * hs + j, dh * to_before);
    return dn;
}

INLINE void differentiate_reset_after(const backward_pass *b, const back_step *t,
                                      const int standard) {
    const ptrdiff_t h = b->shape->units, hs = b->units_stride;
    FOR_EACH_VECTOR(t, i, j) {
        const REAL *cache = t->cache + i * cached_row(b->shape) + j;
        REAL *derivatives = t->derivatives + i * b->stride + j;
        const vec dn = differentiate_blend(b, t, i, j, standard), r = load(cache + R * hs);
        const vec dr = dn * load(cache + CACHED_Q * hs);
        store_part(derivatives + DQ * h, dn * r, h - j);
        store_part(derivatives + DR * h,
                   through_gate(dr, r, cache + (GRU_VALUES + R) * hs, standard), h - j);
    }
}
NOINLINE void differentiate_standard_gru(const backward_pass *b, const back_step *t) {
    differentiate_reset_after(b, t, 1);
}
NOINLINE void differentiate_any_gru(const backward_pass *b, const back_step *t) {
    differentiate_reset_after(b, t, 0);
}

NOINLINE void differentiate_candidates(const backward_pass *b, const back_step *t) {
    const int standard = has_standard_activations(b->shape);
    FOR_EACH_VECTOR(t, i, j) differentiate_blend(b, t, i, j, standard);
}

/* Reset before, once the gradient to r * h, times its dropout, is known. */
NOINLINE void differentiate_reset_before(const backward_pass *b, const back_step *t) {
    const shape *s = b->shape;
    const ptrdiff_t h = s->units, hs = b->units_stride;
    const int standard = has_standard_activations(s), copy = s->state_copies > 1 ? N : 0;
    FOR_EACH_VECTOR(t, i, j) {
        const REAL *cache = t->cache + i * cached_row(s) + j;
        const REAL *dropout = dropout_of(s, b->args->forward.state_dropout, copy, h, i);
        const vec r = load(cache + R * hs), before = load(t->before + i * hs + j);
        vec dreset = load(b->carried + i * hs + j);
        if (dropout) dreset = dreset * load_part(dropout + j, h - j);
        REAL *dh = b->dh + i * hs + j;
        store(dh, fma_(dreset, r, load(dh)));
        store_part(t->derivatives + i * b->stride + DR * h + j,
                   through_gate(dreset * before, r, cache + (GRU_VALUES + R) * hs, standard),
                   h - j);
    }
}

static void gru_step_back(backward_pass *b, const back_step *t) {
    if (b->shape->reset_after) {
        if (has_standard_activations(b->shape)) differentiate_standard_gru(b, t);
        else differentiate_any_gru(b, t);
    } else {
        differentiate_candidates(b, t);
        wait_for_units(b, t->part);
        multiply_derivatives(b, t, (blocks){DN, 1}, b->candidate_transposed, b->carried, 0);
        differentiate_reset_before(b, t);
    }
    wait_for_units(b, t->part);
    carry_back(b, t, 1);
}

/* ---- LSTM and simple RNN: no gradient passes a step but through U (and the LSTM's c) ---- */

INLINE void differentiate_lstm(const backward_pass *b, const back_step *t, const int standard) {
    const ptrdiff_t h = b->shape->units, hs = b->units_stride;
    FOR_EACH_VECTOR(t, i, j) {
        const REAL *cache = t->cache + i * cached_row(b->shape) + j,
                   *slope = cache + LSTM_VALUES * hs;
        REAL *derivatives = t->derivatives + i * b->stride + j, *dc_at = b->dc + i * hs + j;
        vec value[LSTM_VALUES], d[LSTM_GATES];
        if (b->steps_use_tiles) KEEP_AWAKE();
        prefetch_cached(cache + cached_row(b->shape), hs, LSTM_VALUES);
        UNROLL for (int g = 0; g < LSTM_VALUES; g++) value[g] = load(cache + g * hs);
        const vec dh = gradient_of_state(b, t, i, j), tc = value[CACHED_TC];
        const vec dc =
            load(dc_at) + through_activation(dh * value[O], tc, slope + CACHED_TC * hs, standard);
        d[O] = dh * tc;
        d[I_GATE] = dc * value[G];
        d[F] = dc * load(t->c_before + i * hs + j);
        d[G] = through_activation(dc * value[I_GATE], value[G], slope + G * hs, standard);
        store(dc_at, dc * value[F]);
        UNROLL for (int g = 0; g < LSTM_GATES; g++) {
            if (g != G) d[g] = through_gate(d[g], value[g], slope + g * hs, standard);
            store_part(derivatives + g * h, d[g], h - j);
        }
    }
}
NOINLINE void differentiate_standard_lstm(const backward_pass *b, const back_step *t) {
    differentiate_lstm(b, t, 1);
}
NOINLINE void differentiate_any_lstm(const backward_pass *b, const back_step *t) {
    differentiate_lstm(b, t, 0);
}

NOINLINE void differentiate_simple_rnn(const backward_pass *b, const back_step *t) {
    const ptrdiff_t hs = b->units_stride;
    const int standard = has_standard_activations(b->shape);
    FOR_EACH_VECTOR(t, i, j) {
        if (b->steps_use_tiles) KEEP_AWAKE();
        const vec dh = gradient_of_state(b, t, i, j);
        const REAL *slope = t->cache + i * cached_row(b->shape) + j;
        store_part(t->derivatives + i * b->stride + j,
                   through_activation(dh, load(t->after + i * hs + j), slope, standard),
                   b->shape->units - j);
    }
}

#endif
