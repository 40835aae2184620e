/* Which rows take part in which step, where rows differ in length or have steps that don't count. */
#include <string.h>

#include "fastgru.h"

/* In memory stand the offsets, the order, a counter for each row, a row's steps and, last, the places. */
size_t fastgru_schedule_size(ptrdiff_t batch, ptrdiff_t steps) {
    const size_t counters = (size_t)(steps + 2 + 2 * batch + steps + 1) * sizeof(ptrdiff_t);
    return counters + (size_t)(batch * steps) * sizeof(fastgru_place);
}

/* Writes the rows' numbers by falling length, those of equal length in their order; returns the greatest length.
 * starts: (steps + 2) to count in. */
static ptrdiff_t sort_rows(const ptrdiff_t *lengths, ptrdiff_t batch, ptrdiff_t steps,
                           ptrdiff_t *starts, ptrdiff_t *order) {
    ptrdiff_t longest = 0;
    memset(starts, 0, (size_t)(steps + 2) * sizeof *starts);
    for (ptrdiff_t b = 0; b < batch; b++) {
        starts[steps - lengths[b] + 1]++;
        if (lengths[b] > longest) longest = lengths[b];
    }
    for (ptrdiff_t i = 1; i <= steps; i++) starts[i] += starts[i - 1];
    for (ptrdiff_t b = 0; b < batch; b++) order[starts[steps - lengths[b]]++] = b;
    return longest;
}

int fastgru_schedule_mask(const unsigned char *mask, ptrdiff_t batch_stride, ptrdiff_t step_stride,
                          ptrdiff_t batch, ptrdiff_t steps, void *memory,
                          fastgru_schedule *schedule) {
    ptrdiff_t *offset = memory, *order = offset + steps + 2, *lengths = order + batch;
    ptrdiff_t *valid = lengths + batch;
    fastgru_place *places = (fastgru_place *)(valid + steps + 1);
    ptrdiff_t total = 0;
    for (ptrdiff_t b = 0; b < batch; b++) {
        const unsigned char *row = mask + b * batch_stride;
        lengths[b] = 0;
        for (ptrdiff_t t = 0; t < steps; t++) lengths[b] += row[t * step_stride] != 0;
        total += lengths[b];
    }
    if (total == batch * steps) return 0;
    const ptrdiff_t longest = sort_rows(lengths, batch, steps, offset, order);
    memset(offset, 0, (size_t)(longest + 1) * sizeof *offset);
    for (ptrdiff_t b = 0; b < batch; b++)
        if (lengths[b]) offset[lengths[b]]++;
    /* offset[t + 1] holds how many rows end with step t: sum them from the end, then add up from the start. */
    for (ptrdiff_t t = longest - 1; t > 0; t--) offset[t] += offset[t + 1];
    for (ptrdiff_t t = 1; t < longest; t++) offset[t + 1] += offset[t];
    for (ptrdiff_t i = 0; i < batch; i++) {
        const unsigned char *row = mask + order[i] * batch_stride;
        ptrdiff_t count = 0;
        for (ptrdiff_t t = 0; t < steps; t++) {
            valid[count] = t; /* without a branch, which a random mask would mislead */
            count += row[t * step_stride] != 0;
        }
        valid[count] = steps;
        for (ptrdiff_t n = 0; n < count; n++)
            places[offset[n] + i] =
                (fastgru_place){(int32_t)order[i], (int32_t)valid[n], (int32_t)valid[n + 1]};
    }
    *schedule = (fastgru_schedule){longest, offset, order, places};
    return 1;
}

void fastgru_schedule_packed(const int64_t *sizes, ptrdiff_t steps, void *memory,
                             fastgru_schedule *schedule) {
    ptrdiff_t *offset = memory;
    offset[0] = 0;
    for (ptrdiff_t t = 0; t < steps; t++) offset[t + 1] = offset[t] + (ptrdiff_t)sizes[t];
    *schedule = (fastgru_schedule){steps, offset, NULL, NULL};
}
