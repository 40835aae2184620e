/* Numbers in fixed point: operands of products through integers (digit_sums.h).
 *
 * The numbers of a row of A, or of a column of B, share a scale, a 127th of the largest of them. Each is a multiple of
 * scale / 2^16, three digits of one signed byte: scale * (d0 + d1 / 2^8 + d2 / 2^16). That is 24 bits, as float32 has, for
 * the largest, and as many behind the point for all others. An infinity counts as the largest float32 number; a NaN
 * makes the scale NaN.
 *
 * Where the numbers along the depth may be of any kind, as features are, they are balanced: each is multiplied by the power
 * of two just below the largest of the weights that it meets, and these are divided by it. So the scale of a row is
 * that of its largest contribution, and numbers of another size do not push each other's digits out.
 *
 * A's digits are tiles: for up to 16 rows each [blocks of the depth][3][16][64]. B's, for 16 columns each, are [depth / 4][3][16][4]:
 * a line of a tile, or a vector, has four numbers along the depth for each of 16 columns. After the digits of all columns come
 * their scales, what A's digits, with 128 added, add too much to each place's sums, and the powers of two. */
#ifndef FASTGRU_DIGITS_H
#define FASTGRU_DIGITS_H

#include "tiles.h"

enum {
    DIGITS = 3,
    LARGEST_DIGIT = 127,
    NUMBERS_IN_A_LANE = 4,
    VECTORS_IN_A_LINE = LINE_BYTES / LANES
};

/* The depth, cut into equal blocks of at most a line; one of zeros where there is none. */
typedef struct {
    ptrdiff_t count, depth;
} digit_blocks;

INLINE digit_blocks digit_blocks_of(ptrdiff_t depth) {
    if (depth == 0) return (digit_blocks){1, LANES};
    const ptrdiff_t count = (padded(depth, LANES) + LINE_BYTES - 1) / LINE_BYTES;
    return (digit_blocks){count, padded((depth + count - 1) / count, LANES)};
}

/* Bytes of so many numbers along the depth of 16 columns, and of all of them. */
INLINE ptrdiff_t digits_along(ptrdiff_t depth) {
    return depth / NUMBERS_IN_A_LANE * DIGITS * LINE_BYTES;
}
INLINE ptrdiff_t digit_column(digit_blocks b) { return b.count * digits_along(b.depth); }

/* Bytes of a digit of 16 rows of a block, of all digits of a block, and of all blocks. */
enum { DIGIT_TILE = TILE_LINES * LINE_BYTES, DIGIT_BLOCK = DIGITS * DIGIT_TILE };
INLINE ptrdiff_t digit_row(digit_blocks b) { return b.count * DIGIT_BLOCK; }

/* Lines of each tile of so many rows, which share them evenly: the fewer lines, down to eight, the faster a tile multiplies. */
INLINE ptrdiff_t tile_lines(ptrdiff_t row_count) {
    const ptrdiff_t tiles = maximum(padded(row_count, TILE_LINES) / TILE_LINES, 1);
    return maximum((row_count + tiles - 1) / tiles, 1);
}

/* Columns whose digits stay in L2, one for each of so many gates at least. */
INLINE ptrdiff_t columns_at_once(ptrdiff_t depth, int gates) {
    const ptrdiff_t bytes = gates * digit_column(digit_blocks_of(depth));
    return maximum((1 << 18) / bytes, 1) * gates * LANES;
}

/* Reals that hold A's digits, and B's. */
INLINE ptrdiff_t left_digits_size(ptrdiff_t row_count, ptrdiff_t depth) {
    return padded(row_count, TILE_LINES) / TILE_LINES * digit_row(digit_blocks_of(depth)) /
           (ptrdiff_t)sizeof(REAL);
}
INLINE ptrdiff_t right_digits_size(ptrdiff_t depth, ptrdiff_t columns) {
    return columns / LANES * digit_column(digit_blocks_of(depth)) / (ptrdiff_t)sizeof(REAL);
}

/* All of B, and where its parts are. */
INLINE ptrdiff_t digit_matrix_size(ptrdiff_t depth, ptrdiff_t columns) {
    return right_digits_size(depth, columns) + (1 + DIGITS) * columns + padded(depth, LANES);
}
typedef struct {
    char *digits;
    REAL *scales;
    int32_t *excess;
    REAL *balance;
} digit_matrix;

INLINE digit_matrix digit_matrix_at(const REAL *b, ptrdiff_t depth, ptrdiff_t columns) {
    REAL *scales = (REAL *)b + right_digits_size(depth, columns);
    REAL *excess = scales + columns;
    return (digit_matrix){(char *)b, scales, (int32_t *)excess, excess + DIGITS * columns};
}

/* The columns from j on. */
INLINE digit_matrix columns_of_digits(const digit_matrix *b, ptrdiff_t depth, ptrdiff_t j) {
    digit_matrix from = *b;
    from.digits += j / LANES * digit_column(digit_blocks_of(depth));
    from.scales += j;
    from.excess += j * DIGITS;
    return from;
}

/* Where rows of A become digits: so many of each tile's lines are rows. */
typedef struct {
    char *digits;
    REAL *scales;
    ptrdiff_t depth, lines;
    const REAL *balance; /* or NULL */
} left_digits;

#ifdef HAS_TILES

/* Magnitudes as integers are in the same order, and NaN is the largest. */
INLINE ivec magnitude(vec x) { return (ivec)x & ~sign_mask(); }

/* The same, but zero for an infinity or a NaN. */
INLINE ivec finite_magnitude(vec x) {
    const ivec m = magnitude(x), infinity = (ivec){0} + 0x7f800000;
    return m & (m < infinity);
}

#ifdef __AVX512F__

INLINE ivec larger(ivec a, ivec b) { return (ivec)_mm512_max_epi32((__m512i)a, (__m512i)b); }
INLINE INTEGER largest_lane(ivec v) { return _mm512_reduce_max_epi32((__m512i)v); }
INLINE ivec nearest_integer(vec x) { return (ivec)_mm512_cvtps_epi32((__m512)x); }

/* x, but no larger than the limit; of a NaN the limit. */
INLINE vec limited(vec x, vec limit) {
    enum { SMALLER_MAGNITUDE_SIGN_OF_FIRST = 2 };
    return (vec)_mm512_range_ps((__m512)x, (__m512)limit, SMALLER_MAGNITUDE_SIGN_OF_FIRST);
}

/* Of each lane the third byte, the second, and the first, each to a line of its own. */
INLINE void store_digits(char *to, const bitvec digits[VECTORS_IN_A_LINE]) {
#define LINE(n) n, n + 4, n + 8, n + 12
#define LINES(n) LINE(n), LINE(n + 16), LINE(n + 32), LINE(n + 48)
    static const _Alignas(64) char BYTES[64] = {LINES(2), LINES(1), LINES(0), LINES(3)};
#undef LINE
#undef LINES
    const __m512i bytes = _mm512_load_si512(BYTES);
    __m512i quarter[VECTORS_IN_A_LINE], half[DIGITS + 1];
    UNROLL for (int n = 0; n < VECTORS_IN_A_LINE; n++) quarter[n] =
        _mm512_permutexvar_epi8(bytes, (__m512i)digits[n]);
    /* Lanes 0 and 1, then 2 and 3, of two vectors each; and of these the even lanes, or the odd ones. */
    half[0] = _mm512_shuffle_i32x4(quarter[0], quarter[1], 0x44);
    half[1] = _mm512_shuffle_i32x4(quarter[2], quarter[3], 0x44);
    half[2] = _mm512_shuffle_i32x4(quarter[0], quarter[1], 0xee);
    half[3] = _mm512_shuffle_i32x4(quarter[2], quarter[3], 0xee);
    _mm512_storeu_si512(to, _mm512_shuffle_i32x4(half[0], half[1], 0x88));
    _mm512_storeu_si512(to + DIGIT_TILE, _mm512_shuffle_i32x4(half[0], half[1], 0xdd));
    _mm512_storeu_si512(to + 2 * DIGIT_TILE, _mm512_shuffle_i32x4(half[2], half[3], 0x88));
}

#else

INLINE ivec larger(ivec a, ivec b) { return (a & (a > b)) | (b & (a <= b)); }
INLINE INTEGER largest_lane(ivec v) {
    INTEGER most = v[0];
    for (int i = 1; i < LANES; i++) most = v[i] > most ? v[i] : most;
    return most;
}
INLINE ivec nearest_integer(vec x) {
    ivec n = {0};
    for (int i = 0; i < LANES; i++) n[i] = (INTEGER)__builtin_rintf(x[i]);
    return n;
}
INLINE vec limited(vec x, vec limit) { return max_(min_(x, limit), -limit); }
INLINE void store_digits(char *to, const bitvec digits[VECTORS_IN_A_LINE]) {
    for (int d = 0; d < DIGITS; d++)
        for (int i = 0; i < LINE_BYTES; i++)
            to[d * DIGIT_TILE + i] = (char)(digits[i / LANES][i % LANES] >> 8 * (DIGITS - 1 - d));
}

#endif

/* The largest magnitudes, within what a scale can be made of. Where they are tiny digits are few. */
INLINE vec scalable(ivec largest) {
    return max_(min_((vec)largest, splat(0x1.fffffep127f)), splat(0x1p-100f));
}

/* The scale of numbers whose largest magnitude this is. */
INLINE vec scale_of(ivec largest) { return scalable(largest) / splat(LARGEST_DIGIT); }

/* Three digits, the first one highest, of numbers times 2^16 / scale; each has 128 added, or, flipped, not. */
enum { FLIP = 0x808080 };
INLINE bitvec digits_of(vec x) {
    const vec limit = splat(LARGEST_DIGIT << 16);
    return (bitvec)nearest_integer(limited(x, limit)) + FLIP;
}

INLINE ivec load_integers(const void *p) { return (ivec)load(p); }

/* sum + the products of four unsigned bytes, the same for all lanes, and a lane's four signed ones. */
INLINE ivec add_products(ivec sum, const char *a, ivec b) {
    int32_t four;
    memcpy(&four, a, sizeof four);
#ifdef __AVX512VNNI__
    return (ivec)_mm512_dpbusd_epi32((__m512i)sum, _mm512_set1_epi32(four), (__m512i)b);
#else
    for (int n = 0; n < NUMBERS_IN_A_LANE; n++)
        sum += ((ivec)((bitvec)b << 8 * (3 - n)) >> 24) * (four >> 8 * n & 0xff);
    return sum;
#endif
}

/* A row of A, times its dropout and a balance, where there are. Returns its scale. */
INLINE REAL split_row(const REAL *x, ptrdiff_t depth, const REAL *dropout, const int dropped,
                      const REAL *balance, const int balanced, unsigned flip, char *to) {
    const digit_blocks blocks = digit_blocks_of(depth);
    ivec largest = {0};
#define PART(p, k) load_part((p) + (k), depth - (k))
#define DROPPED(k) (dropped ? PART(x, k) * PART(dropout, k) : PART(x, k))
#define NUMBERS(k) (balanced ? DROPPED(k) * PART(balance, k) : DROPPED(k))
    for (ptrdiff_t k = 0; k < depth; k += LANES) largest = larger(largest, magnitude(NUMBERS(k)));
    const REAL scale = scale_of((ivec){0} + largest_lane(largest))[0];
    const REAL factor = 0x1p16f / scale;
    for (ptrdiff_t k0 = 0; k0 < depth; k0 += blocks.depth, to += DIGIT_BLOCK) {
        const ptrdiff_t end = minimum(depth, k0 + blocks.depth);
        bitvec digits[VECTORS_IN_A_LINE];
        UNROLL for (int n = 0; n < VECTORS_IN_A_LINE; n++) {
            const ptrdiff_t k = k0 + n * LANES;
            digits[n] = k < end ? digits_of(NUMBERS(k) * factor) ^ flip : (bitvec){0};
        }
        store_digits(to, digits);
    }
#undef NUMBERS
#undef DROPPED
#undef PART
    return scale;
}

/* Some rows of A from row `first` on, times their dropout if it is not NULL and there is a balance too; flipped, for tiles that
 * are ready. */
static void split_left(const left_digits *to, REAL *const *x, REAL *const *dropout, ptrdiff_t first,
                       ptrdiff_t count, unsigned flip) {
    const ptrdiff_t depth = to->depth, lines = to->lines, next = digit_row(digit_blocks_of(depth));
    char *tile = to->digits + first / lines * next;
    for (ptrdiff_t n = 0, line = first % lines; n < count; n++, line++) {
        if (line == lines) line = 0, tile += next;
        char *at = tile + line * LINE_BYTES;
        to->scales[first + n] =
            !to->balance ? split_row(x[n], depth, NULL, 0, NULL, 0, flip, at)
            : dropout    ? split_row(x[n], depth, dropout[n], 1, to->balance, 1, flip, at)
                         : split_row(x[n], depth, NULL, 0, to->balance, 1, flip, at);
        if (flip) KEEP_AWAKE();
    }
}

/* The largest magnitudes become those of lines of 16 columns too. */
INLINE void raise_largest(const REAL *lines, ptrdiff_t depth, REAL *largest) {
    ivec most = (ivec)load(largest);
    for (ptrdiff_t k = 0; k < depth; k++) most = larger(most, magnitude(load(lines + k * LANES)));
    store(largest, (vec)most);
}

/* The power of two at or below a number's magnitude: zero for zero. */
INLINE REAL power_below(INTEGER magnitude) {
    const INTEGER most = 227 << 23 /* 2^100 */, power = magnitude & 0x7f800000;
    REAL x;
    memcpy(&x, power < most ? &power : &most, sizeof x);
    return x;
}

/* Where the mask has ones a's bits, elsewhere b's. */
INLINE bitvec merged(unsigned mask, bitvec a, bitvec b) { return (a & mask) | (b & ~mask); }

/* Four numbers along the depth for each of 16 columns: of each digit four bytes a column. (Each column's bytes as a matrix,
 * transposed: first every other byte of two numbers, then every other half of these.) */
INLINE void split_four(const vec x[NUMBERS_IN_A_LANE], vec factor, bitvec digit[DIGITS]) {
    enum { EVEN_BYTES = 0x00ff00ff, LOW_HALF = 0xffff };
    bitvec n[NUMBERS_IN_A_LANE], even[2], odd[2];
    UNROLL for (int i = 0; i < NUMBERS_IN_A_LANE; i++) n[i] = digits_of(x[i] * factor) ^ FLIP;
    UNROLL for (int i = 0; i < 2; i++) {
        even[i] = merged(EVEN_BYTES, n[2 * i], n[2 * i + 1] << 8);
        odd[i] = merged(EVEN_BYTES, n[2 * i] >> 8, n[2 * i + 1]);
    }
    digit[0] = merged(LOW_HALF, even[0] >> 16, even[1]);
    digit[1] = merged(LOW_HALF, odd[0], odd[1] << 16);
    digit[2] = merged(LOW_HALF, even[0], even[1] << 16);
}

/* Lines of 16 columns of B, a block of them. */
static const char FOUR_TIMES_128[NUMBERS_IN_A_LANE] = {'\x80', '\x80', '\x80', '\x80'};
INLINE void split_right(const REAL *lines, vec scale, ptrdiff_t depth, char *to, int32_t *excess) {
    const vec factor = splat(0x1p16f) / scale;
    ivec added[DIGITS] = {load_integers(excess), load_integers(excess + LANES),
                          load_integers(excess + 2 * LANES)};
    for (ptrdiff_t k = 0; k < depth; k += NUMBERS_IN_A_LANE) {
        vec x[NUMBERS_IN_A_LANE];
        bitvec digit[DIGITS];
        UNROLL for (int n = 0; n < NUMBERS_IN_A_LANE; n++) x[n] = load(lines + (k + n) * LANES);
        split_four(x, factor, digit);
        UNROLL for (int d = 0; d < DIGITS; d++) {
            store((REAL *)(to + digits_along(k) + d * LINE_BYTES), (vec)digit[d]);
            UNROLL for (int c = d; c < DIGITS; c++) added[c] =
                add_products(added[c], FOUR_TIMES_128, (ivec)digit[d]);
        }
    }
    UNROLL for (int d = 0; d < DIGITS; d++) store((REAL *)(excess + d * LANES), (vec)added[d]);
}

#endif

#endif
