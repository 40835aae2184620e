/* Operands of the backward pass's products, packed for the micro-kernel or as digits: weights, transposed, and rows that a
 * sum goes over. */
#ifndef FASTGRU_OPERANDS_H
#define FASTGRU_OPERANDS_H

#include "digit_product.h"

/* ---- sizes, in reals ---- */

INLINE ptrdiff_t right_size(int as_digits, ptrdiff_t depth, ptrdiff_t columns) {
    return as_digits ? digit_matrix_size(depth, padded(columns, LANES))
                     : plain_size(depth, columns);
}
/* Of a left operand: `columns` of so many rows, as lines. */
INLINE ptrdiff_t left_size(int as_digits, ptrdiff_t row_count, ptrdiff_t columns) {
    return as_digits ? left_digits_size(columns, row_count) + padded(columns, LANES)
                     : lines_size(row_count, columns);
}

/* Rows of A that are made digits at a time: they stay in L2. And what they and their scales take. */
enum { FEWEST_ROWS_SPLIT = 2 * TILE_LINES, MOST_ROWS_SPLIT = 8 * TILE_LINES };
INLINE ptrdiff_t rows_split_at_once(ptrdiff_t depth) {
    enum { BYTES = 1 << 18 };
    const ptrdiff_t fitting = BYTES / digit_row(digit_blocks_of(depth)) * TILE_LINES;
    return minimum(maximum(fitting, FEWEST_ROWS_SPLIT), MOST_ROWS_SPLIT);
}
INLINE ptrdiff_t split_size(ptrdiff_t depth) {
    const ptrdiff_t most = rows_split_at_once(depth);
    return left_digits_size(most, depth) + piece(most);
}

/* ---- weights ---- */

/* Matrices of one shape, one below the other. */
typedef struct {
    const REAL *matrix[4];
    int count;
    ptrdiff_t depth, row_stride, column_stride;
} stacked;

#ifdef HAS_TILES

/* A block of the depth of 16 columns. */
typedef REAL digit_lines[LINE_BYTES * LANES];

/* Lines from the k-th on of up to 16 columns: zeros where the matrices end. */
static void gather_stacked(const stacked *m, ptrdiff_t k, ptrdiff_t count, ptrdiff_t column,
                           ptrdiff_t columns, REAL *lines) {
    const ptrdiff_t end = minimum(k + count, m->count * m->depth);
    for (ptrdiff_t some; k < end; k += some, count -= some, lines += some * LANES) {
        const ptrdiff_t at = k % m->depth;
        some = minimum(end - k, m->depth - at);
        pack_vector(m->matrix[k / m->depth] + at * m->row_stride + column * m->column_stride,
                    m->row_stride, m->column_stride, some, columns, lines, LANES);
    }
    memset(lines, 0, (size_t)(count * LANES) * sizeof(REAL));
}

/* Columns [first, last), from a multiple of 16 on, as a right operand. */
static void split_stacked(const stacked *m, ptrdiff_t first, ptrdiff_t last,
                          const digit_matrix *to) {
    const ptrdiff_t depth = m->count * m->depth;
    const digit_blocks blocks = digit_blocks_of(depth);
    _Alignas(64) digit_lines lines;
    for (ptrdiff_t j = first; j < last; j += LANES) {
        REAL *scales = to->scales + j;
        char *digits = to->digits + j / LANES * digit_column(blocks);
        store(scales, (vec){0});
        for (ptrdiff_t n = 0; n < blocks.count; n++) {
            gather_stacked(m, n * blocks.depth, blocks.depth, j, last - j, lines);
            raise_largest(lines, blocks.depth, scales);
        }
        store(scales, scale_of(load_integers(scales)));
        memset(to->excess + j * DIGITS, 0, DIGITS * LANES * sizeof(int32_t));
        for (ptrdiff_t n = 0; n < blocks.count; n++) {
            gather_stacked(m, n * blocks.depth, blocks.depth, j, last - j, lines);
            split_right(lines, load(scales), blocks.depth, digits + digits_along(n * blocks.depth),
                        to->excess + j * DIGITS);
        }
    }
}

/* ---- rows that a product sums over ---- */

/* So many rows of a block that go along the depth, and their dropout if there is any; those after them count as zeros. */
typedef struct {
    REAL *row[LINE_BYTES], *dropout[LINE_BYTES];
    ptrdiff_t count;
} block_rows;

static block_rows rows_of_block(const rows *from, const rows *dropout, digit_blocks blocks,
                                ptrdiff_t n, ptrdiff_t depth) {
    block_rows b = {.count = maximum(0, minimum(blocks.depth, depth - n * blocks.depth))};
    if (b.count > 0) point_to_rows(from, n * blocks.depth, b.count, b.row);
    if (b.count > 0 && dropout) point_to_rows(dropout, n * blocks.depth, b.count, b.dropout);
    return b;
}

/* Numbers of the k-th row from a column on, so many of them. */
INLINE vec numbers_of(const block_rows *b, ptrdiff_t k, ptrdiff_t column, ptrdiff_t columns,
                      const int dropped) {
    const vec x = load_part(b->row[k] + column, columns);
    return dropped ? x * load_part(b->dropout[k] + column, columns) : x;
}

/* The largest magnitudes in 16 columns become those of a block's rows too. */
INLINE void raise_by_block(const block_rows *b, ptrdiff_t column, ptrdiff_t columns, REAL *largest,
                           const int dropped) {
    ivec most = load_integers(largest);
    for (ptrdiff_t k = 0; k < b->count; k++)
        most = larger(most, magnitude(numbers_of(b, k, column, columns, dropped)));
    store(largest, (vec)most);
}

/* 16 columns of a block: as a right operand's lines, or, each number a byte of its column's line, a left one's. */
INLINE void split_block(const block_rows *b, ptrdiff_t depth, ptrdiff_t column, ptrdiff_t columns,
                        vec factor, const int left, const int dropped, char *to) {
    bitvec digit[DIGITS];
    vec m[DIGITS][LANES] = {{{0}}};
    for (ptrdiff_t k = 0; k < depth; k += NUMBERS_IN_A_LANE) {
        vec x[NUMBERS_IN_A_LANE];
        UNROLL for (int n = 0; n < NUMBERS_IN_A_LANE; n++) x[n] =
            k + n < b->count ? numbers_of(b, k + n, column, columns, dropped) : (vec){0};
        split_four(x, factor, digit);
        UNROLL for (int d = 0; d < DIGITS; d++) {
            if (left) m[d][k / NUMBERS_IN_A_LANE] = (vec)digit[d];
            else store((REAL *)(to + digits_along(k) + d * LINE_BYTES), (vec)digit[d]);
        }
    }
    for (int d = 0; left && d < DIGITS; d++) {
        transpose(m[d]);
        for (int i = 0; i < LANES; i++)
            store((REAL *)(to + d * DIGIT_TILE + i * LINE_BYTES), m[d][i]);
    }
}

/* Columns of `depth` rows that a product sums over, as an operand; each has a scale. */
INLINE void split_any_columns(const rows *from, const rows *dropout, const int dropped,
                              ptrdiff_t depth, ptrdiff_t columns, const int left, char *to,
                              REAL *scales) {
    const digit_blocks blocks = digit_blocks_of(depth);
    const ptrdiff_t next = left ? digit_row(blocks) : digit_column(blocks);
    const ptrdiff_t along = left ? DIGIT_BLOCK : digits_along(blocks.depth);
    memset(scales, 0, (size_t)padded(columns, LANES) * sizeof(REAL));
    for (ptrdiff_t n = 0; n < blocks.count; n++) {
        const block_rows b = rows_of_block(from, dropout, blocks, n, depth);
        for (ptrdiff_t j = 0; j < columns; j += LANES)
            raise_by_block(&b, j, columns - j, scales + j, dropped);
        KEEP_AWAKE();
    }
    for (ptrdiff_t j = 0; j < columns; j += LANES)
        store(scales + j, scale_of(load_integers(scales + j)));
    for (ptrdiff_t n = 0; n < blocks.count; n++) {
        const block_rows b = rows_of_block(from, dropout, blocks, n, depth);
        for (ptrdiff_t j = 0; j < columns; j += LANES) {
            const vec factor = splat(0x1p16f) / load(scales + j);
            char *part = to + j / LANES * next + n * along;
            split_block(&b, blocks.depth, j, columns - j, factor, left, dropped, part);
            KEEP_AWAKE();
        }
    }
}

/* dropout: NULL, or rows that the others are multiplied by. */
static void split_columns(const rows *from, const rows *dropout, ptrdiff_t depth, ptrdiff_t columns,
                          int left, char *to, REAL *scales) {
    if (dropout && left) split_any_columns(from, dropout, 1, depth, columns, 1, to, scales);
    else if (dropout) split_any_columns(from, dropout, 1, depth, columns, 0, to, scales);
    else if (left) split_any_columns(from, NULL, 0, depth, columns, 1, to, scales);
    else split_any_columns(from, NULL, 0, depth, columns, 0, to, scales);
}

#else /* never called */
static void split_stacked(const stacked *m, ptrdiff_t first, ptrdiff_t last,
                          const digit_matrix *to) {
    (void)m, (void)first, (void)last, (void)to;
}
static void split_columns(const rows *from, const rows *dropout, ptrdiff_t depth, ptrdiff_t columns,
                          int left, char *to, REAL *scales) {
    (void)from, (void)dropout, (void)depth, (void)columns, (void)left, (void)to, (void)scales;
}
#endif

/* Columns [first, last), from a multiple of two vectors on, of so many in all, as a right operand. */
static void prepare_stacked(const stacked *m, int as_digits, ptrdiff_t first, ptrdiff_t last,
                            ptrdiff_t columns, REAL *to) {
    const ptrdiff_t total = m->count * m->depth;
    if (as_digits) {
        const digit_matrix digits = digit_matrix_at(to, total, padded(columns, LANES));
        split_stacked(m, first, last, &digits);
        return;
    }
    for (int g = 0; g < m->count; g++)
        pack_plain(m->matrix[g] + first * m->column_stride, m->row_stride, m->column_stride,
                   m->depth, last - first, to + first * total, g * m->depth, total);
}

/* Rows, or some of their columns, as the left or the right operand of a product that sums over them. As digits times a dropout,
 * unless that is NULL. */
static void prepare_rows(const rows *from, const rows *dropout, int as_digits, ptrdiff_t row_count,
                         ptrdiff_t columns, int left, REAL *to) {
    if (!as_digits) {
        if (left) pack_lines(from, 0, row_count, columns, to, row_count);
        else pack_rows(from, 0, row_count, columns, to, row_count);
    } else if (left) {
        split_columns(from, dropout, row_count, columns, 1, (char *)to,
                      to + left_digits_size(columns, row_count));
    } else {
        const digit_matrix m = digit_matrix_at(to, row_count, padded(columns, LANES));
        split_columns(from, dropout, row_count, columns, 0, m.digits, m.scales);
    }
}

/* ---- products ---- */

/* C = A B, or C += A B, for rows [first, last) of A and C, and some columns of B. */
typedef struct {
    int as_digits;
    rows a;
    int transposed; /* A is a left operand, at a.data, that has just these rows */
    const REAL *b;
    ptrdiff_t b_columns; /* all of them */
    ptrdiff_t column, columns;
    ptrdiff_t depth;
    rows c; /* its first column is that of the product */
    ptrdiff_t first, last;
    int accumulate;
    ptrdiff_t lines; /* of A's tiles, where there are digits */
    int few_rows;    /* one or two rows may go through vectors: C is whole vectors, at one stride */
    REAL *scratch;   /* split_size(depth), where A comes in rows */
} operand_product;

/* Of columns that stay in L2 all rows that are digits, before the next ones. */
static void multiply_all_columns(const operand_product *m, digit_product *p) {
    const ptrdiff_t most =
        p->row_count > 2 * TILE_LINES ? columns_at_once(m->depth, 1) : m->columns;
    const digit_matrix b = digit_matrix_at(m->b, m->depth, padded(m->b_columns, LANES));
    p->gates = 1;
    p->lines = m->lines;
    p->depth = m->depth;
    p->accumulate = m->accumulate;
    for (ptrdiff_t j = 0; j < m->columns; j += most) {
        p->b = columns_of_digits(&b, m->depth, m->column + j);
        p->columns = minimum(most, m->columns - j);
        p->c = from_column(m->c, j);
        if (m->few_rows) multiply_digits(p);
        else multiply_on_tiles(p);
    }
}

static void multiply_as_digits(const operand_product *m) {
    digit_product p = {.a = (const char *)m->a.data, .c_first = m->first};
    if (m->transposed) {
        p.row_count = m->last - m->first;
        p.a_scales = m->a.data + left_digits_size(p.row_count, m->depth);
        multiply_all_columns(m, &p);
        return;
    }
    const ptrdiff_t fitting = rows_split_at_once(m->depth), most = fitting / TILE_LINES * m->lines;
    const left_digits to = {.digits = (char *)m->scratch,
                            .scales = m->scratch + left_digits_size(fitting, m->depth),
                            .depth = m->depth,
                            .lines = m->lines};
    p.a = to.digits;
    p.a_scales = to.scales;
    for (; p.c_first < m->last; p.c_first += p.row_count) {
        REAL *x[MOST_ROWS_SPLIT];
        p.row_count = minimum(most, m->last - p.c_first);
        point_to_rows(&m->a, p.c_first, p.row_count, x);
        split_for_products(&to, !m->few_rows || p.row_count > ROWS_ON_VECTORS, x, NULL, 0,
                           p.row_count);
        multiply_all_columns(m, &p);
    }
}

/* The tiles, where there are digits, are taken before. */
static void multiply_operands(const operand_product *m) {
    if (m->as_digits) {
        multiply_as_digits(m);
        return;
    }
    multiply_packed(&(packed_product){
        .a = m->a,
        .transposed = m->transposed,
        .b = m->b + plain_size(m->depth, m->column),
        .depth = m->depth,
        .columns = m->columns,
        .vectors = PLAIN,
        .c = m->c,
        .first = m->first,
        .last = m->last,
        .accumulate = m->accumulate,
    });
}

#endif
