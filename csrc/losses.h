/* Binary cross-entropy, elementwise, with its gradient. */
#ifndef FASTGRU_LOSSES_H
#define FASTGRU_LOSSES_H

#include <math.h>

#include "vectors.h"

#define PROBABILITY_EDGE ((REAL)1e-7) /* Keras' epsilon */

/* -t log(s) - (1 - t) log(1 - s) with s = sigmoid(x), stable for any x. */
INLINE void crossentropy_of_logit(REAL t, REAL x, REAL *loss, REAL *gradient) {
    const REAL e = REAL_FN(exp)(-REAL_FN(fabs)(x));
    const REAL sigmoid = (x >= 0 ? 1 : e) / (1 + e);
    *loss = (x > 0 ? x : x * 0) - x * t + REAL_FN(log1p)(e);
    *gradient = sigmoid - t;
}

INLINE void crossentropy_of_probability(REAL t, REAL p, REAL *loss, REAL *gradient) {
    const REAL low = PROBABILITY_EDGE, high = 1 - PROBABILITY_EDGE;
    const REAL clipped = p < low ? low : p > high ? high : p;
    *loss = -(t * REAL_FN(log)(clipped) + (1 - t) * REAL_FN(log1p)(-clipped));
    *gradient = p < low || p > high ? 0 : (p - t) / (p * (1 - p));
}

static fastgru_status binary_crossentropy(const void *labels, const void *predictions,
                                          ptrdiff_t count, int from_logits, void *losses,
                                          void *gradients, ptrdiff_t *bad) {
    const REAL *t = labels, *p = predictions;
    REAL *loss = losses, *gradient = gradients;
    for (ptrdiff_t i = 0; i < count; i++) {
        if (!(t[i] >= 0 && t[i] <= 1)) {
            *bad = i;
            return FASTGRU_BAD_LABEL;
        }
        if (from_logits) crossentropy_of_logit(t[i], p[i], loss + i, gradient + i);
        else crossentropy_of_probability(t[i], p[i], loss + i, gradient + i);
    }
    return FASTGRU_OK;
}

#endif
