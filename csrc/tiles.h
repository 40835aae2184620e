/* Matrix tiles: eight registers of up to 16 lines of 64 bytes (Intel AMX), integers whose products are summed in int32. */
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
#elif defined(__AMX_INT8__)
#define HAS_TILES
#define USE_TILES(if_large) (if_large)
#else
#define USE_TILES(if_large) (0 && (if_large))
#endif

enum {
    TILES = 8,
    TILE_LINES = 16,
    LINE_BYTES = 64,
};

/* Lines, and bytes in a line, of each tile. */
typedef struct {
    uint8_t lines[TILES], bytes[TILES];
} tile_shapes;

#ifdef FASTGRU_EMULATE_TILES /* to the last bit */
static _Thread_local struct {
    tile_shapes shapes;
    _Alignas(64) char bytes[TILES][TILE_LINES][LINE_BYTES];
} tiles;

static void load_tile(int to, const void *from, ptrdiff_t stride) {
    for (int i = 0; i < tiles.shapes.lines[to]; i++)
        memcpy(tiles.bytes[to][i], (const char *)from + i * stride, tiles.shapes.bytes[to]);
}
static void store_tile(int from, void *to, ptrdiff_t stride) {
    for (int i = 0; i < tiles.shapes.lines[from]; i++)
        memcpy((char *)to + i * stride, tiles.bytes[from][i], tiles.shapes.bytes[from]);
}
static void clear_tile(int to) { memset(tiles.bytes[to], 0, sizeof tiles.bytes[to]); }
/* Sanitizers would make tests of it take minutes, and it touches nothing but the tiles. */
__attribute__((no_sanitize("address", "undefined", "thread"))) static void
multiply_bytes(int to, int left, int right) {
    for (int i = 0; i < tiles.shapes.lines[to]; i++) {
        int32_t *sums = (int32_t *)tiles.bytes[to][i];
        const signed char *a = (signed char *)tiles.bytes[left][i];
        for (int k = 0; k < tiles.shapes.bytes[left]; k++) {
            const signed char *b = (signed char *)tiles.bytes[right][k / 4] + k % 4;
            for (int j = 0; j < LANES; j++) sums[j] += a[k] * b[4 * j];
        }
    }
}
#define TILE_LOAD load_tile
#define TILE_CLEAR clear_tile
#define TILE_STORE store_tile
#define TILE_MULTIPLY multiply_bytes
#define TILE_CONFIGURE(to) (tiles.shapes = *(to))
#define TILE_RELEASE() ((void)0)

#elif defined(HAS_TILES)
#define TILE_LOAD _tile_loadd
#define TILE_CLEAR _tile_zero
#define TILE_STORE _tile_stored
#define TILE_MULTIPLY _tile_dpbssd
#define TILE_CONFIGURE configure_tiles
#define TILE_RELEASE()                                                                             \
    _tile_release() /* in their first state they cost a switch of threads nothing */

INLINE void configure_tiles(const tile_shapes *to) {
    struct {
        uint8_t palette, start_line, reserved[14];
        uint16_t bytes[16];
        uint8_t lines[16];
    } shapes = {.palette = 1};
    for (int i = 0; i < TILES; i++) {
        shapes.bytes[i] = to->bytes[i];
        shapes.lines[i] = to->lines[i];
    }
    __asm__ volatile("" : : "r"(&shapes) : "memory"); /* GCC 12 takes it to be read in part */
    _tile_loadconfig(&shapes);
}
#else
#define TILE_RELEASE() ((void)0)
#endif

#ifdef HAS_TILES
/* Between products: tiles that multiply nothing for 300 cycles fall asleep, and take 1000 to 3000 to wake up. The tiles
 * are those of any product; the sum of no use. */
#define KEEP_AWAKE() TILE_MULTIPLY(0, 6, 7)
#else
#define KEEP_AWAKE() ((void)0)
#endif

#endif
