/* Products through integers: on vectors, or on matrix tiles. */
#ifndef FASTGRU_DIGIT_PRODUCT_H
#define FASTGRU_DIGIT_PRODUCT_H

#include "digit_rows.h"
#include "digit_tiles.h"

enum { DEEPEST = INT32_MAX / (3 << 15) }; /* no sum of so many products overflows */

#ifdef HAS_TILES

/* Some of `total` rows of A, ready for products; with more than ROWS_ON_VECTORS in all the tiles must be, already. */
static void split_for_products(REAL *const *x, ptrdiff_t count, ptrdiff_t total, ptrdiff_t depth,
                               const REAL *balance, char *to, REAL *scales) {
    split_left(x, count, depth, balance, total > ROWS_ON_VECTORS ? FLIP : 0, to, scales);
}

static void multiply_digits(const digit_product *m) {
    if (m->row_count <= ROWS_ON_VECTORS) multiply_on_vectors(m);
    else multiply_on_tiles(m);
}

#else /* never called */
static void split_for_products(REAL *const *x, ptrdiff_t count, ptrdiff_t total, ptrdiff_t depth,
                               const REAL *balance, char *to, REAL *scales) {
    (void)x, (void)count, (void)total, (void)depth, (void)balance, (void)to, (void)scales;
}
static void take_digit_tiles(ptrdiff_t row_count, ptrdiff_t depth) { (void)row_count, (void)depth; }
static void multiply_on_tiles(const digit_product *m) { (void)m; }
static void multiply_digits(const digit_product *m) { (void)m; }
#endif

#endif
