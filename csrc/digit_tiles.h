/* Products through integers on matrix tiles. */
#ifndef FASTGRU_DIGIT_TILES_H
#define FASTGRU_DIGIT_TILES_H

#include "digit_sums.h"

#ifdef HAS_TILES

/* What a run over the depth reads: one or two tiles of rows, and of columns. */
typedef struct {
    const char *a[2], *b[2];
    digit_blocks blocks;
} digit_tiles;

/* Lines of a tile's sums by place, and where in C they go. */
typedef struct {
    const char *sums;
    ptrdiff_t count;
    const REAL *row_scale;
    vec column_scale, start;
    REAL *c;
} sum_lines;

/* Up to two tiles' sums. They become reals some lines at a time while the next tiles are multiplied: other units do that. */
typedef int32_t digit_sums[2][DIGITS][TILE_LINES][LANES];
typedef struct {
    digit_sums *sums;
    sum_lines first, second;
    ptrdiff_t c_step, at_once;
} pending_sums;

INLINE void scale_lines(sum_lines *l, ptrdiff_t most, ptrdiff_t c_step) {
    ptrdiff_t count = minimum(l->count, most);
    for (l->count -= count; count > 0; count--) {
        const ivec place[DIGITS] = {load_integers(l->sums), load_integers(l->sums + DIGIT_TILE),
                                    load_integers(l->sums + 2 * DIGIT_TILE)};
        /* volatile: GCC would load the scales of several lines as a vector, and take it apart again. */
        const REAL row_scale = *(const volatile REAL *)l->row_scale;
        store(l->c, fma_(sum_of_places(place) * row_scale, l->column_scale, l->start));
        l->sums += LINE_BYTES;
        l->row_scale++;
        l->c += c_step;
    }
}

#define LEFT(i, digit) TILE_LOAD(6, a##i + (digit) * DIGIT_TILE, LINE_BYTES)
#define RIGHT(j, digit) TILE_LOAD(7, b##j + (digit) * LINE_BYTES, DIGITS * LINE_BYTES)
#define FOR_EACH_SUM(DO, two)                                                                      \
    DO(0, 0, 0) DO(1, 0, 1) DO(2, 0, 2) if (two) { DO(3, 1, 0) DO(4, 1, 1) DO(5, 1, 2) }
#define CLEAR(t, n, place) TILE_CLEAR(t);
#define KEEP(t, n, place) TILE_STORE(t, (*pending->sums)[n][place], LINE_BYTES);

/* Two tiles of rows, or of columns. The order keeps three multiplications between those that add to the same sum: each
 * waits 52 cycles for the one before it. The first four leave the last sums time to arrive in the cache. */
INLINE void run_places(const digit_tiles *p, const int tall, const int two, pending_sums *pending) {
    const char *a0 = p->a[0], *a1 = p->a[1], *b0 = p->b[0], *b1 = p->b[1];
    const ptrdiff_t b_next = digits_along(p->blocks.depth);
    const ptrdiff_t at_once = pending->at_once, c_step = pending->c_step;
    FOR_EACH_SUM(CLEAR, two)
    for (ptrdiff_t n = 0; n < p->blocks.count; n++) {
#define ONE(digit)                                                                                 \
    if (tall) RIGHT(0, digit);                                                                     \
    else LEFT(0, digit);
#define TERM(digit, t, u, which)                                                                   \
    if (tall) LEFT(0, digit);                                                                      \
    else RIGHT(0, digit);                                                                          \
    TILE_MULTIPLY_BYTES(t, 6, 7);                                                                  \
    if (two) {                                                                                     \
        if (tall) LEFT(1, digit);                                                                  \
        else RIGHT(1, digit);                                                                      \
        TILE_MULTIPLY_BYTES(u, 6, 7);                                                              \
    }                                                                                              \
    if (which) scale_lines(which < 2 ? &pending->first : &pending->second, at_once, c_step);
        ONE(2)
        TERM(0, 2, 5, 0)
        ONE(0)
        TERM(1, 1, 4, 0)
        TERM(2, 2, 5, 1)
        TERM(0, 0, 3, 1)
        ONE(1)
        TERM(1, 2, 5, 2)
        TERM(0, 1, 4, 2)
#undef ONE
#undef TERM
        a0 += DIGIT_BLOCK, a1 += DIGIT_BLOCK;
        b0 += b_next, b1 += b_next;
    }
    FOR_EACH_SUM(KEEP, two)
}

#undef LEFT
#undef RIGHT
#undef FOR_EACH_SUM
#undef CLEAR
#undef KEEP

/* The n-th tile's sums are those of C's tile at (i, j). */
INLINE sum_lines lines_of(const digit_product *m, const digit_sums *sums, int n, ptrdiff_t i,
                          ptrdiff_t j) {
    return (sum_lines){
        .sums = (const char *)(*sums)[n],
        .count = minimum(TILE_LINES, m->row_count - i),
        .row_scale = m->a_scales + copy_for(m, j) * m->scales_next + i,
        .column_scale = load(m->b.scales + j),
        .start = load(start_of(m, j)),
        .c = m->c + i * m->c_stride + j,
    };
}

/* One tile of rows times two of columns at a time; where gates have rows of their own, one. */
INLINE void multiply_one_row(const digit_product *m, ptrdiff_t i, digit_tiles p,
                             pending_sums *pending) {
    const ptrdiff_t column = digit_column(p.blocks);
    for (ptrdiff_t j = 0, count; j < m->columns; j += count * LANES) {
        count = minimum(m->a_next ? 1 : 2, (m->columns - j) / LANES);
        p.a[0] = p.a[1] = m->a + copy_for(m, j) * m->a_next + i / TILE_LINES * digit_row(p.blocks);
        p.b[0] = m->b.digits + j / LANES * column;
        p.b[1] = p.b[0] + column;
        if (count > 1) run_places(&p, 0, 1, pending);
        else run_places(&p, 0, 0, pending);
        pending->first = lines_of(m, pending->sums, 0, i, j);
        pending->second.count = 0;
        if (count > 1) pending->second = lines_of(m, pending->sums, 1, i, j + LANES);
    }
}

/* Two tiles of rows, which stay in L1, times one of columns. */
INLINE void multiply_two_rows(const digit_product *m, ptrdiff_t i, digit_tiles p,
                              pending_sums *pending) {
    const ptrdiff_t row = digit_row(p.blocks);
    for (ptrdiff_t j = 0; j < m->columns; j += LANES) {
        p.a[0] = m->a + copy_for(m, j) * m->a_next + i / TILE_LINES * row;
        p.a[1] = p.a[0] + row;
        p.b[0] = p.b[1] = m->b.digits + j / LANES * digit_column(p.blocks);
        run_places(&p, 1, 1, pending);
        pending->first = lines_of(m, pending->sums, 0, i, j);
        pending->second = lines_of(m, pending->sums, 1, i + TILE_LINES, j);
    }
}

static void multiply_on_tiles(const digit_product *m) {
    enum { HALF_OF_L1 = 24 * 1024 };
    _Alignas(64) digit_sums sums;
    const digit_tiles p = {.blocks = digit_blocks_of(m->depth)};
    const ptrdiff_t turns = 2 * p.blocks.count;
    const int tall = 2 * digit_row(p.blocks) <= HALF_OF_L1;
    pending_sums pending = {
        .sums = &sums, .c_step = m->c_stride, .at_once = (TILE_LINES + turns - 1) / turns};
    for (ptrdiff_t i = 0, two; i < m->row_count; i += (1 + two) * TILE_LINES) {
        two = tall && m->row_count - i > TILE_LINES;
        if (two) multiply_two_rows(m, i, p, &pending);
        else multiply_one_row(m, i, p, &pending);
    }
    scale_lines(&pending.first, TILE_LINES, m->c_stride);
    scale_lines(&pending.second, TILE_LINES, m->c_stride);
}

/* Before multiplications of so many rows; TILE_RELEASE after them. */
static void take_digit_tiles(ptrdiff_t row_count, ptrdiff_t depth) {
    const uint8_t bytes = (uint8_t)digit_blocks_of(depth).depth;
    tile_shapes shapes;
    for (int i = 0; i < TILES; i++) {
        shapes.lines[i] = (uint8_t)minimum(row_count, TILE_LINES);
        shapes.bytes[i] = LINE_BYTES;
    }
    shapes.bytes[6] = bytes;
    shapes.lines[7] = bytes / NUMBERS_IN_A_LANE;
    TILE_CONFIGURE(&shapes);
}

#endif

#endif
