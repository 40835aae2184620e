/* Products of float32 on matrix tiles that multiply bfloat16 numbers (Intel AMX).
 *
 * Of the nine products of two numbers in three pieces each (pieces.h) the six large ones are made; the others are below
 * 2^-24 of the whole. The tiles multiply sixteen times as many bfloat16 numbers as a vector unit does float32, so this is
 * still 2.7 times as fast, and as exact as float32 products are. (After Henry, Tang and Heinecke, "Leveraging the bfloat16
 * Artificial Intelligence Datatype For Higher-Precision Computations", 2019.)
 *
 * Each element of C is one chain of additions in the order of the depth, 32 products at a time, whatever stands beside it
 * and however the depth is cut. */
#ifndef FASTGRU_SPLIT_PRODUCT_H
#define FASTGRU_SPLIT_PRODUCT_H

#include "pieces.h"

enum {
    SPLIT_ROWS = 128,  /* rows of A whose pieces stay in L2, ... */
    SPLIT_DEPTH = 512, /* ... so deep */
    STRIP_DEPTH =
        128,       /* of a few tiles of B's columns, which stay in L1 while those rows pass by */
    FAR = 1 << 18, /* reals of B in pieces above which they are prefetched */
};

/* Reals that multiply_split needs to split A itself. */
#define SPLIT_SCRATCH pieces_size(SPLIT_ROWS, SPLIT_DEPTH)

/* C = A B, or C += A B, for rows [first, last) of A and C. */
typedef struct {
    rows a;
    const REAL *a_pieces; /* instead of a; all of its lines */
    const REAL *b_pieces;
    rows c;
    ptrdiff_t first, last, depth, columns;
    int accumulate;
    REAL *scratch; /* SPLIT_SCRATCH, where A comes in rows */
} split_product;

#ifdef HAS_TILES

/* Where a tile of C is read and written: in C, or in a buffer where C ends inside of it or its rows have no one stride. */
typedef struct {
    const REAL *from; /* C, if it is added to, else zeros */
    REAL *to;
    ptrdiff_t from_stride, to_stride;
} sum_tile;

/* Up to four tiles of C, along a strip of the depth: two by two, or one by four. */
typedef struct {
    const REAL *a[2], *b[4]; /* tiles of rows, and of columns */
    ptrdiff_t blocks;        /* the depth, in tiles */
    sum_tile sums[4];
    const REAL *ahead;    /* prefetched into L2 ... */
    ptrdiff_t ahead_next; /* ... of as many tiles of columns, so far apart, ... */
    ptrdiff_t lines;      /* ... a block's lines, so many after each product of pieces */
} tile_product;

INLINE const REAL *prefetch_ahead(const tile_product *p, const REAL *ahead, const int wide) {
    for (ptrdiff_t n = 0; n < p->lines; n++, ahead += LANES)
        UNROLL for (int j = 0; j < wide; j++) __builtin_prefetch(ahead + j * p->ahead_next, 0, 2);
    return ahead;
}

#define STRIDE(reals) ((reals) * (ptrdiff_t)sizeof(REAL))
#define BEGIN(n) TILE_LOAD(n, p->sums[n].from, STRIDE(p->sums[n].from_stride));
#define END(n) TILE_STORE(n, p->sums[n].to, STRIDE(p->sums[n].to_stride));
#define LEFT(tile, i, piece) TILE_LOAD(tile, p->a[i] + at + (piece) * TILE_SIZE, LINE_BYTES)
#define RIGHT(tile, j, piece) TILE_LOAD(tile, p->b[j] + at + (piece) * TILE_SIZE, LINE_BYTES)

/* One or two rows of tiles, and columns. The six products come in the same order here and below. Only one operand
 * changes from one to the next. */
INLINE void run_pairs(const tile_product *p, const int tall, const int wide) {
#define LEFTS(piece)                                                                               \
    LEFT(4, 0, piece);                                                                             \
    if (tall > 1) LEFT(5, 1, piece)
#define RIGHTS(piece)                                                                              \
    RIGHT(6, 0, piece);                                                                            \
    if (wide > 1) RIGHT(7, 1, piece)
#define MULTIPLY                                                                                   \
    TILE_MULTIPLY(0, 4, 6);                                                                        \
    if (wide > 1) TILE_MULTIPLY(1, 4, 7);                                                          \
    if (tall > 1) TILE_MULTIPLY(2, 5, 6);                                                          \
    if (tall > 1 && wide > 1) TILE_MULTIPLY(3, 5, 7);                                              \
    ahead = prefetch_ahead(p, ahead, wide)
#define EACH(DO)                                                                                   \
    DO(0)                                                                                          \
    if (wide > 1) DO(1)                                                                            \
    if (tall > 1) DO(2)                                                                            \
    if (tall > 1 && wide > 1) DO(3)
    EACH(BEGIN)
    for (ptrdiff_t at = 0; at < p->blocks * SPLIT_SIZE; at += SPLIT_SIZE) {
        const REAL *ahead = p->ahead + at;
        LEFTS(0);
        RIGHTS(2);
        MULTIPLY;
        RIGHTS(1);
        MULTIPLY;
        LEFTS(1);
        MULTIPLY;
        RIGHTS(0);
        MULTIPLY;
        LEFTS(2);
        MULTIPLY;
        LEFTS(0);
        MULTIPLY;
    }
    EACH(END)
#undef LEFTS
#undef RIGHTS
#undef MULTIPLY
#undef EACH
}

/* One row of tiles: four sums, because each multiplication waits long for the one before it. A stays in tiles. */
static void run_one_row(const tile_product *p) {
#define EACH(DO) DO(0) DO(1) DO(2) DO(3)
#define SMALL(n)                                                                                   \
    RIGHT(7, n, 2);                                                                                \
    TILE_MULTIPLY(n, 4, 7);
#define MIDDLE(n)                                                                                  \
    RIGHT(7, n, 1);                                                                                \
    TILE_MULTIPLY(n, 4, 7);                                                                        \
    TILE_MULTIPLY(n, 5, 7);
#define LARGE(n)                                                                                   \
    RIGHT(7, n, 0);                                                                                \
    TILE_MULTIPLY(n, 5, 7);                                                                        \
    TILE_MULTIPLY(n, 6, 7);                                                                        \
    TILE_MULTIPLY(n, 4, 7);
    EACH(BEGIN)
    for (ptrdiff_t at = 0; at < p->blocks * SPLIT_SIZE; at += SPLIT_SIZE) {
        LEFT(4, 0, 0);
        LEFT(5, 0, 1);
        LEFT(6, 0, 2);
        EACH(SMALL)
        EACH(MIDDLE)
        EACH(LARGE)
    }
    EACH(END)
#undef EACH
#undef SMALL
#undef MIDDLE
#undef LARGE
}

#undef STRIDE
#undef BEGIN
#undef END
#undef LEFT
#undef RIGHT

/* Some rows, up to SPLIT_ROWS, along a strip of the depth. */
typedef struct {
    const split_product *product;
    const REAL *a; /* the rows' pieces, from the strip on */
    ptrdiff_t a_next, first, last, k, k_end;
    int tall, wide;  /* tiles at once */
    ptrdiff_t lines; /* rows in a tile */
} strip;

INLINE REAL *element(const split_product *m, ptrdiff_t i, ptrdiff_t j) { return row(&m->c, i) + j; }

/* The tile of C that begins at (i, j). */
static sum_tile begin_sum(const strip *s, ptrdiff_t i, ptrdiff_t j, REAL *buffer) {
    static const REAL ZEROS[LANES];
    const split_product *m = s->product;
    const ptrdiff_t count = minimum(s->lines, s->last - i), left = m->columns - j;
    if (count <= 0 || left <= 0) return (sum_tile){buffer, buffer, LANES, LANES};
    const int adds = m->accumulate || s->k > 0;
    REAL *c = element(m, i, j);
    const ptrdiff_t stride = m->c.stride;
    if (count == s->lines && left >= LANES &&
        element(m, i + count - 1, j) == c + (count - 1) * stride)
        return (sum_tile){adds ? c : ZEROS, c, adds ? stride : 0, stride};
    for (ptrdiff_t n = 0; n < count; n++)
        store(buffer + n * LANES, load_part(adds ? element(m, i + n, j) : ZEROS, left));
    return (sum_tile){buffer, buffer, LANES, LANES};
}

static void end_sum(const strip *s, ptrdiff_t i, ptrdiff_t j, const sum_tile *sum,
                    const REAL *buffer) {
    const split_product *m = s->product;
    if (sum->to != buffer || j >= m->columns) return;
    for (ptrdiff_t n = 0; n < minimum(s->lines, s->last - i); n++)
        store_part(element(m, i + n, j), load(buffer + n * LANES), m->columns - j);
}

/* Some tiles of B's columns, which come into L1 once, times all rows. */
static void multiply_columns(const strip *s, ptrdiff_t column) {
    const split_product *m = s->product;
    const ptrdiff_t b_next = pieces_size(TILE_LINES, m->depth);
    const ptrdiff_t height = s->tall * TILE_LINES,
                    turns = (s->last - s->first + height - 1) / height;
    const REAL *b = m->b_pieces + column / LANES * b_next + s->k / TILE_DEPTH * SPLIT_SIZE;
    tile_product p = {.blocks = (s->k_end - s->k + TILE_DEPTH - 1) / TILE_DEPTH,
                      .ahead_next = b_next};
    if (pieces_size(m->columns, m->depth) > FAR)
        p.lines = (SPLIT_SIZE / LANES + 6 * turns - 1) / (6 * turns);
    for (int j = 0; j < s->wide; j++)
        p.b[j] = b + (column + j * LANES < m->columns ? j : 0) * b_next;
    _Alignas(64) REAL buffer[4][TILE_SIZE];
    for (ptrdiff_t turn = 0; turn < turns; turn++) {
        const ptrdiff_t first = s->first + turn * height;
        const int tall = s->last - first > TILE_LINES, wide = m->columns - column > LANES;
        for (int i = 0; i < s->tall; i++) p.a[i] = s->a + (turn * s->tall + i) * s->a_next;
        for (int n = 0; n < 4; n++)
            p.sums[n] = begin_sum(s, first + n / s->wide * TILE_LINES, column + n % s->wide * LANES,
                                  buffer[n]);
        p.ahead = b + s->wide * b_next + turn * 6 * p.lines * LANES;
        if (s->tall == 1) run_one_row(&p);
        else if (tall && wide) run_pairs(&p, 2, 2);
        else if (tall) run_pairs(&p, 2, 1);
        else if (wide) run_pairs(&p, 1, 2);
        else run_pairs(&p, 1, 1);
        for (int n = 0; n < 4; n++)
            end_sum(s, first + n / s->wide * TILE_LINES, column + n % s->wide * LANES, &p.sums[n],
                    buffer[n]);
    }
}

/* Some rows, in pieces from `a` on, times all columns, over the depth [k0, k1). */
static void multiply_pieces(const split_product *m, const REAL *a, ptrdiff_t a_next,
                            ptrdiff_t first, ptrdiff_t last, ptrdiff_t k0, ptrdiff_t k1) {
    const int one_row = m->last - m->first <= TILE_LINES;
    strip s = {.product = m,
               .a_next = a_next,
               .first = first,
               .last = last,
               .tall = one_row ? 1 : 2,
               .wide = one_row ? 4 : 2};
    s.lines = minimum(TILE_LINES, m->last - m->first);
    for (ptrdiff_t j = 0; j < m->columns; j += s.wide * LANES)
        for (s.k = k0, s.a = a; s.k < k1;
             s.k = s.k_end, s.a += STRIP_DEPTH / TILE_DEPTH * SPLIT_SIZE) {
            s.k_end = minimum(k1, s.k + STRIP_DEPTH);
            multiply_columns(&s, j);
        }
}

/* All tiles but the last one, which is B's, may have fewer lines: a multiplication takes a cycle for each line of A. */
static void take_tiles(ptrdiff_t rows) {
    tile_shapes shapes;
    for (int i = 0; i < TILES; i++) {
        shapes.lines[i] = (uint8_t)(i < TILES - 1 ? minimum(rows, TILE_LINES) : TILE_LINES);
        shapes.bytes[i] = LINE_BYTES;
    }
    TILE_CONFIGURE(&shapes);
}

static void multiply_split(const split_product *m) {
    const ptrdiff_t whole = pieces_size(TILE_LINES, m->depth);
    if (m->first >= m->last) return;
    take_tiles(m->last - m->first);
    for (ptrdiff_t k = 0; k < m->depth; k += SPLIT_DEPTH) {
        const ptrdiff_t k1 = minimum(m->depth, k + SPLIT_DEPTH);
        for (ptrdiff_t i = m->first; i < m->last; i += SPLIT_ROWS) {
            const ptrdiff_t end = minimum(m->last, i + SPLIT_ROWS);
            if (m->a_pieces) {
                const REAL *a = m->a_pieces + i / TILE_LINES * whole + k / TILE_DEPTH * SPLIT_SIZE;
                multiply_pieces(m, a, whole, i, end, k, k1);
            } else {
                split_rows(&m->a, i, end, k, k1, m->scratch);
                multiply_pieces(m, m->scratch, pieces_size(TILE_LINES, k1 - k), i, end, k, k1);
            }
        }
    }
    TILE_RELEASE();
}

#else /* never called */
static void multiply_split(const split_product *m) { (void)m; }
#endif

/* A product whose right-hand side, and left-hand side if it is transposed, are ready for tiles, or packed. */
INLINE void multiply_ready(const packed_product *m, int tiles, REAL *scratch) {
    if (!tiles) {
        multiply_packed(m);
        return;
    }
    multiply_split(&(split_product){
        .a = m->a,
        .a_pieces = m->transposed ? m->a.data : NULL,
        .b_pieces = m->b,
        .c = m->c,
        .first = m->first,
        .last = m->last,
        .depth = m->depth,
        .columns = m->columns,
        .accumulate = m->accumulate,
        .scratch = scratch,
    });
}

#endif
