/* An embedding: rows of a table by id, and the sum of their gradients. */
#ifndef FASTGRU_EMBEDDING_H
#define FASTGRU_EMBEDDING_H

#include "vectors.h"

static fastgru_status embedding_forward(const int64_t *ids, ptrdiff_t count, const void *table,
                                        ptrdiff_t vocabulary, ptrdiff_t width, void *y,
                                        ptrdiff_t *bad) {
    const REAL *from = table;
    REAL *to = y;
    for (ptrdiff_t i = 0; i < count; i++) {
        if (ids[i] < 0 || ids[i] >= vocabulary) {
            *bad = i;
            return FASTGRU_BAD_ID;
        }
        memcpy(to + i * width, from + ids[i] * width, (size_t)width * sizeof(REAL));
    }
    return FASTGRU_OK;
}

static fastgru_status embedding_backward(const int64_t *ids, ptrdiff_t count, const void *dy,
                                         ptrdiff_t vocabulary, ptrdiff_t width, void *dtable,
                                         ptrdiff_t *bad) {
    const REAL *from = dy;
    REAL *to = dtable;
    memset(to, 0, (size_t)(vocabulary * width) * sizeof(REAL));
    for (ptrdiff_t i = 0; i < count; i++) {
        if (ids[i] < 0 || ids[i] >= vocabulary) {
            *bad = i;
            return FASTGRU_BAD_ID;
        }
        REAL *sum = to + ids[i] * width;
        for (ptrdiff_t j = 0; j < width; j++) sum[j] += from[i * width + j];
    }
    return FASTGRU_OK;
}

#endif
