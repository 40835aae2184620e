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

static share share_of(const shape *s, int member, int members) {
    share part = {member, members, 0, s->batch, 0, padded_units(s), 0};
    part.units_split = members > 1 && prefers_units(s, members);
    if (part.units_split) {
        part_of(part.last_unit, unit_grain(s), member, members, &part.first_unit, &part.last_unit);
    } else if (members > 1 && s->schedule) {
        part.first_row = row_after(s, total_rows(s) * member / members);
        if (member < members - 1)
            part.last_row = row_after(s, total_rows(s) * (member + 1) / members);
    } else part_of(s->batch, 1, member, members, &part.first_row, &part.last_row);
    return part;
}

/* The member's rows of a step: of what takes part in it, those between its first and its last. */
INLINE ptrdiff_t last_row_in(const shape *s, const share *part, ptrdiff_t t) {
    return minimum(part->last_row, rows_in(s, t));
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

#endif
