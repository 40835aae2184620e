/* Packs a recurrent layer's weights for the forward pass. */
#ifndef FASTGRU_PACKING_H
#define FASTGRU_PACKING_H

#include "recurrent_layout.h"
#include "team.h"

/* One thread's part of the packing. */
typedef struct {
    const shape *shape;
    const fastgru_weights *kernel, *recurrent;
    REAL *packed;
} packing;

/* Rows of the weights go through by some at a time: all units of a row stand in a few pages. */
enum { ROWS_PACKED_AT_ONCE = 32 };

/* Rows [first, last) of a matrix `depth` deep, in panels of `vectors` vectors. */
static void pack_gates(const fastgru_weights *w, ptrdiff_t first, ptrdiff_t last, ptrdiff_t depth,
                       ptrdiff_t units, int gates, int vectors, REAL *to) {
    const ptrdiff_t total = padded(units, LANES) / LANES * gates;
    for (ptrdiff_t k = first; k < last; k += ROWS_PACKED_AT_ONCE) {
        const REAL *from = (const REAL *)w->data + k * w->row;
        const ptrdiff_t row_count = minimum(ROWS_PACKED_AT_ONCE, last - k);
        for (ptrdiff_t v = 0; v < total; v++) {
            const ptrdiff_t unit = v / gates * LANES, panel = v / vectors * vectors;
            const ptrdiff_t width = minimum(vectors, total - panel);
            pack_vector(from + w->gate[v % gates] + unit * w->column, w->row, w->column, row_count,
                        units - unit, to + (panel * depth + k * width + v - panel) * LANES,
                        width * LANES);
        }
    }
}

/* Rows [first, last) of W, first a multiple of TILE_DEPTH, in pieces: a vector of a gate's units is a tile's columns. */
static void split_gates(const shape *s, const fastgru_weights *w, ptrdiff_t first, ptrdiff_t last,
                        REAL *to) {
    const ptrdiff_t gates = gates_of(s), tile = pieces_size(TILE_LINES, s->inputs);
    for (ptrdiff_t k = first; k < last; k += TILE_DEPTH)
        for (ptrdiff_t v = 0; v < padded_units(s) / LANES * gates; v++) {
            const stacked m = {.matrix = {(const REAL *)w->data + w->gate[v % gates]},
                               .count = 1,
                               .depth = s->inputs,
                               .row_stride = w->row,
                               .column_stride = w->column};
            const ptrdiff_t unit = v / gates * LANES;
            split_stacked(&m, k, unit, s->units - unit,
                          to + v * tile + k / TILE_DEPTH * SPLIT_SIZE);
        }
}

static void pack_task(void *context, int member, int members) {
    const packing *p = context;
    const shape *s = p->shape;
    const fastgru_weights *recurrent = p->recurrent;
    const ptrdiff_t h = s->units, gates = gates_of(s);
    const int before = resets_before(s);
    REAL *u = p->packed + packed_recurrent_at(s);
    ptrdiff_t first, last;
    part_of(s->inputs, TILE_DEPTH, member, members, &first, &last);
    if (inputs_use_tiles(s)) split_gates(s, p->kernel, first, last, p->packed);
    else pack_gates(p->kernel, first, last, s->inputs, h, gates, panel_vectors(s), p->packed);
    part_of(h, LANES, member, members, &first, &last);
    pack_gates(recurrent, first, last, h, h, before ? 2 : gates, before ? 2 : panel_vectors(s), u);
    if (before)
        pack_plain((const REAL *)recurrent->data + recurrent->gate[N] + first * recurrent->row,
                   recurrent->row, recurrent->column, last - first, h,
                   p->packed + packed_candidate_at(s), first, h);
}

static void pack_weights(const shape *s, const fastgru_weights *kernel,
                         const fastgru_weights *recurrent, void *packed, int threads) {
    packing p = {s, kernel, recurrent, packed};
    const int worth_sharing = packed_size(s) > 1 << 16;
    fastgru_run_team(worth_sharing ? threads : 1, pack_task, &p);
}

#endif
