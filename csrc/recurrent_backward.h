/* The backward pass of every recurrent cell. In the loop over time stays only what depends on it: the gates' derivatives
 * (differentiate.h) and the product that carries them to the state before. A chunk of steps' derivatives then gives dW,
 * dU and dx in one product each (backward_products.h). */
#ifndef FASTGRU_RECURRENT_BACKWARD_H
#define FASTGRU_RECURRENT_BACKWARD_H

#include "backward_products.h"

/* ---- steps ---- */

/* What a step reads and writes: the member's rows are [first, last), and pointers are to the step's row 0. */
typedef struct {
    const share *part;
    ptrdiff_t index, first, last;
    const REAL *cache, *before, *after, *c_before;
    const REAL *dy; /* or NULL */
    ptrdiff_t dy_batch;
    const fastgru_place *places; /* where dy's rows are, if not dy_batch apart */
    REAL *derivatives;
} back_step;

/* The member's rows and, in vectors, its units. */
#define FOR_EACH_VECTOR(t, i, j)                                                                   \
    for (ptrdiff_t i = (t)->first; i < (t)->last; i++)                                             \
        for (ptrdiff_t j = (t)->part->first_unit; j < (t)->part->last_unit; j += LANES)

static void step_back(backward_pass *b, const back_step *t);

/* The member's rows and units of columns of a step's derivatives times a packed transpose, added or not. */
static void multiply_derivatives(const backward_pass *b, const back_step *t, blocks group,
                                 const REAL *transposed, REAL *to, int accumulate) {
    const share *part = t->part;
    const ptrdiff_t depth = group.count * b->shape->units;
    const ptrdiff_t first = part->first_unit;
    /* Reset before, a step's two products are not of one depth. */
    const ptrdiff_t lines = tile_lines(t->last - t->first);
    if (b->steps_use_tiles && resets_before(b->shape)) take_digit_tiles(lines, depth);
    multiply_operands(&(operand_product){
        .as_digits = b->steps_use_digits,
        .a = rows_at(t->derivatives + group.first * b->shape->units, b->stride),
        .b = transposed,
        .b_columns = b->shape->units,
        .column = first,
        .columns = part->last_unit - first,
        .depth = depth,
        .lines = lines,
        .c = rows_at(to + first, b->units_stride),
        .first = t->first,
        .last = t->last,
        .accumulate = accumulate,
        .few_rows = 1,
        .scratch = b->scratch + part->member * scratch_size(b->shape),
    });
}

/* dh becomes, or receives, what the derivatives carry back through U. */
static void carry_back(const backward_pass *b, const back_step *t, int accumulate) {
    const shape *s = b->shape;
    const ptrdiff_t hs = b->units_stride;
    blocks groups[MOST_BLOCKS];
    const int count = groups_of_u(s, groups);
    if (!s->state_copies) {
        multiply_derivatives(b, t, groups[0], b->u_transposed[0], b->dh, accumulate);
        return;
    }
    for (int g = 0; g < count; g++) {
        const int copy = s->state_copies > 1 ? gate_of_u(s, groups[g].first) : 0;
        const int adds = accumulate || g > 0;
        multiply_derivatives(b, t, groups[g], b->u_transposed[g], b->carried, 0);
        for (ptrdiff_t i = t->first; i < t->last; i++) {
            const REAL *factor = dropout_of(s, b->args->forward.state_dropout, copy, s->units, i);
            for (ptrdiff_t j = t->part->first_unit; j < t->part->last_unit; j += LANES) {
                REAL *dh = b->dh + i * hs + j;
                const vec scaled =
                    load(b->carried + i * hs + j) * load_part(factor + j, s->units - j);
                store(dh, adds ? load(dh) + scaled : scaled);
            }
        }
    }
}

static void wait_for_units(backward_pass *b, const share *part) {
    if (part->units_split) fastgru_wait(b->ready, part->members);
}

/* dh += the gradients of the outputs that showed the step's state again: those of the gap after it. */
static void collect_gaps(const backward_pass *b, const back_step *t) {
    const fastgru_backward *args = b->args;
    const ptrdiff_t h = b->shape->units;
    for (ptrdiff_t i = t->first; i < t->last; i++) {
        const fastgru_place *p = t->places + i;
        const REAL *dy = t->dy + p->row * args->dy_batch;
        for (ptrdiff_t n = p->step + 1; n < p->next; n++) {
            if (b->steps_use_tiles) KEEP_AWAKE();
            for (ptrdiff_t j = t->part->first_unit; j < t->part->last_unit; j += LANES) {
                REAL *dh = b->dh + i * b->units_stride + j;
                store(dh, load(dh) + load_part(dy + n * args->dy_step + j, h - j));
            }
        }
    }
}

static back_step begin_back_step(const backward_pass *b, const share *part, ptrdiff_t i,
                                 ptrdiff_t chunk_first) {
    const shape *s = b->shape;
    const ptrdiff_t hs = b->units_stride, offset = offset_of(s, i);
    back_step t = {.part = part, .index = i, .first = part->first_row};
    t.last = last_row_in(s, part, i);
    t.cache = cached_at(b, chunk_first, i);
    t.before = b->states + states_before(s, i) * hs;
    t.after = b->states + (s->batch + offset) * hs;
    if (b->c_states) t.c_before = b->c_states + states_before(s, i) * hs;
    const ptrdiff_t done = rows_between(s, b->first_row, b->last_row, chunk_first, i);
    t.derivatives = b->derivatives + (done - b->first_row) * b->stride;
    t.dy = b->args->dy;
    if (!t.dy) return t;
    if (places_of(s)) {
        t.places = places_of(s) + offset;
        if (s->repeats) collect_gaps(b, &t);
        return t;
    }
    t.dy_batch = s->schedule ? b->args->dy_step : b->args->dy_batch;
    t.dy += (s->schedule ? offset : i) * b->args->dy_step;
    return t;
}

/* ---- the pass ---- */

/* One member's part of a chunk: first the steps, then the products over their rows. */
static void chunk_back(backward_pass *b, const share *part, ptrdiff_t first, ptrdiff_t end) {
    const shape *s = b->shape;
    if (b->again) {
        b->again->cached_from = first;
        run_steps(b->again, part, first, end);
        fastgru_wait(b->ready, part->peers);
    }
    blocks groups[MOST_BLOCKS];
    groups_of_u(s, groups);
    ptrdiff_t lines = 0; /* of the tiles at hand */
    for (ptrdiff_t i = end - 1; i >= first; i--) {
        if (b->steps_use_tiles)
            change_digit_tiles(&lines, last_row_in(s, part, i) - part->first_row,
                               groups[0].count * s->units);
        const back_step t = begin_back_step(b, part, i, first);
        step_back(b, &t);
    }
    if (b->steps_use_tiles) TILE_RELEASE();
    fastgru_wait(b->ready, part->peers);
    const chunk all = chunk_of(s, first, end, b->first_row, b->last_row);
    chunk of_parts[MOST_PARTS];
    const int count = parts_of_chunk(b, first, end, of_parts);
    collect_chunk(b, part, &all, of_parts, count);
    for (const chunk *c = of_parts; c < of_parts + count; c++) {
        if (c->summed == 0) continue;
        if (chunks_use_digits(s)) take_digit_tiles(TILE_LINES, c->summed);
        const operands o = prepare_chunk(b, part, c);
        weight_gradients(b, part, c, &o, &b->parts[c->part]);
        if (chunks_use_digits(s)) TILE_RELEASE();
        bias_gradients(b, part, c, b->parts[c->part].dbias);
        b->begun[c->part] = 1;
    }
    input_gradients(b, part, &all);
    fastgru_wait(b->ready, part->peers);
    if (!points_to_rows(s) || first == 0) return;
    for (const chunk *c = of_parts; c < of_parts + count; c++) {
        if (part->peer == 0) keep_rows(b, c);
        b->kept[c->part] = c->kept + c->row_count - c->summed;
    }
    fastgru_wait(b->ready, part->peers);
}

/* What all members share, and where they wait for each other: all, or those of a part. */
typedef struct {
    backward_pass pass;
    forward_pass again;
    fastgru_barrier all, of_part[MOST_PARTS], of_steps;
} backward_job;

/* What chunks add to; and, where there are none, what they never reach. */
static void clear_sums(const shape *s, const sums *to, int all) {
    if (to->dbias) memset(to->dbias, 0, (size_t)(biases_of(s) * s->units) * sizeof(REAL));
    if (!all) return;
    memset(to->dkernel, 0, (size_t)kernel_size(s) * sizeof(REAL));
    memset(to->drecurrent, 0, (size_t)recurrent_kernel_size(s) * sizeof(REAL));
}

/* The first step of the chunk that ends where `end` says: the same however many parts are at work. It has so many rows of the
 * first part, or with a schedule, where parts have other rows in each step, of all. */
static ptrdiff_t chunk_begin(const backward_pass *b, ptrdiff_t end) {
    const shape *s = b->shape;
    const ptrdiff_t last_row = s->schedule ? s->batch : b->part_rows[1];
    ptrdiff_t first = end - 1;
    while (first > 0 && rows_between(s, 0, last_row, first - 1, end) <= most_rows_of_a_part(s))
        first--;
    return first;
}

/* The member's share of some parts of the rows: chunks of steps, from the last one on in which they have rows. */
static void parts_back(backward_job *job, int first_part, int end_part, int member, int members) {
    const shape *s = job->pass.shape;
    const int at_once = parts_at_once(s, members);
    backward_pass b = job->pass;
    forward_pass again = job->again;
    b.first_row = b.part_rows[first_part];
    b.last_row = b.part_rows[end_part];
    b.ready = &job->of_part[first_part];
    lay_out_area(&b, s, b.areas + (at_once ? first_part : 0) * b.area_size);
    if (s->recompute) {
        again.cached_first = b.first_row;
        again.cached_last = b.last_row;
        again.cache = b.made_again;
        b.cache = b.made_again;
        b.again = &again;
    }
    const share part = share_of_rows(s, b.first_row, b.last_row, first_part, member, members);
    for (int n = first_part; n < end_part; n++)
        if (part.peer == 0)
            clear_sums(s, &b.parts[n], !step_count(s) || rows_in(s, 0) <= b.part_rows[n]);
    for (ptrdiff_t end = step_count(s), first; end > 0; end = first) {
        first = chunk_begin(&b, end);
        if (rows_in(s, first) > b.first_row) chunk_back(&b, &part, first, end);
    }
}

/* The caller's sums receive those of the second part: the member's piece of each. */
static void add_parts(const backward_pass *b, int member, int members) {
    const shape *s = b->shape;
    const sums *to = &b->parts[0], *from = &b->parts[1];
    const ptrdiff_t sizes[] = {kernel_size(s), recurrent_kernel_size(s),
                               to->dbias ? biases_of(s) * s->units : 0};
    REAL *const sum[] = {to->dkernel, to->drecurrent, to->dbias};
    const REAL *const more[] = {from->dkernel, from->drecurrent, from->dbias};
    for (int n = 0; n < 3; n++) {
        ptrdiff_t first, last;
        part_of(sizes[n], LANES, member, members, &first, &last);
        for (ptrdiff_t j = first; j < last; j++) sum[n][j] += more[n][j];
    }
}

static void backward_task(void *context, int member, int members) {
    backward_job *job = context;
    const shape *s = job->pass.shape;
    const int parts = job->pass.part_count;
    const float_mode mode = flush_denormals();
    prepare_weights(&job->pass, member, members);
    fastgru_wait(&job->all, members);
    if (parts_at_once(s, members)) {
        const int n = member * parts / members;
        parts_back(job, n, n + 1, member, members);
    } else if (s->schedule && !points_to_rows(s)) {
        for (int n = 0; n < parts; n++) parts_back(job, n, n + 1, member, members);
    } else parts_back(job, 0, parts, member, members);
    if (parts > 1) {
        fastgru_wait(&job->all, members);
        add_parts(&job->pass, member, members);
    }
    restore_mode(mode);
}

static backward_pass begin_backward(const fastgru_backward *args, int threads) {
    const shape *s = &args->forward.shape;
    backward_pass b = {.args = args, .shape = s, .cache = args->forward.cache};
    b.parts[0] = (sums){args->dkernel, args->drecurrent, args->dbias};
    b.part_count = parts_of(s);
    for (int n = 0; n <= b.part_count; n++) b.part_rows[n] = row_of_part(s, n, b.part_count);
    b.units_stride = stride_of_units(s);
    b.steps_use_digits = steps_use_digits(s);
    b.steps_use_tiles = b.steps_use_digits && s->batch > ROWS_ON_VECTORS;
    b.stride = derivatives_stride(s);
    b.states = b.cache + cached_states_at(s);
    if (s->cell == FASTGRU_LSTM) b.c_states = b.states + states_size(s);
    b.end = lay_out_backward(&b, s, threads, args->workspace);
    load_states(s, args->dh_n, b.dh);
    if (b.c_states) load_states(s, args->dc_n, b.dc);
    return b;
}

/* dx of rows without steps, which no chunk reaches. */
static void clear_inputs(const fastgru_backward *args) {
    const shape *s = &args->forward.shape;
    if (!places_of(s) || !args->dx) return;
    const ptrdiff_t some = step_count(s) ? rows_in(s, 0) : 0;
    for (ptrdiff_t i = some; i < s->batch; i++)
        for (ptrdiff_t t = 0; t < s->steps; t++)
            memset((REAL *)args->dx + number_of(s, i) * args->dx_batch + t * args->dx_step, 0,
                   (size_t)s->inputs * sizeof(REAL));
}

static void backward(const fastgru_backward *args) {
    const shape *s = &args->forward.shape;
    const int threads = threads_for(s, args->threads);
    backward_job job = {.pass = begin_backward(args, threads)};
    if (s->recompute) {
        job.again = begin_forward(&args->forward, threads, job.pass.end);
        job.again.recomputes = 1;
        job.again.ready = &job.of_steps;
    }
    clear_inputs(args);
    fastgru_run_team(threads, backward_task, &job);
    /* z's and r's two biases enter as a sum: their gradients are the same. */
    REAL *dbias = args->dbias;
    if (dbias && s->cell == FASTGRU_GRU && s->reset_after)
        memcpy(dbias + 3 * s->units, dbias, (size_t)(2 * s->units) * sizeof(REAL));
    for (ptrdiff_t i = 0; i < s->batch; i++) {
        if (args->dh0) save_state(s, i, job.pass.dh + i * job.pass.units_stride, args->dh0);
        if (args->dc0) save_state(s, i, job.pass.dc + i * job.pass.units_stride, args->dc0);
    }
}

#endif
