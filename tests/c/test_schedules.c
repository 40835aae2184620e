/* What fastgru_schedule_mask and fastgru_schedule_packed say, against what they should. */
#include "check.h"

/* A mask (B, T) at some strides: each row's steps that count, in order, at the place of its length. */
static void check_schedule(const unsigned char *mask, ptrdiff_t batch_stride, ptrdiff_t step_stride,
                           ptrdiff_t batch, ptrdiff_t steps) {
    void *memory = malloc(fastgru_schedule_size(batch, steps));
    ptrdiff_t *lengths = calloc((size_t)batch + 1, sizeof *lengths), longest = 0, total = 0;
    fastgru_schedule s;
    const int leaves_out =
        fastgru_schedule_mask(mask, batch_stride, step_stride, batch, steps, memory, &s);
    for (ptrdiff_t b = 0; b < batch; b++) {
        for (ptrdiff_t t = 0; t < steps; t++)
            lengths[b] += mask[b * batch_stride + t * step_stride] != 0;
        if (lengths[b] > longest) longest = lengths[b];
        total += lengths[b];
    }
    check(leaves_out == (total < batch * steps), "leaves out", leaves_out, (double)total);
    if (!leaves_out) {
        free(memory), free(lengths);
        return;
    }
    check(s.steps == longest, "steps", (double)s.steps, (double)longest);
    check(s.offset[longest] == total, "rows in all", (double)s.offset[longest], (double)total);
    for (ptrdiff_t i = 1; i < batch; i++) {
        const ptrdiff_t before = s.order[i - 1], row = s.order[i];
        check(lengths[before] > lengths[row] || (lengths[before] == lengths[row] && before < row),
              "order", (double)row, (double)before);
    }
    for (ptrdiff_t i = 0; i < batch; i++) {
        const ptrdiff_t row = s.order[i];
        ptrdiff_t n = 0, next = steps;
        for (ptrdiff_t t = steps - 1; t >= 0; t--) {
            if (!mask[row * batch_stride + t * step_stride]) continue;
            n++; /* from the row's last step backwards */
            const fastgru_place p = s.places[s.offset[lengths[row] - n] + i];
            check(p.row == row && p.step == t && p.next == next, "place", p.step, (double)t);
            next = t;
        }
    }
    free(memory), free(lengths);
}

static void test_masks(void) {
    const ptrdiff_t sizes[] = {0, 1, 2, 5, 9};
    for (int i = 0; i < 100; i++) {
        const ptrdiff_t batch = sizes[draw_below(5)], steps = sizes[draw_below(5)];
        const size_t count = (size_t)(batch * steps);
        unsigned char *mask = malloc(count + !count);
        const int valid = draw_below(5);
        for (size_t k = 0; k < count; k++) mask[k] = draw_below(4) < valid ? 1 + (k & 1) * 254 : 0;
        check_schedule(mask, steps, 1, batch, steps);
        check_schedule(mask, 1, batch, batch, steps);
        if (count) check_schedule(mask + steps - 1, steps, -1, batch, steps);
        free(mask);
    }
}

static void test_packed(void) {
    const int64_t sizes[] = {5, 5, 3, 1};
    const ptrdiff_t expected[] = {0, 5, 10, 13, 14};
    void *memory = malloc(fastgru_schedule_size(0, 4));
    fastgru_schedule s;
    fastgru_schedule_packed(sizes, 4, memory, &s);
    check(s.steps == 4 && !s.order && !s.places, "packed", (double)s.steps, 4);
    for (int t = 0; t <= 4; t++)
        check(s.offset[t] == expected[t], "offset", (double)s.offset[t], (double)expected[t]);
    free(memory);
}

void test_schedules(void) {
    seed(9);
    strcpy(case_name, "schedules");
    test_masks();
    test_packed();
}
