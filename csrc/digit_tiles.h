/* Products through integers on matrix tiles. */
#ifndef FASTGRU_DIGIT_TILES_H
#define FASTGRU_DIGIT_TILES_H

#include "digit_sums.h"

#ifdef HAS_TILES

/* What a run over the depth reads: one or two tiles of rows, and of columns. */
typedef struct {
    const char *a, *b;
    digit_blocks blocks;
} digit_tiles;

/* Blocks of a run from which on B comes from L3 or memory, and those from which on A leaves L1 meanwhile. */
enum { FAR = 8, LONG = 12 };

/* Some rows of C, and their stride, or 0 where they have no one. */
typedef struct {
    REAL *row[TILE_LINES];
    ptrdiff_t count, stride;
} tile_rows;

/* Lines of a tile's sums by place, what is added to them, and where they go. */
typedef struct {
    const char *sums;
    ptrdiff_t count;
    const REAL *row_scale;
    vec column_scale, start;
    REAL *c;
    ptrdiff_t c_stride;
} sum_lines;

/* Of a product that is not a simple one: what is added instead of `start`, and, if the tile is made in a buffer, where
 * it goes from there. */
typedef struct {
    const REAL *from;
    ptrdiff_t from_stride;
    const tile_rows *rows;
    ptrdiff_t column, width;
    _Alignas(64) REAL buffer[TILE_LINES * LANES];
} any_lines;

/* Up to two tiles' sums. They become reals some lines at a time while the next tiles are multiplied: other units do that. */
typedef int32_t digit_sums[2][DIGITS][TILE_LINES][LANES];
typedef struct {
    digit_sums *sums, *last_sums; /* two where runs are short; else one, because A wants L1 */
    sum_lines lines[2];
    any_lines *any;
    ptrdiff_t at_once;
} pending_sums;

INLINE void scale_lines(sum_lines *l, ptrdiff_t most, any_lines *any) {
    ptrdiff_t count = minimum(l->count, most);
    for (l->count -= count; count > 0; count--) {
        const ivec place[DIGITS] = {load_integers(l->sums), load_integers(l->sums + DIGIT_TILE),
                                    load_integers(l->sums + 2 * DIGIT_TILE)};
        /* volatile: GCC would load the scales of several lines as a vector, and take it apart again. */
        const REAL row_scale = *(const volatile REAL *)l->row_scale;
        const vec start = any ? load(any->from) : l->start;
        store(l->c, fma_(sum_of_places(place) * row_scale, l->column_scale, start));
        l->sums += LINE_BYTES;
        l->row_scale++;
        l->c += l->c_stride;
        if (any) any->from += any->from_stride;
    }
}

#define LEFT(i, digit) TILE_LOAD(6, a##i + (digit) * DIGIT_TILE, LINE_BYTES)
#define RIGHT(j, digit) TILE_LOAD(7, b##j + (digit) * LINE_BYTES, DIGITS * LINE_BYTES)
#define CLEAR(place)                                                                               \
    if (n == 0) TILE_CLEAR(place)
#define STORE(place, i, digit) TILE_STORE(place, (*pending->sums)[i][digit], LINE_BYTES)
#define SCALE(i) scale_lines(&pending->lines[i], at_once, simple ? NULL : &pending->any[i])
/* Before each of six terms: a sixth of the block that follows in memory. */
#define PREFETCH()                                                                                 \
    if (far) {                                                                                     \
        UNROLL for (int line = 0; line < DIGITS * TILE_LINES / 6; line++)                          \
            __builtin_prefetch(ahead + line * LINE_BYTES);                                         \
        ahead += DIGITS * TILE_LINES / 6 * LINE_BYTES;                                             \
    }

/* Two tiles of rows and one of columns. The tiles of a place's sums are cleared just before their first multiplication, and
 * stored as soon as the last one is done: both while others multiply. The order keeps three multiplications between those
 * that add to the same sum: each waits 52 cycles for the one before it. The first four leave the last sums time to arrive
 * in the cache. */
#define TERM(digit, place, other)                                                                  \
    PREFETCH();                                                                                    \
    LEFT(0, digit);                                                                                \
    TILE_MULTIPLY(place, 6, 7);                                                                    \
    LEFT(1, digit);                                                                                \
    TILE_MULTIPLY(other, 6, 7)

INLINE void run_two_rows(const digit_tiles *p, pending_sums *pending, const int simple) {
    const char *a0 = p->a, *a1 = a0 + digit_row(p->blocks), *b0 = p->b;
    const ptrdiff_t b_next = digits_along(p->blocks.depth), last = p->blocks.count - 1;
    const ptrdiff_t at_once = pending->at_once;
    const int in_turn = pending->sums != pending->last_sums, far = p->blocks.count >= FAR;
    const char *ahead = b0 + b_next;
    for (ptrdiff_t n = 0; n <= last; n++) {
        RIGHT(0, 2);
        CLEAR(2);
        CLEAR(5);
        TERM(0, 2, 5);
        RIGHT(0, 0);
        CLEAR(1);
        CLEAR(4);
        TERM(1, 1, 4);
        TERM(2, 2, 5);
        SCALE(0);
        CLEAR(0);
        CLEAR(3);
        TERM(0, 0, 3);
        SCALE(0);
        RIGHT(0, 1);
        TERM(1, 2, 5);
        SCALE(1);
        if (in_turn && n == last) {
            STORE(0, 0, 0);
            STORE(3, 1, 0);
        }
        TERM(0, 1, 4);
        SCALE(1);
        a0 += DIGIT_BLOCK, a1 += DIGIT_BLOCK, b0 += b_next;
    }
    if (!in_turn) {
        STORE(0, 0, 0);
        STORE(3, 1, 0);
    }
    STORE(2, 0, 2);
    STORE(5, 1, 2);
    STORE(1, 0, 1);
    STORE(4, 1, 1);
}
#undef TERM

/* One tile of rows: a block of a column, whose digits come from L2 or from further away, and are loaded once each. */
#define TERM(digit, place)                                                                         \
    PREFETCH();                                                                                    \
    LEFT(0, digit);                                                                                \
    TILE_MULTIPLY(place, 6, 7)
#define MULTIPLY_BLOCK(j, place_0, place_1, place_2)                                               \
    RIGHT(j, 0);                                                                                   \
    CLEAR(place_2);                                                                                \
    TERM(2, place_2);                                                                              \
    CLEAR(place_1);                                                                                \
    TERM(1, place_1);                                                                              \
    SCALE(j);                                                                                      \
    CLEAR(place_0);                                                                                \
    TERM(0, place_0);                                                                              \
    RIGHT(j, 1);                                                                                   \
    TERM(1, place_2);                                                                              \
    TERM(0, place_1);                                                                              \
    SCALE(j);                                                                                      \
    RIGHT(j, 2);                                                                                   \
    TERM(0, place_2);
#define STORE_COLUMN(j, place_0, place_1, place_2)                                                 \
    STORE(place_0, j, 0);                                                                          \
    STORE(place_1, j, 1);                                                                          \
    STORE(place_2, j, 2)

/* One column. Neighbours have their sums in other tiles: each begins while the one before it ends. */
#define RUN_ONE_COLUMN(name, place_0, place_1, place_2)                                            \
    INLINE void name(const digit_tiles *p, pending_sums *pending, const int simple) {              \
        const char *a0 = p->a, *b0 = p->b;                                                         \
        const ptrdiff_t b_next = digits_along(p->blocks.depth), last = p->blocks.count - 1;        \
        const ptrdiff_t at_once = pending->at_once;                                                \
        const int far = p->blocks.count >= FAR;                                                    \
        const char *ahead = b0 + b_next;                                                           \
        for (ptrdiff_t n = 0; n <= last; n++) {                                                    \
            MULTIPLY_BLOCK(0, place_0, place_1, place_2)                                           \
            a0 += DIGIT_BLOCK, b0 += b_next;                                                       \
        }                                                                                          \
        STORE_COLUMN(0, place_0, place_1, place_2);                                                \
    }
RUN_ONE_COLUMN(run_even_column, 0, 1, 2)
RUN_ONE_COLUMN(run_odd_column, 3, 4, 5)
#undef RUN_ONE_COLUMN

/* Two columns, of many blocks: each block of A meets both while it is in L1. */
INLINE void run_two_columns(const digit_tiles *p, pending_sums *pending, const int simple) {
    const char *a0 = p->a, *b0 = p->b, *b1 = b0 + digit_column(p->blocks);
    const ptrdiff_t b_next = digits_along(p->blocks.depth), last = p->blocks.count - 1;
    const ptrdiff_t at_once = pending->at_once;
    const int far = 1;
    for (ptrdiff_t n = 0; n <= last; n++) {
        const char *ahead = b0 + b_next;
        MULTIPLY_BLOCK(0, 0, 1, 2)
        ahead = b1 + b_next;
        MULTIPLY_BLOCK(1, 3, 4, 5)
        a0 += DIGIT_BLOCK, b0 += b_next, b1 += b_next;
    }
    STORE_COLUMN(0, 0, 1, 2);
    STORE_COLUMN(1, 3, 4, 5);
}
#undef STORE_COLUMN
#undef MULTIPLY_BLOCK
#undef TERM
#undef PREFETCH
#undef SCALE
#undef STORE
#undef CLEAR
#undef RIGHT
#undef LEFT

static tile_rows rows_of_tile(const digit_product *m, ptrdiff_t i) {
    tile_rows r = {.count = minimum(m->lines, m->row_count - i)};
    if (r.count > 0) point_to_rows(&m->c, m->c_first + i, r.count, r.row);
    r.stride = r.count > 1 ? r.row[1] - r.row[0] : LANES;
    for (ptrdiff_t n = 2; n < r.count; n++)
        if (r.row[n] - r.row[n - 1] != r.stride) r.stride = 0;
    return r;
}

/* A tile that C's rows cannot take as it is, because they end inside of it or have no one stride, is made in a buffer. */
static void begin_in_buffer(const digit_product *m, const tile_rows *r, ptrdiff_t j, sum_lines *l,
                            any_lines *any) {
    any->rows = r;
    any->column = j;
    any->width = m->columns - j;
    l->c = any->buffer;
    l->c_stride = LANES;
    if (!m->accumulate) return;
    for (ptrdiff_t n = 0; n < r->count; n++)
        store(any->buffer + n * LANES, load_part(r->row[n] + j, any->width));
    any->from = any->buffer;
    any->from_stride = LANES;
}
static void end_lines(any_lines *any) {
    if (!any->rows) return;
    for (ptrdiff_t n = 0; n < any->rows->count; n++)
        store_part(any->rows->row[n] + any->column, load(any->buffer + n * LANES), any->width);
    any->rows = NULL;
}

/* The n-th tile's sums are those of C's tile at (i, j). */
INLINE void begin_lines(const digit_product *m, pending_sums *pending, int n, const tile_rows *r,
                        ptrdiff_t i, ptrdiff_t j, const int simple) {
    sum_lines *l = &pending->lines[n];
    l->sums = (const char *)(*pending->last_sums)[n];
    l->count = minimum(m->lines, m->row_count - i);
    l->row_scale = m->a_scales + copy_for(m, j) * m->scales_next + i;
    l->column_scale = load(m->b.scales + j);
    l->c = simple ? m->c.data + (m->c_first + i) * m->c.stride + j : r->row[0] + j;
    l->c_stride = simple ? m->c.stride : r->stride;
    if (simple) {
        l->start = load(start_of(m, j));
        return;
    }
    any_lines *any = &pending->any[n];
    end_lines(any);
    any->from = m->accumulate ? l->c : start_of(m, j);
    any->from_stride = m->accumulate ? l->c_stride : 0;
    if (!r->stride || m->columns - j < LANES) begin_in_buffer(m, r, j, l, any);
}

INLINE void swap_sums(pending_sums *pending) {
    digit_sums *sums = pending->sums;
    pending->sums = pending->last_sums;
    pending->last_sums = sums;
}

/* One tile of rows times all columns. */
INLINE void multiply_one_row(const digit_product *m, ptrdiff_t i, const char *a, digit_tiles p,
                             const tile_rows *r, pending_sums *pending, const int simple) {
    const int in_pairs = p.blocks.count >= LONG && !m->a_next;
    for (ptrdiff_t j = 0, two; j < m->columns; j += (1 + two) * LANES) {
        two = in_pairs && m->columns - j > LANES;
        p.a = a + copy_for(m, j) * m->a_next;
        p.b = m->b.digits + j / LANES * digit_column(p.blocks);
        if (two) run_two_columns(&p, pending, simple);
        else if (j / LANES % 2) run_odd_column(&p, pending, simple);
        else run_even_column(&p, pending, simple);
        swap_sums(pending);
        begin_lines(m, pending, 0, r, i, j, simple);
        if (two) begin_lines(m, pending, 1, r, i, j + LANES, simple);
    }
}

/* Two tiles of rows times one of columns. */
INLINE void multiply_two_rows(const digit_product *m, ptrdiff_t i, const char *a, digit_tiles p,
                              const tile_rows *r, pending_sums *pending, const int simple) {
    for (ptrdiff_t j = 0; j < m->columns; j += LANES) {
        p.a = a + copy_for(m, j) * m->a_next;
        p.b = m->b.digits + j / LANES * digit_column(p.blocks);
        run_two_rows(&p, pending, simple);
        swap_sums(pending);
        begin_lines(m, pending, 0, &r[0], i, j, simple);
        begin_lines(m, pending, 1, &r[1], i + m->lines, j, simple);
    }
}

INLINE void multiply_all_tiles(const digit_product *m, any_lines *any) {
    enum { SHORT = 2 /* in blocks of the depth */ };
    _Alignas(64) digit_sums sums[2];
    const digit_tiles p = {.blocks = digit_blocks_of(m->depth)};
    const ptrdiff_t turns = 2 * p.blocks.count;
    const int simple = !any;
    pending_sums pending = {.sums = &sums[0],
                            .last_sums = &sums[p.blocks.count <= SHORT],
                            .any = any,
                            .at_once = (m->lines + turns - 1) / turns};
    tile_rows r[2][2]; /* those at work, and those before, whose last sums are pending */
    const char *a = m->a;
    for (ptrdiff_t i = 0, n = 0, two; i < m->row_count; i += (1 + two) * m->lines, n = 1 - n) {
        two = m->row_count - i > m->lines;
        for (int k = 0; !simple && k <= two; k++) r[n][k] = rows_of_tile(m, i + k * m->lines);
        if (two) multiply_two_rows(m, i, a, p, r[n], &pending, simple);
        else multiply_one_row(m, i, a, p, r[n], &pending, simple);
        a += (1 + two) * digit_row(p.blocks);
    }
    for (int n = 0; n < 2; n++) {
        scale_lines(&pending.lines[n], TILE_LINES, simple ? NULL : &any[n]);
        if (!simple) end_lines(&any[n]);
    }
}

/* A simple product's C is whole tiles, at one stride, and is not added to: as in the forward pass. */
NOINLINE void multiply_simple(const digit_product *m) { multiply_all_tiles(m, NULL); }
NOINLINE void multiply_any(const digit_product *m) {
    any_lines any[2];
    any[0].rows = any[1].rows = NULL;
    multiply_all_tiles(m, any);
}

static void multiply_on_tiles(const digit_product *m) {
    if (m->columns % LANES == 0 && m->c.inner == PTRDIFF_MAX && !m->accumulate) multiply_simple(m);
    else multiply_any(m);
}

/* Before multiplications by tiles of so many lines; TILE_RELEASE after them. */
static void take_digit_tiles(ptrdiff_t lines, ptrdiff_t depth) {
    const uint8_t bytes = (uint8_t)digit_blocks_of(depth).depth;
    tile_shapes shapes;
    for (int i = 0; i < TILES; i++) {
        shapes.lines[i] = (uint8_t)lines;
        shapes.bytes[i] = LINE_BYTES;
    }
    shapes.bytes[6] = bytes;
    shapes.lines[7] = bytes / NUMBERS_IN_A_LANE;
    TILE_CONFIGURE(&shapes);
}

#endif

#endif
