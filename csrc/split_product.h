/* Products of float32 on matrix tiles that multiply bfloat16 numbers (Intel AMX).
 *
 * A float32 is the sum of three bfloat16 numbers to the last bit: each of them rounds what those before it left. Of the
 * nine products of two such sums the six large ones are made; the others are below 2^-24 of the whole. The tiles multiply
 * sixteen times as many bfloat16 numbers as a vector unit does float32, so this is still 2.7 times as fast, and as exact
 * as float32 products are. (After Henry, Tang and Heinecke, "Leveraging the bfloat16 Artificial Intelligence Datatype For
 * Higher-Precision Computations", 2019.) An infinity counts as the largest bfloat16 number: what it leaves would be NaN.
 *
 * A tile is 16 lines of 16 pairs: lines are rows of A, or pairs of numbers along the depth for 16 columns of B. The pairs
 * are k and k + 16, of the 32 that a tile is deep. An operand in pieces is [lines / 16][depth / 32][3 tiles], zero where
 * it ends. Each element of C is one chain of additions in the order of the depth, whatever stands beside it. */
#ifndef FASTGRU_SPLIT_PRODUCT_H
#define FASTGRU_SPLIT_PRODUCT_H

#include "product.h"

/* Tests emulate tiles where no CPU has them, and then meet them in products of every size. */
#if FASTGRU_REAL_IS_DOUBLE
#define USE_TILES(if_large) (0 && (if_large))
#elif defined(FASTGRU_EMULATE_TILES)
#define HAS_TILES
#define USE_TILES(if_large) (1 || (if_large))
#elif defined(__AMX_BF16__)
#define HAS_TILES
#define USE_TILES(if_large) (if_large)
#else
#define USE_TILES(if_large) (0 && (if_large))
#endif

enum {
    TILE_LINES = 16,
    TILE_DEPTH = 32,
    PIECES = 3,
    TILE_SIZE = TILE_LINES * TILE_DEPTH / 2, /* in reals */
    SPLIT_SIZE = PIECES * TILE_SIZE,
    TILES_AT_ONCE = 2, /* of rows, and of columns: four sums stay in tiles */
    SPLIT_DEPTH = 256, /* rows of A that are split together: their pieces stay in L2 */
    SPLIT_ROWS = 128,
};

/* Reals of an operand in pieces, and of what multiply_split needs to split A itself. */
INLINE ptrdiff_t pieces_size(ptrdiff_t lines, ptrdiff_t depth) {
    return padded(lines, TILE_LINES) / TILE_LINES * (padded(depth, TILE_DEPTH) / TILE_DEPTH) *
           SPLIT_SIZE;
}
#define SPLIT_SCRATCH pieces_size(SPLIT_ROWS, SPLIT_DEPTH)

/* C = start + A B, or C += A B, for rows [first, last) of A and C. */
typedef struct {
    rows a;
    const REAL *a_pieces; /* instead of a; all of its lines */
    const REAL *b_pieces;
    rows c;
    ptrdiff_t first, last, depth, columns;
    int one_in;        /* only every so-manieth tile of columns, of B and of C; 0: each */
    const REAL *start; /* the row that each row of C begins with, or NULL for zeros */
    int accumulate;
    REAL *scratch; /* SPLIT_SCRATCH, where A comes in rows */
} split_product;

/* Matrices of one shape, one below the other. */
typedef struct {
    const REAL *matrix[4];
    int count;
    ptrdiff_t depth, row_stride, column_stride;
} stacked;

#ifdef HAS_TILES

/* ---- the eight tiles of a thread ---- */

#ifdef FASTGRU_EMULATE_TILES /* to the last bit */
static _Thread_local REAL tiles[8][TILE_SIZE];

static void load_tile(int to, const REAL *from, ptrdiff_t stride) {
    for (int i = 0; i < TILE_LINES; i++) store(tiles[to] + i * LANES, load(from + i * stride));
}
static void store_tile(int from, REAL *to, ptrdiff_t stride) {
    for (int i = 0; i < TILE_LINES; i++) store(to + i * stride, load(tiles[from] + i * LANES));
}
static void multiply_tiles(int to, int left, int right) {
    for (int i = 0; i < TILE_LINES; i++) {
        vec first = {0}, second = {0};
        for (int k = 0; k < LANES; k++) {
            const bitvec upper = (bitvec){0} + 0xffff0000u;
            const bitvec a = (bitvec)splat(tiles[left][i * LANES + k]);
            const bitvec b = (bitvec)load(tiles[right] + k * LANES);
            first = fma_((vec)(a << 16), (vec)(b << 16), first);
            second = fma_((vec)(a & upper), (vec)(b & upper), second);
        }
        REAL *sum = tiles[to] + i * LANES;
        store(sum, load(sum) + (first + second));
    }
}
#define TILE_ZERO(to) memset(tiles[to], 0, sizeof *tiles)
#define TILE_LOAD load_tile
#define TILE_STORE store_tile
#define TILE_MULTIPLY multiply_tiles
INLINE void take_tiles(ptrdiff_t lines) { (void)lines; }
INLINE void release_tiles(void) {}
#else
#define TILE_ZERO _tile_zero
#define TILE_LOAD(to, from, stride) _tile_loadd(to, from, (stride) * (ptrdiff_t)sizeof(REAL))
#define TILE_STORE(from, to, stride) _tile_stored(from, to, (stride) * (ptrdiff_t)sizeof(REAL))
#define TILE_MULTIPLY _tile_dpbf16ps

typedef struct {
    uint8_t palette, start_line, reserved[14];
    uint16_t bytes_in_line[16];
    uint8_t lines[16];
} tile_shapes;

/* Tiles of A and of sums (all but the last two) may be lower: a multiplication takes a cycle for each line of A. */
INLINE void take_tiles(ptrdiff_t lines) {
    tile_shapes shapes = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        shapes.bytes_in_line[i] = LANES * sizeof(REAL);
        shapes.lines[i] = (uint8_t)(i < 6 ? minimum(lines, TILE_LINES) : TILE_LINES);
    }
    _tile_loadconfig(&shapes);
}
/* In their first state they cost a switch of threads nothing. */
INLINE void release_tiles(void) { _tile_release(); }
#endif

/* ---- splitting ---- */

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
static void split_columns(const REAL *const from[TILE_DEPTH], ptrdiff_t column, ptrdiff_t columns,
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
        const REAL *lines[TILE_DEPTH];
        for (int i = 0; i < TILE_DEPTH; i++) lines[i] = k + i < last ? row(from, k + i) : NULL;
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

/* ---- products ---- */

/* One or two tiles of rows times one or two of columns. Only one operand changes from one pair of pieces to the next. */
INLINE void run_tiles(const REAL *a, ptrdiff_t a_next, const REAL *b, ptrdiff_t b_next,
                      ptrdiff_t blocks, const int tall, const int wide, REAL *sum) {
#define LEFT(piece)                                                                                \
    TILE_LOAD(4, a + piece * TILE_SIZE, LANES);                                                    \
    if (tall) TILE_LOAD(5, a + a_next + piece * TILE_SIZE, LANES)
#define RIGHT(piece)                                                                               \
    TILE_LOAD(6, b + piece * TILE_SIZE, LANES);                                                    \
    if (wide) TILE_LOAD(7, b + b_next + piece * TILE_SIZE, LANES)
#define MULTIPLY                                                                                   \
    TILE_MULTIPLY(0, 4, 6);                                                                        \
    if (wide) TILE_MULTIPLY(1, 4, 7);                                                              \
    if (tall) TILE_MULTIPLY(2, 5, 6);                                                              \
    if (tall && wide) TILE_MULTIPLY(3, 5, 7)
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    TILE_ZERO(3);
    for (ptrdiff_t k = 0; k < blocks; k++, a += SPLIT_SIZE, b += SPLIT_SIZE) {
        LEFT(0);
        RIGHT(2);
        MULTIPLY;
        RIGHT(1);
        MULTIPLY;
        LEFT(1);
        MULTIPLY;
        RIGHT(0);
        MULTIPLY;
        LEFT(2);
        MULTIPLY;
        LEFT(0);
        MULTIPLY;
    }
    const ptrdiff_t width = TILES_AT_ONCE * LANES;
    TILE_STORE(0, sum, width);
    if (wide) TILE_STORE(1, sum + LANES, width);
    if (tall) TILE_STORE(2, sum + TILE_LINES * width, width);
    if (tall && wide) TILE_STORE(3, sum + TILE_LINES * width + LANES, width);
#undef LEFT
#undef RIGHT
#undef MULTIPLY
}

/* C becomes, or receives, up to 32 rows of 32 columns. */
static void add_sums(const split_product *m, ptrdiff_t first, ptrdiff_t last, ptrdiff_t column,
                     int adds, const REAL *sum) {
    const ptrdiff_t width = TILES_AT_ONCE * LANES, end = minimum(m->columns, column + width);
    const ptrdiff_t one_in = maximum(1, m->one_in);
    for (ptrdiff_t i = first; i < last; i++, sum += width) {
        for (ptrdiff_t j = column; j < end; j += LANES) {
            const ptrdiff_t to = j * one_in, left = end - j;
            REAL *c = row(&m->c, i) + to;
            vec made = load(sum + j - column);
            if (adds) made = load_part(c, left) + made;
            else if (m->start) made = load_part(m->start + to, left) + made;
            store_part(c, made, left);
        }
    }
}

/* Some rows of tiles, in pieces from `a` on, times all columns, over the depth [k0, k1). */
static void multiply_pieces(const split_product *m, const REAL *a, ptrdiff_t a_next,
                            ptrdiff_t first, ptrdiff_t last, ptrdiff_t k0, ptrdiff_t k1) {
    const ptrdiff_t b_next = maximum(1, m->one_in) * pieces_size(TILE_LINES, m->depth);
    const ptrdiff_t blocks = (k1 - k0 + TILE_DEPTH - 1) / TILE_DEPTH;
    const int adds = m->accumulate || k0 > 0;
    _Alignas(64) REAL sum[TILES_AT_ONCE * TILE_LINES * TILES_AT_ONCE * LANES];
    for (ptrdiff_t j = 0; j < m->columns; j += TILES_AT_ONCE * LANES) {
        const REAL *b = m->b_pieces + j / LANES * b_next + k0 / TILE_DEPTH * SPLIT_SIZE;
        for (ptrdiff_t i = first; i < last; i += TILES_AT_ONCE * TILE_LINES) {
            const REAL *left = a + (i - first) / TILE_LINES * a_next;
            const int tall = last - i > TILE_LINES, wide = m->columns - j > LANES;
            if (tall && wide) run_tiles(left, a_next, b, b_next, blocks, 1, 1, sum);
            else if (tall) run_tiles(left, a_next, b, b_next, blocks, 1, 0, sum);
            else if (wide) run_tiles(left, a_next, b, b_next, blocks, 0, 1, sum);
            else run_tiles(left, a_next, b, b_next, blocks, 0, 0, sum);
            add_sums(m, i, minimum(last, i + TILES_AT_ONCE * TILE_LINES), j, adds, sum);
        }
    }
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
    release_tiles();
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
