/* Matrix products on one micro-kernel: all but long ones of float32 where there are matrix tiles (digit_product.h).
 *
 * A tile of C (a few rows, one panel wide) stays in registers while the kernel walks along the depth: for each k
 * it loads one line of a packed panel of B and multiplies it by one element of each row of A. Each element of C is
 * one chain of fused multiply-adds in the order of k, however the work is blocked; so a row's result has the same
 * bits in any batch.
 *
 * A packed panel is `vectors` vectors wide: [depth][vectors][LANES], zero where the matrix ends. */
#ifndef FASTGRU_PRODUCT_H
#define FASTGRU_PRODUCT_H

#include "vectors.h"

/* Rows in a tile: as many accumulators as the registers hold beside a line of the panel and one element. */
#if FASTGRU_REGISTERS >= 32
#define MOST_ROWS 12
#define PLAIN_ROWS 12
#define GATE_ROWS 8
#define WIDE_ROWS 6
#define WIDE 4 /* vectors in a panel of four gates of the same units, or of consecutive units */
#else
#define MOST_ROWS 6
#define PLAIN_ROWS 6
#define GATE_ROWS 4
#define WIDE_ROWS 0
#define WIDE 2 /* two of the four: tiles four vectors wide would be three rows high */
#endif
#define PLAIN 2        /* vectors in a panel of consecutive columns */
#define GATES 3        /* vectors in a panel that holds z, r and n of the same units */
#define MOST_VECTORS 4 /* vectors in any panel */
#define MOST_PANELS 4  /* panels that one row goes through at once, to keep the multipliers busy */

/* Blocks: 24 KB of a panel, 32 of the widest, stay in L1 while ROW_BLOCK rows of A, in L2, pass by. */
#define L1_BLOCK(vectors) (((vectors) > GATES ? 32 : 24) * 1024)
#define DEPTH_BLOCK(vectors) (L1_BLOCK(vectors) / ((vectors) * FASTGRU_VECTOR_BYTES))
#define ROW_BLOCK 64
#define LINE_BLOCK                                                                                 \
    (60 / MOST_ROWS * MOST_ROWS) /* the same for A's transpose, in whole panels of lines */

/* A stride for rows of n elements: rows that follow each other at a multiple of a large power of two
 * would fall into the same few sets of the cache, and push each other out. */
INLINE ptrdiff_t row_stride(ptrdiff_t n) {
    const ptrdiff_t line = 64 / (ptrdiff_t)sizeof(REAL);
    return n % (8 * line) == 0 ? n + line : n;
}

/* A buffer that is handed out piece by piece, each at the start of a cache line if the buffer is. */
INLINE ptrdiff_t piece(ptrdiff_t count) { return padded(count, 64 / (ptrdiff_t)sizeof(REAL)); }
INLINE REAL *take(REAL **buffer, ptrdiff_t count) {
    REAL *start = *buffer;
    *buffer += piece(count);
    return start;
}

/* A matrix of contiguous rows at two strides: row i is at data + (i / inner) * outer + (i % inner) * stride. Some products
 * take rows anywhere, too: then row i is at pointers[i] + column. */
typedef struct {
    REAL *data;
    ptrdiff_t inner, stride, outer;
    REAL *const *pointers;
    ptrdiff_t column;
} rows;

INLINE rows rows_at(const REAL *data, ptrdiff_t stride) {
    return (rows){(REAL *)data, PTRDIFF_MAX, stride, 0, NULL, 0};
}
INLINE rows rows_through(REAL *const *pointers) { return (rows){.pointers = pointers}; }

/* The same rows from column j on. */
INLINE rows from_column(rows m, ptrdiff_t j) {
    if (m.pointers) m.column += j;
    else m.data += j;
    return m;
}

/* (T, B) rows in time-major order, out of an array with these strides. */
INLINE rows rows_of_steps(const REAL *data, ptrdiff_t batch, ptrdiff_t batch_stride,
                          ptrdiff_t step_stride) {
    if (batch == 1) return rows_at(data, step_stride);
    if (step_stride == batch * batch_stride) return rows_at(data, batch_stride);
    return (rows){(REAL *)data, batch, batch_stride, step_stride, NULL, 0};
}

INLINE REAL *row(const rows *m, ptrdiff_t i) {
    if (i < m->inner) return m->data + i * m->stride;
    return m->data + i / m->inner * m->outer + i % m->inner * m->stride;
}

/* Pointers to rows that follow each other: a division for each would show. */
INLINE void point_to_rows(const rows *m, ptrdiff_t first, ptrdiff_t count, REAL **to) {
    if (m->pointers) {
        for (ptrdiff_t n = 0; n < count; n++) to[n] = m->pointers[first + n] + m->column;
        return;
    }
    REAL *at = row(m, first);
    for (ptrdiff_t n = 0, i = first < m->inner ? first : first % m->inner; n < count; n++) {
        to[n] = at;
        at += ++i == m->inner ? m->outer - (m->inner - 1) * m->stride : m->stride;
        if (i == m->inner) i = 0;
    }
}

/* The same for rows at one stride. */
INLINE void point_at(const REAL *data, ptrdiff_t stride, ptrdiff_t count, REAL **to) {
    for (ptrdiff_t n = 0; n < count; n++) to[n] = (REAL *)data + n * stride;
}

/* Where a tile finds A: rows anywhere, rows at one stride (more of them can be addressed), its transpose's lines, or rows
 * anywhere of which each vector of a panel has its own (gates that read states of their own). */
enum { ANYWHERE, STRIDED, TRANSPOSED, GATED };

/* What one call of the micro-kernel reads and writes. Row i of A is at left[i] + left_at, or, where `where` is one of the
 * others, at left[0] + left_at and left_step apart; row i of C at out[i] + column. */
typedef struct {
    const REAL *const *left;
    ptrdiff_t left_at;
    ptrdiff_t left_step; /* from one row, or line of the transpose, or gate's row, to the next */
    const REAL *panel;
    ptrdiff_t panel_stride; /* from one panel to the next */
    ptrdiff_t depth;
    const REAL *ahead; /* prefetched, a vector for each k */
    int continued;     /* C is added to; otherwise each of its rows begins with `start`, or zero */
    const REAL *start;
    REAL *const *out;
    ptrdiff_t column;
} tile;

INLINE void run_tile(const tile *t, const int row_count, const int panels, const int vectors,
                     const int where) {
    vec sum[MOST_ROWS][MOST_PANELS * MOST_VECTORS];
    const int width = panels * vectors;
    UNROLL for (int i = 0; i < row_count; i++) {
        const REAL *begin = t->continued ? t->out[i] + t->column : t->start;
        UNROLL for (int j = 0; j < width; j++) sum[i][j] =
            begin ? load(begin + j * LANES) : (vec){0};
    }
    const REAL *left[MOST_ROWS];
    const ptrdiff_t panel_stride = t->panel_stride, left_step = t->left_step, depth = t->depth;
    /* Strided: a pointer for every third row, from which the two others are one address away. */
    UNROLL for (int i = 0; i < row_count; i++) left[i] =
        t->left[where == ANYWHERE || where == GATED ? i : 0] + t->left_at;
    if (where == STRIDED) {
        UNROLL for (int i = 3; i < row_count; i++) left[i] = left[i - 3] + 3 * left_step;
    }
    /* Counted up to zero, the loop does without its bound: eight rows take almost all addresses there are. */
    UNROLL for (int i = 0; i < row_count; i++) left[i] += where == TRANSPOSED ? 0 : depth;
    const REAL *panel = t->panel, *ahead = t->ahead;
    UNROLL_TWICE for (ptrdiff_t k = -depth; k < 0; k++) {
        vec line[MOST_PANELS * MOST_VECTORS];
        __builtin_prefetch(ahead, 0, 2); /* into L2 */
        ahead += LANES;
        UNROLL for (int j = 0; j < width; j++) line[j] =
            load(panel + j / vectors * panel_stride + j % vectors * LANES);
        UNROLL for (int i = 0; i < row_count; i++) {
            UNROLL for (int j = 0; j < width; j++) {
                const vec a = splat(where == TRANSPOSED ? left[0][i]
                                    : where == STRIDED  ? left[i / 3 * 3][i % 3 * left_step + k]
                                    : where == GATED    ? left[i][j * left_step + k]
                                                        : left[i][k]);
                sum[i][j] = fma_(a, line[j], sum[i][j]);
            }
        }
        if (where == TRANSPOSED) left[0] += left_step;
        panel += vectors * LANES;
    }
    UNROLL for (int i = 0; i < row_count; i++) {
        REAL *out = t->out[i] + t->column;
        UNROLL for (int j = 0; j < width; j++) store(out + j * LANES, sum[i][j]);
    }
}

/* One function for each shape of a tile, never inlined: the loop keeps all registers to itself. */
typedef void tile_function(const tile *);
#define TILE(row_count, panels, vectors, where)                                                    \
    NOINLINE void tile_##row_count##_##panels##_##vectors##_##where(const tile *t) {               \
        run_tile(t, row_count, panels, vectors, where);                                            \
    }
#define ENTRY(row_count, panels, vectors, where) tile_##row_count##_##panels##_##vectors##_##where,
#define UP_TO_4(X, ...)                                                                            \
    X(1, 1, __VA_ARGS__) X(2, 1, __VA_ARGS__) X(3, 1, __VA_ARGS__) X(4, 1, __VA_ARGS__)
#define UP_TO_6(X, ...) UP_TO_4(X, __VA_ARGS__) X(5, 1, __VA_ARGS__) X(6, 1, __VA_ARGS__)
#define UP_TO_8(X, ...) UP_TO_6(X, __VA_ARGS__) X(7, 1, __VA_ARGS__) X(8, 1, __VA_ARGS__)
#define UP_TO_12(X, ...)                                                                           \
    UP_TO_8(X, __VA_ARGS__)                                                                        \
    X(9, 1, __VA_ARGS__) X(10, 1, __VA_ARGS__) X(11, 1, __VA_ARGS__) X(12, 1, __VA_ARGS__)
#if FASTGRU_REGISTERS >= 32
#define PLAIN_TILES(X, vectors, where) UP_TO_12(X, vectors, where)
#define GATE_TILES(X, vectors, where) UP_TO_8(X, vectors, where)
#define IF_WIDE(...) __VA_ARGS__
#else
#define PLAIN_TILES(X, vectors, where) UP_TO_6(X, vectors, where)
#define GATE_TILES(X, vectors, where) UP_TO_4(X, vectors, where)
#define IF_WIDE(...)
#endif
PLAIN_TILES(TILE, 1, STRIDED)
PLAIN_TILES(TILE, 2, STRIDED)
GATE_TILES(TILE, 3, ANYWHERE)
IF_WIDE(UP_TO_6(TILE, 4, ANYWHERE))
PLAIN_TILES(TILE, 1, TRANSPOSED)
PLAIN_TILES(TILE, 2, TRANSPOSED)
GATE_TILES(TILE, 2, GATED)
GATE_TILES(TILE, 3, GATED)
IF_WIDE(UP_TO_6(TILE, 4, GATED))
static tile_function *const BY_ROWS[MOST_VECTORS][MOST_ROWS] = {
    {PLAIN_TILES(ENTRY, 1, STRIDED)},
    {PLAIN_TILES(ENTRY, 2, STRIDED)},
    {GATE_TILES(ENTRY, 3, ANYWHERE)},
    IF_WIDE({UP_TO_6(ENTRY, 4, ANYWHERE)})};
static tile_function *const BY_LINES[PLAIN][MOST_ROWS] = {{PLAIN_TILES(ENTRY, 1, TRANSPOSED)},
                                                          {PLAIN_TILES(ENTRY, 2, TRANSPOSED)}};
static tile_function *const BY_GATES[][MOST_ROWS] = {{GATE_TILES(ENTRY, 2, GATED)},
                                                     {GATE_TILES(ENTRY, 3, GATED)},
                                                     IF_WIDE({UP_TO_6(ENTRY, 4, GATED)})};

/* One or two rows would leave the multipliers waiting for each other: they take several panels at once. */
#define MORE_PANELS(X, vectors, where)                                                             \
    X(1, 2, vectors, where) X(1, 3, vectors, where) X(1, 4, vectors, where)
MORE_PANELS(TILE, 2, STRIDED)
MORE_PANELS(TILE, 3, ANYWHERE)
IF_WIDE(MORE_PANELS(TILE, 4, ANYWHERE))
TILE(2, 2, 2, STRIDED)
TILE(2, 2, 3, ANYWHERE)
IF_WIDE(TILE(2, 2, 4, ANYWHERE))
static tile_function *const ONE_ROW[][MOST_PANELS] = {
    {ENTRY(1, 1, 2, STRIDED) MORE_PANELS(ENTRY, 2, STRIDED)},
    {ENTRY(1, 1, 3, ANYWHERE) MORE_PANELS(ENTRY, 3, ANYWHERE)},
    IF_WIDE({ENTRY(1, 1, 4, ANYWHERE) MORE_PANELS(ENTRY, 4, ANYWHERE)})};
static tile_function *const TWO_ROWS[][2] = {
    {ENTRY(2, 1, 2, STRIDED) ENTRY(2, 2, 2, STRIDED)},
    {ENTRY(2, 1, 3, ANYWHERE) ENTRY(2, 2, 3, ANYWHERE)},
    IF_WIDE({ENTRY(2, 1, 4, ANYWHERE) ENTRY(2, 2, 4, ANYWHERE)})};

/* ---- packing ---------------------------------------------------------------------------------------------- */

/* One vector of a panel: `columns` columns, `depth` deep, from (k, j) at from[k * row_stride + j * column_stride]
 * to to[k * to_step + j]. */
static void pack_vector(const REAL *restrict from, ptrdiff_t row_stride, ptrdiff_t column_stride,
                        ptrdiff_t depth, ptrdiff_t columns, REAL *restrict to, ptrdiff_t to_step) {
    if (columns < LANES)
        for (ptrdiff_t k = 0; k < depth; k++) store(to + k * to_step, (vec){0});
    if (column_stride == 1) {
        for (ptrdiff_t k = 0; k < depth; k++)
            store(to + k * to_step, load_part(from + k * row_stride, columns));
        return;
    }
    ptrdiff_t k = 0;
    for (; columns >= LANES && row_stride == 1 && k + LANES <= depth; k += LANES) {
        vec block[LANES];
        UNROLL for (int j = 0; j < LANES; j++) block[j] = load(from + k + j * column_stride);
        transpose(block);
        UNROLL for (int i = 0; i < LANES; i++) store(to + (k + i) * to_step, block[i]);
    }
    for (ptrdiff_t j = 0; j < minimum(columns, LANES); j++)
        for (ptrdiff_t i = k; i < depth; i++)
            to[i * to_step + j] = from[i * row_stride + j * column_stride];
}

/* Vectors in the panel of plain columns that begins at column j: the last one may be narrow. */
INLINE int plain_vectors(ptrdiff_t columns, ptrdiff_t j) {
    return columns - j <= LANES ? 1 : PLAIN;
}

/* Elements of a packed plain matrix. */
INLINE ptrdiff_t plain_size(ptrdiff_t depth, ptrdiff_t columns) {
    return depth * padded(columns, LANES);
}

/* Packs a plain matrix, element (k, j) at from[k * row_stride + j * column_stride], panel by panel. Its rows
 * may come as one part of a deeper matrix: `at` of `total` deep. */
static void pack_plain(const REAL *from, ptrdiff_t row_stride, ptrdiff_t column_stride,
                       ptrdiff_t depth, ptrdiff_t columns, REAL *to, ptrdiff_t at,
                       ptrdiff_t total) {
    for (ptrdiff_t j = 0; j < columns; j += PLAIN * LANES) {
        const int vectors = plain_vectors(columns, j);
        REAL *panel = to + j * total + at * vectors * LANES;
        for (int v = 0; v < vectors; v++)
            pack_vector(from + (j + v * LANES) * column_stride, row_stride, column_stride, depth,
                        columns - j - v * LANES, panel + v * LANES, vectors * LANES);
    }
}

/* Packs rows [first, last) of A, for products with its transpose: panels of MOST_ROWS columns, [total rows][MOST_ROWS],
 * so that a tile reads one stream. What stands past the last column is not read. */
static void pack_lines(const rows *a, ptrdiff_t first, ptrdiff_t last, ptrdiff_t columns, REAL *to,
                       ptrdiff_t total) {
    enum { AT_ONCE = 16 }; /* rows that stay in L1 */
    for (ptrdiff_t i = first; i < last; i += AT_ONCE) {
        const ptrdiff_t count = minimum(AT_ONCE, last - i);
        REAL *from[AT_ONCE];
        point_to_rows(a, i, count, from);
        for (ptrdiff_t j = 0; j < columns; j += MOST_ROWS) {
            const ptrdiff_t width = minimum(columns - j, MOST_ROWS);
            REAL *panel = to + j * total + i * MOST_ROWS;
            for (ptrdiff_t n = 0; n < count; n++) {
                if (width == MOST_ROWS)
                    memcpy(panel + n * MOST_ROWS, from[n] + j, MOST_ROWS * sizeof(REAL));
                else
                    for (ptrdiff_t k = 0; k < width; k++) panel[n * MOST_ROWS + k] = from[n][j + k];
            }
        }
    }
}

/* Packs rows [first, last) of a plain matrix of so many rows in all. */
static void pack_rows(const rows *a, ptrdiff_t first, ptrdiff_t last, ptrdiff_t columns, REAL *to,
                      ptrdiff_t total) {
    for (ptrdiff_t i = first, end; i < last; i = end) {
        end = a->inner > last ? last : minimum(last, (i / a->inner + 1) * a->inner);
        pack_plain(row(a, i), a->stride, 1, end - i, columns, to, i, total);
    }
}

/* Elements of a matrix whose lines are packed. */
INLINE ptrdiff_t lines_size(ptrdiff_t row_count, ptrdiff_t columns) {
    return row_count * padded(columns, MOST_ROWS);
}

/* ---- products with a packed matrix ------------------------------------------------------------------------ */

/* C = start + A B, or C += A B, for rows [first, last) of A and C. */
typedef struct {
    rows a, c;      /* A at one stride, unless B's panels are more than PLAIN wide or A gated */
    int transposed; /* A is: a.data has its lines in panels (pack_lines) */
    /* Gated, if above 0: a row of A is a row for each gate, so far apart, and B's columns are vectors of so many gates in
     * turn. Its panels are never one vector wide. */
    ptrdiff_t gate_step;
    int gates;
    ptrdiff_t first, last;
    const REAL *b; /* packed, panels of `vectors` vectors */
    ptrdiff_t depth, columns;
    int vectors;
    const REAL *start; /* the row that each row of C begins with, or NULL for zeros */
    int accumulate;
    const REAL
        *next; /* the panels that will be wanted after these, if they don't follow them in memory */
} packed_product;

/* Panels that go through the kernel together. */
typedef struct {
    ptrdiff_t column; /* where they begin */
    int count, vectors;
    ptrdiff_t columns; /* fewer than they are wide where C ends inside */
} panels;

INLINE tile_function *tile_for(const packed_product *m, ptrdiff_t row_count, const panels *p) {
    if (m->transposed) return BY_LINES[p->vectors - 1][row_count - 1];
    if (m->gate_step) return BY_GATES[p->vectors - PLAIN][row_count - 1];
    if (p->count == 1) return BY_ROWS[p->vectors - 1][row_count - 1];
    return row_count == 1 ? ONE_ROW[p->vectors - PLAIN][p->count - 1]
                          : TWO_ROWS[p->vectors - PLAIN][p->count - 1];
}

/* Rows in a tile whose panels have so many vectors. */
INLINE int most_rows(const packed_product *m, int vectors) {
    return vectors > GATES ? WIDE_ROWS : vectors == GATES || m->gate_step ? GATE_ROWS : PLAIN_ROWS;
}

/* A tile that reaches past the end of C's rows goes through a buffer. Only panels of PLAIN or fewer vectors do. */
static void run_at_the_edge(const tile *t, tile_function *run, int row_count, ptrdiff_t columns) {
    REAL buffer[MOST_ROWS][PLAIN * LANES], first[PLAIN * LANES] = {0};
    REAL *rows_of_buffer[MOST_ROWS];
    const size_t bytes = (size_t)columns * sizeof(REAL);
    tile inside = *t;
    if (t->start) memcpy(first, t->start, bytes);
    for (int i = 0; i < row_count; i++) {
        rows_of_buffer[i] = buffer[i];
        memset(buffer[i], 0, sizeof buffer[i]);
        if (t->continued) memcpy(buffer[i], t->out[i] + t->column, bytes);
    }
    inside.out = rows_of_buffer;
    inside.column = 0;
    if (t->start) inside.start = first;
    run(&inside);
    for (int i = 0; i < row_count; i++) memcpy(t->out[i] + t->column, buffer[i], bytes);
}

/* Rows of A and C that go through a block of panels together. */
typedef struct {
    ptrdiff_t first;
    int count;
    const REAL *a[ROW_BLOCK]; /* only the first of a transpose */
    REAL *c[ROW_BLOCK];
} block_of_rows;

static void take_rows(const packed_product *m, ptrdiff_t first, ptrdiff_t last, block_of_rows *b) {
    b->first = first;
    b->count = (int)(last - first);
    b->a[0] = m->a.data + (m->transposed ? first * m->depth : 0);
    for (int i = 0; i < b->count; i++) {
        if (!m->transposed) b->a[i] = row(&m->a, first + i);
        b->c[i] = row(&m->c, first + i);
    }
}

/* Some panels of one block of the depth, in tiles of about equal height. Inlined: in the smallest layers a call shows. */
INLINE void multiply_block(const packed_product *m, const block_of_rows *b, panels p, ptrdiff_t k0,
                           ptrdiff_t k1) {
    const ptrdiff_t width = (ptrdiff_t)p.vectors * LANES;
    const int most = most_rows(m, p.vectors), tiles = (b->count + most - 1) / most;
    /* Where in a row of A the first of these panels' gates finds its own, and the others from there on. */
    const ptrdiff_t gate_at = m->gate_step ? p.column / LANES % m->gates * m->gate_step : 0;
    tile t = {
        .left_step = m->transposed  ? MOST_ROWS
                     : m->gate_step ? m->gate_step
                                    : m->a.stride,
        .panel = m->b + p.column * m->depth + k0 * width,
        .panel_stride = m->depth * width,
        .depth = k1 - k0,
        .continued = k0 > 0 || m->accumulate,
        .start = m->start ? m->start + p.column : NULL,
        .column = p.column,
    };
    const REAL *ahead = m->next && k1 == m->depth ? m->next : t.panel + t.depth * width;
    for (int n = 0, i = 0, count; n < tiles; n++, i += count) {
        count = m->transposed ? (int)minimum(most, b->count - i)
                              : (b->count - i + tiles - n - 1) / (tiles - n);
        t.left = b->a + (m->transposed ? 0 : i);
        t.left_at = m->transposed ? i * m->depth + k0 * MOST_ROWS : gate_at + k0;
        t.out = b->c + i;
        t.ahead = ahead + n * t.depth * LANES;
        tile_function *run = tile_for(m, count, &p);
        if (p.columns < p.count * width) run_at_the_edge(&t, run, count, p.columns);
        else run(&t);
    }
}

/* The next panels from a column on: several at once for one or two rows, alone where they are not full. */
static panels next_panels(const packed_product *m, ptrdiff_t row_count, ptrdiff_t column) {
    const ptrdiff_t width = (ptrdiff_t)m->vectors * LANES, left = m->columns - column;
    const int alone = m->transposed || m->gate_step || row_count > 2;
    const ptrdiff_t most = alone ? 1 : row_count == 2 ? 2 : MOST_PANELS;
    const int full = (int)minimum(left / width, most);
    if (full > 0) return (panels){column, full, m->vectors, full * width};
    return (panels){column, 1, (int)minimum(m->vectors, padded(left, LANES) / LANES), left};
}

static void multiply_packed(const packed_product *m) {
    const ptrdiff_t block = m->transposed ? LINE_BLOCK : ROW_BLOCK;
    for (ptrdiff_t i = m->first; i < m->last; i += block) {
        block_of_rows rows_at_hand;
        take_rows(m, i, minimum(i + block, m->last), &rows_at_hand);
        for (ptrdiff_t column = 0; column < m->columns;) {
            const panels p = next_panels(m, rows_at_hand.count, column);
            const ptrdiff_t most = DEPTH_BLOCK(p.vectors);
            ptrdiff_t left = maximum(1, (m->depth + most - 1) / most), k = 0;
            for (; left > 0; left--) { /* blocks of about equal depth */
                const ptrdiff_t k1 = k + (m->depth - k + left - 1) / left;
                multiply_block(m, &rows_at_hand, p, k, k1);
                k = k1;
            }
            column += p.columns;
        }
    }
}

/* to[j] += the sum over some rows of column first + j: a bias' gradient. */
static void add_rows(const rows *from, ptrdiff_t first, ptrdiff_t row_count, ptrdiff_t columns,
                     REAL *to) {
    enum { AT_ONCE = 16 };
    for (ptrdiff_t i = 0; i < row_count; i += AT_ONCE) {
        REAL *line[AT_ONCE];
        const ptrdiff_t count = minimum(AT_ONCE, row_count - i);
        point_to_rows(from, i, count, line);
        for (ptrdiff_t n = 0; n < count; n++)
            for (ptrdiff_t j = 0; j < columns; j++) to[j] += line[n][first + j];
    }
}

#endif
