/* Products through integers: on vectors, or on matrix tiles. */
#ifndef FASTGRU_DIGIT_PRODUCT_H
#define FASTGRU_DIGIT_PRODUCT_H

#include "digit_rows.h"
#include "digit_tiles.h"

enum { DEEPEST = INT32_MAX / (3 << 15) }; /* no sum of so many products overflows */

#ifdef HAS_TILES

/* Some rows of A, ready for products on tiles, which must be ready too, or on vectors. */
static void split_for_products(const left_digits *to, int on_tiles, REAL *const *x,
                               REAL *const *dropout, ptrdiff_t first, ptrdiff_t count) {
    split_left(to, x, dropout, first, count, on_tiles ? FLIP : 0);
}

static void multiply_digits(const digit_product *m) {
    if (m->row_count <= ROWS_ON_VECTORS) multiply_on_vectors(m);
    else multiply_on_tiles(m);
}

#else /* never called */
static void split_for_products(const left_digits *to, int on_tiles, REAL *const *x,
                               REAL *const *dropout, ptrdiff_t first, ptrdiff_t count) {
    (void)to, (void)on_tiles, (void)x, (void)dropout, (void)first, (void)count;
}
static void take_digit_tiles(ptrdiff_t lines, ptrdiff_t depth) { (void)lines, (void)depth; }
static void multiply_on_tiles(const digit_product *m) { (void)m; }
static void multiply_digits(const digit_product *m) { (void)m; }
#endif

/* Before a step's products: tiles of as many lines as its rows want, unless those at hand are. */
INLINE void change_digit_tiles(ptrdiff_t *lines, ptrdiff_t row_count, ptrdiff_t depth) {
    if (*lines == tile_lines(row_count)) return;
    *lines = tile_lines(row_count);
    take_digit_tiles(*lines, depth);
}

#endif
