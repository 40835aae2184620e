/* Products through integers of one or two rows, on vectors: tiles would wait more than they multiply. */
#ifndef FASTGRU_DIGIT_ROWS_H
#define FASTGRU_DIGIT_ROWS_H

#include "digit_sums.h"

enum { ROWS_ON_VECTORS = 2 };

#ifdef HAS_TILES

enum { MOST_SUMS = 6 }; /* by place: 18 registers, enough to keep the multipliers busy */

/* A's digits come with 128 added, and the sums begin with what takes that away again. */
INLINE void begin_places(const digit_product *m, ptrdiff_t j, ivec place[DIGITS]) {
    const int32_t *excess = m->b.excess + j * DIGITS;
    UNROLL for (int d = 0; d < DIGITS; d++) place[d] = -load_integers(excess + d * LANES);
}

/* Some rows times some vectors of columns, no more than MOST_SUMS. */
INLINE void multiply_vectors(const digit_product *m, ptrdiff_t j, const int row_count,
                             const int vectors) {
    const digit_blocks blocks = digit_blocks_of(m->depth);
    const ptrdiff_t column = digit_column(blocks), copy = copy_for(m, j);
    const char *a = m->a + copy * m->a_next, *b = m->b.digits + j / LANES * column;
    const REAL *a_scales = m->a_scales + copy * m->scales_next;
    ivec sum[MOST_SUMS][DIGITS];
    UNROLL for (int n = 0; n < row_count * vectors; n++)
        begin_places(m, j + n % vectors * LANES, sum[n]);
    for (ptrdiff_t n = 0; n < blocks.count; n++, a += DIGIT_BLOCK)
        for (const char *end = a + blocks.depth, *k = a; k < end;
             k += NUMBERS_IN_A_LANE, b += DIGITS * LINE_BYTES)
            UNROLL for (int d = 0; d < DIGITS; d++) {
                UNROLL for (int v = 0; v < vectors; v++) {
                    const ivec line = load_integers(b + v * column + d * LINE_BYTES);
                    UNROLL for (int i = 0; i < row_count; i++) {
                        ivec *place = sum[i * vectors + v];
                        UNROLL for (int c = 0; c < DIGITS - d; c++) place[c + d] =
                            add_products(place[c + d], k + c * DIGIT_TILE + i * LINE_BYTES, line);
                    }
                }
            }
    UNROLL for (int n = 0; n < row_count * vectors; n++) {
        const ptrdiff_t i = n / vectors, at = j + n % vectors * LANES;
        REAL *c = row(&m->c, m->c_first + i) + at;
        const vec start = load(m->accumulate ? c : start_of(m, at));
        store(c, fma_(sum_of_places(sum[n]) * a_scales[i], load(m->b.scales + at), start));
    }
}

/* Never inlined: the loop keeps all registers to itself. */
#define ON_VECTORS(rows, vectors)                                                                  \
    NOINLINE void multiply_##rows##_by_##vectors(const digit_product *m, ptrdiff_t j) {            \
        multiply_vectors(m, j, rows, vectors);                                                     \
    }
ON_VECTORS(1, 6)
ON_VECTORS(1, 3)
ON_VECTORS(1, 2)
ON_VECTORS(1, 1)
ON_VECTORS(2, 3)
ON_VECTORS(2, 2)
ON_VECTORS(2, 1)

static void multiply_on_vectors(const digit_product *m) {
    typedef void function(const digit_product *, ptrdiff_t);
    static const struct {
        int vectors;
        function *run;
    } CHOICE[ROWS_ON_VECTORS][4] = {
        {{6, multiply_1_by_6}, {3, multiply_1_by_3}, {2, multiply_1_by_2}, {1, multiply_1_by_1}},
        {{3, multiply_2_by_3}, {2, multiply_2_by_2}, {1, multiply_2_by_1}, {1, multiply_2_by_1}}};
    for (ptrdiff_t j = 0; j < m->columns;) {
        const ptrdiff_t left = m->a_next ? 1 : (m->columns - j) / LANES;
        int n = 0;
        while (CHOICE[m->row_count - 1][n].vectors > left) n++;
        CHOICE[m->row_count - 1][n].run(m, j);
        j += CHOICE[m->row_count - 1][n].vectors * LANES;
    }
}

#endif

#endif
