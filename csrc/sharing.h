/* Who of a team computes what.
 *
 * A member of a team computes some units of some rows, over all steps. With the rows split, members need not wait for
 * each other; with the units split, each step needs what all have made of the step before. */
#ifndef FASTGRU_SHARING_H
#define FASTGRU_SHARING_H

#include "recurrent_layout.h"
#include "team.h"

typedef struct {
    int member, members;
    int peer, peers; /* the member's number among those who sum over the same rows, and theirs */
    ptrdiff_t first_row, last_row;
    ptrdiff_t first_unit, last_unit; /* the last one's last is Hp */
    int units_split;
} share;

/* The first row with at least so many rows' steps before it: rows are cut where the work is shared evenly. */
static ptrdiff_t row_after(const shape *s, ptrdiff_t row_steps) {
    ptrdiff_t length = step_count(s), i = 0;
    for (ptrdiff_t done = 0; done < row_steps && i < s->batch; i++) {
        while (length > 0 && rows_in(s, length - 1) <= i) length--;
        if (length == 0) return s->batch;
        done += length;
    }
    return i;
}

/* Splitting the units costs a barrier a step, and lets each member keep its part of U close by. */
INLINE int prefers_units(const shape *s, int members) {
    const ptrdiff_t bytes_of_u = gates_of(s) * s->units * s->units * (ptrdiff_t)sizeof(REAL);
    return s->batch < 4 * members || (bytes_of_u > ((ptrdiff_t)1 << 20) && s->batch < 256);
}

/* The first row of the n-th of so many parts. */
static ptrdiff_t row_of_part(const shape *s, int n, int parts) {
    if (n == 0 || n == parts) return n ? s->batch : 0;
    return row_after(s, total_rows(s) * n / parts);
}

static share share_of(const shape *s, int member, int members) {
    share part = {member, members, member, members, 0, s->batch, 0, padded_units(s), 0};
    part.units_split = members > 1 && prefers_units(s, members);
    if (part.units_split) {
        part_of(part.last_unit, unit_grain(s), member, members, &part.first_unit, &part.last_unit);
    } else {
        part.first_row = row_of_part(s, member, members);
        part.last_row = row_of_part(s, member + 1, members);
    }
    return part;
}

/* The member's rows of a step: of what takes part in it, those between its first and its last. */
INLINE ptrdiff_t last_row_in(const shape *s, const share *part, ptrdiff_t t) {
    return minimum(part->last_row, rows_in(s, t));
}

/* Of the rows from first_row to last_row those that take part in steps [first, end). */
static ptrdiff_t rows_between(const shape *s, ptrdiff_t first_row, ptrdiff_t last_row,
                              ptrdiff_t first, ptrdiff_t end) {
    if (!s->schedule) return (end - first) * (last_row - first_row);
    ptrdiff_t count = 0;
    for (ptrdiff_t t = first; t < end; t++)
        count += maximum(0, minimum(last_row, rows_in(s, t)) - first_row);
    return count;
}

/* How many threads a pass is worth: sharing costs microseconds a call and, with the units split, about half of one a
 * step. */
INLINE int threads_for(const shape *s, int threads) {
    const double work = 2.0 * gates_of(s) * (double)total_rows(s) * (double)s->units *
                        (double)(s->inputs + s->units);
    if (threads < 2 || work < 1e6) return 1;
    if (prefers_units(s, threads) &&
        (work < 1e5 * (double)step_count(s) || s->units < unit_grain(s) * threads))
        return 1;
    return threads;
}

/* ---- sums over rows ----
 * Members who split the rows would wait for each other, and fetch each other's rows, for the weights' gradients. So these
 * are sums of two parts of the rows, and each half of a team makes one. Where two threads would split the rows it is two
 * parts at any number of threads, one included: gradients have the same bits. */
enum { MOST_PARTS = 2 };

INLINE int parts_of(const shape *s) {
    return threads_for(s, MOST_PARTS) > 1 && !prefers_units(s, MOST_PARTS) ? MOST_PARTS : 1;
}
/* Whether the parts are made at the same time. */
INLINE int parts_at_once(const shape *s, int members) {
    return members >= parts_of(s) && !prefers_units(s, members);
}

/* The member's share of some rows, those of a part or of all. */
static share share_of_rows(const shape *s, ptrdiff_t first_row, ptrdiff_t last_row, int part,
                           int member, int members) {
    share own = share_of(s, member, members);
    const int parts = parts_of(s);
    if (!parts_at_once(s, members)) {
        own.first_row = first_row;
        own.last_row = last_row;
        return own;
    }
    const int before = (part * members + parts - 1) / parts;
    own.peer = member - before;
    own.peers = ((part + 1) * members + parts - 1) / parts - before;
    own.first_row = row_of_part(s, part * own.peers + own.peer, parts * own.peers);
    own.last_row = row_of_part(s, part * own.peers + own.peer + 1, parts * own.peers);
    return own;
}

#endif
