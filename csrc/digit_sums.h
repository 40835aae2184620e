/* Products of float32 through integers.
 *
 * Numbers are three digits in fixed point (digits.h). Of the nine products of their digits the six large ones are made, and
 * summed in integers by the places of the digits: of two first digits, of a first and a second one, and of those whose
 * places add up to two. The others are below 2^-24 of the product of the largest numbers. Sums of integers are exact, so a
 * result has the same bits whatever the order and the instructions, in any batch, and it is nearer to the true one than
 * a chain of float32 multiply-adds. Weights take three bytes instead of four.
 *
 * (Slices whose products are summed exactly: Ootomo, Ozaki and Yokota, "DGEMM on Integer Matrix Multiplication Unit",
 * 2024.) */
#ifndef FASTGRU_DIGIT_SUMS_H
#define FASTGRU_DIGIT_SUMS_H

#include "digits.h"

/* C = start + A B, or C += A B. */
typedef struct {
    const char *a;
    const REAL *a_scales;
    /* If above 0, each of so many gates, vectors of columns in turn, has an A of its own, so many bytes, and scales, apart. */
    ptrdiff_t a_next, scales_next;
    int gates;
    digit_matrix b;
    ptrdiff_t row_count, depth, columns;
    ptrdiff_t lines;   /* of each of A's tiles */
    const REAL *start; /* the row that each row of C begins with, or NULL for zeros */
    int accumulate;
    rows c;
    ptrdiff_t c_first; /* C's row that A's first one makes */
} digit_product;

/* Which A the columns from j on meet. */
INLINE ptrdiff_t copy_for(const digit_product *m, ptrdiff_t j) {
    return m->a_next ? j / LANES % m->gates : 0;
}

#ifdef HAS_TILES
/* Sums by place as one number, in units of the scales' product. */
INLINE vec sum_of_places(const ivec place[DIGITS]) {
    const vec low = fma_(__builtin_convertvector(place[2], vec), splat(0x1p-8f),
                         __builtin_convertvector(place[1], vec));
    return fma_(low, splat(0x1p-8f), __builtin_convertvector(place[0], vec));
}
INLINE const REAL *start_of(const digit_product *m, ptrdiff_t j) {
    static const REAL ZEROS[LANES];
    return m->start ? m->start + j : ZEROS;
}
#endif

#endif
