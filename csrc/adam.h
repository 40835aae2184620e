/* Adam, one pass over flat buffers. */
#ifndef FASTGRU_ADAM_H
#define FASTGRU_ADAM_H

#include "vectors.h"

static void adam(const fastgru_adam *a, ptrdiff_t count, void *parameters, const void *gradients,
                 void *m, void *v) {
    REAL *p_at = parameters, *m_at = m, *v_at = v;
    const REAL *g_at = gradients;
    const vec rate = splat((REAL)-a->rate), epsilon = splat((REAL)a->epsilon);
    const vec to_m = splat((REAL)(1 - a->beta_1)), to_v = splat((REAL)(1 - a->beta_2));
    for (ptrdiff_t i = 0; i < count; i += LANES) {
        const ptrdiff_t left = count - i;
        const vec g = load_part(g_at + i, left), m0 = load_part(m_at + i, left),
                  v0 = load_part(v_at + i, left);
        const vec m1 = fma_(g - m0, to_m, m0), v1 = fma_(fma_(g, g, -v0), to_v, v0);
        store_part(m_at + i, m1, left);
        store_part(v_at + i, v1, left);
        const vec p = fma_(rate, m1 / (sqrt_(v1) + epsilon), load_part(p_at + i, left));
        store_part(p_at + i, p, left);
    }
}

#endif
