/* Operands of products on matrix tiles, in pieces.
 *
 * A float32 is the sum of three bfloat16 numbers to the last bit: each of them rounds what those before it left. An
 * infinity counts as the largest bfloat16 number, and so does what is above it: what it leaves would be NaN.
 *
 * A tile is 16 lines of 16 pairs: lines are rows of A, or pairs of numbers along the depth for 16 columns of B. The pairs
 * are k and k + 16, of the 32 that a tile is deep. An operand in pieces is [lines / 16][depth / 32][3 tiles], zero where
 * it ends. */
#ifndef FASTGRU_PIECES_H
#define FASTGRU_PIECES_H

#include "tiles.h"

enum {
    PIECES = 3,
    SPLIT_SIZE = PIECES * TILE_SIZE, /* reals of a tile's numbers in pieces */
};

/* Reals of an operand in pieces. */
INLINE ptrdiff_t pieces_size(ptrdiff_t lines, ptrdiff_t depth) {
    return padded(lines, TILE_LINES) / TILE_LINES * (padded(depth, TILE_DEPTH) / TILE_DEPTH) *
           SPLIT_SIZE;
}

/* Matrices of one shape, one below the other. */
typedef struct {
    const REAL *matrix[4];
    int count;
    ptrdiff_t depth, row_stride, column_stride;
} stacked;

#ifdef HAS_TILES

/* A pair of numbers for each lane, in pieces. The third is what is left: it has no more bits than it holds. */
INLINE void split_pairs(vec first, vec second, REAL *to) {
    const vec largest = splat(0x1.fep127f);
    first = max_(min_(first, largest), -largest);
    second = max_(min_(second, largest), -largest);
    const bitvec half = (bitvec){0} + 0x8000u, upper = (bitvec){0} + 0xffff0000u;
    UNROLL for (int piece = 0; piece < PIECES; piece++) {
        const int last = piece == PIECES - 1;
        const bitvec a = last ? (bitvec)first : (bitvec)first + half;
        const bitvec b = (last ? (bitvec)second : (bitvec)second + half) & upper;
        store(to + piece * TILE_SIZE, (vec)(b | a >> 16));
        first -= (vec)(a & upper);
        second -= (vec)b;
    }
}

/* Rows [first, last) of A, and of their elements those in [k0, k1), as lines of pieces. */
static void split_rows(const rows *a, ptrdiff_t first, ptrdiff_t last, ptrdiff_t k0, ptrdiff_t k1,
                       REAL *to) {
    const ptrdiff_t tile = pieces_size(TILE_LINES, k1 - k0);
    for (ptrdiff_t i = first; i < last; i++) {
        const REAL *from = row(a, i);
        REAL *line = to + (i - first) / TILE_LINES * tile + (i - first) % TILE_LINES * LANES;
        for (ptrdiff_t k = k0; k < k1; k += TILE_DEPTH, line += SPLIT_SIZE)
            split_pairs(load_part(from + k, k1 - k), load_part(from + k + LANES, k1 - k - LANES),
                        line);
    }
}

/* Lines of 16 columns, from a matrix whose rows, 32 of them, go along the depth. */
static void split_columns(REAL *const from[TILE_DEPTH], ptrdiff_t column, ptrdiff_t columns,
                          int transposed, REAL *to) {
    vec block[2][LANES];
    for (int half = 0; half < 2; half++) {
        for (int i = 0; i < LANES; i++) {
            const REAL *line = from[half * LANES + i];
            block[half][i] = line ? load_part(line + column, columns - column) : (vec){0};
        }
        if (transposed) transpose(block[half]);
    }
    for (int i = 0; i < LANES; i++) split_pairs(block[0][i], block[1][i], to + i * LANES);
}

/* Rows [first, last) of a matrix `total` deep, first a multiple of TILE_DEPTH, in pieces: as the right operand, or
 * transposed as the left one. */
static void split_lines(const rows *from, ptrdiff_t first, ptrdiff_t last, ptrdiff_t columns,
                        int transposed, REAL *to, ptrdiff_t total) {
    const ptrdiff_t tile = pieces_size(TILE_LINES, total);
    for (ptrdiff_t k = first; k < last; k += TILE_DEPTH) {
        REAL *lines[TILE_DEPTH] = {0};
        point_to_rows(from, k, minimum(TILE_DEPTH, last - k), lines);
        for (ptrdiff_t j = 0; j < columns; j += TILE_LINES)
            split_columns(lines, j, columns, transposed,
                          to + j / TILE_LINES * tile + k / TILE_DEPTH * SPLIT_SIZE);
    }
}

/* Lines [k, k + 32) of up to 16 columns of matrices that stand one below the other: weights of any strides. */
static void split_stacked(const stacked *m, ptrdiff_t k, ptrdiff_t column, ptrdiff_t columns,
                          REAL *to) {
    REAL lines[TILE_DEPTH * LANES] = {0};
    for (ptrdiff_t n = 0, count; n < TILE_DEPTH && k < m->count * m->depth;
         n += count, k += count) {
        const ptrdiff_t at = k % m->depth;
        count = minimum(TILE_DEPTH - n, m->depth - at);
        pack_vector(m->matrix[k / m->depth] + at * m->row_stride + column * m->column_stride,
                    m->row_stride, m->column_stride, count, columns, lines + n * LANES, LANES);
    }
    for (int i = 0; i < LANES; i++)
        split_pairs(load(lines + i * LANES), load(lines + (i + LANES) * LANES), to + i * LANES);
}

#else /* never called */
static void split_lines(const rows *from, ptrdiff_t first, ptrdiff_t last, ptrdiff_t columns,
                        int transposed, REAL *to, ptrdiff_t total) {
    (void)from, (void)first, (void)last, (void)columns, (void)transposed, (void)to, (void)total;
}
static void split_stacked(const stacked *m, ptrdiff_t k, ptrdiff_t column, ptrdiff_t columns,
                          REAL *to) {
    (void)m, (void)k, (void)column, (void)columns, (void)to;
}
#endif

#endif
