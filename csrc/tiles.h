/* Matrix tiles: eight registers of 16 lines of 16 pairs of bfloat16 numbers, or of sums in float32 (Intel AMX). */
#ifndef FASTGRU_TILES_H
#define FASTGRU_TILES_H

#include "product.h"

/* Tests emulate tiles where no CPU has them, and then meet them in products of every size. The condition stands there in
 * any case, so that nothing in it is unused. */
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
    TILE_DEPTH = 32,                         /* numbers in a line */
    TILE_SIZE = TILE_LINES * TILE_DEPTH / 2, /* in reals */
};

#ifdef FASTGRU_EMULATE_TILES /* to the last bit */
static _Thread_local REAL tiles[8][TILE_SIZE];
static _Thread_local uint8_t lines_of_tile[8];

static void load_tile(int to, const REAL *from, ptrdiff_t stride) {
    for (int i = 0; i < lines_of_tile[to]; i++)
        store(tiles[to] + i * LANES, load(from + i * stride));
}
static void store_tile(int from, REAL *to, ptrdiff_t stride) {
    for (int i = 0; i < lines_of_tile[from]; i++)
        store(to + i * stride, load(tiles[from] + i * LANES));
}
static void multiply_tiles(int to, int left, int right) {
    for (int i = 0; i < lines_of_tile[to]; i++) {
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
#define TILE_LOAD load_tile
#define TILE_STORE store_tile
#define TILE_MULTIPLY multiply_tiles
#define TILE_CONFIGURE(lines) memcpy(lines_of_tile, lines, sizeof lines_of_tile)
#define TILE_RELEASE() ((void)0)

#elif defined(HAS_TILES)
#define TILE_LOAD(to, from, stride) _tile_loadd(to, from, (stride) * (ptrdiff_t)sizeof(REAL))
#define TILE_STORE(from, to, stride) _tile_stored(from, to, (stride) * (ptrdiff_t)sizeof(REAL))
#define TILE_MULTIPLY _tile_dpbf16ps
#define TILE_CONFIGURE configure_tiles
#define TILE_RELEASE()                                                                             \
    _tile_release() /* in their first state they cost a switch of threads nothing */

INLINE void configure_tiles(const uint8_t *lines) {
    struct {
        uint8_t palette, start_line, reserved[14];
        uint16_t bytes_in_line[16];
        uint8_t lines[16];
    } shapes = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        shapes.bytes_in_line[i] = LANES * sizeof(REAL);
        shapes.lines[i] = lines[i];
    }
    _tile_loadconfig(&shapes);
}
#endif

#endif
