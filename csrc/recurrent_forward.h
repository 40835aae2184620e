/* The forward pass of every recurrent cell: input projections for a chunk of steps in one product, then the steps on
 * them. A cell (gru.h, lstm.h, simple_rnn.h) says how a step is finished once its recurrent product is known. */
#ifndef FASTGRU_RECURRENT_FORWARD_H
#define FASTGRU_RECURRENT_FORWARD_H

#include "activations.h"
#include "denormals.h"
#include "input_projections.h"

/* What a step reads and writes: the member's rows are [first, last), and pointers are to the step's row 0. */
struct step {
    const share *part;
    ptrdiff_t index, first, last;
    int on_tiles; /* the products with U; and the tiles are ready */
    REAL *recurrent;
    const REAL *projected;
    const REAL *before, *c_before;
    REAL *after, *c_after;
    REAL *cache; /* or NULL */
    REAL *y;     /* or NULL */
    ptrdiff_t y_batch;
    const fastgru_place *places; /* where y's rows are, if not y_batch apart */
};

/* Activations of some vectors side by side; slope: with a cache, the derivatives of those that are not the standard ones. */
INLINE void recurrent_activations(const forward_pass *f, vec *x, int standard, vec *slope,
                                  const int n) {
    if (standard) sigmoids(x, n);
    else
        for (int i = 0; i < n; i++)
            x[i] = activation_vec(f->shape->recurrent_activation, x[i], &slope[i]);
}
INLINE void activations(const forward_pass *f, vec *x, int standard, vec *slope, const int n) {
    if (standard) tanhs(x, n);
    else
        for (int i = 0; i < n; i++) x[i] = activation_vec(f->shape->activation, x[i], &slope[i]);
}

/* Vectors of a step's units, row by row, of `count` each: where the n-th and those after it are. */
typedef struct {
    ptrdiff_t number, row, unit;
} unit_vector;

INLINE unit_vector first_vector(const step *t, ptrdiff_t unit) {
    return (unit_vector){0, t->first, unit};
}
INLINE unit_vector next_vector(unit_vector at, ptrdiff_t unit, ptrdiff_t count) {
    at.number++;
    at.unit += LANES;
    if (at.unit < unit + count * LANES) return at;
    return (unit_vector){at.number, at.row + 1, unit};
}

/* All vectors, some together and the rest one by one. The copies are known not to change as results are stored. */
#define FINISH_VECTORS(finish_some, most, f, t, first_unit, count, standard)                       \
    const forward_pass f_ = *(f);                                                                  \
    const step t_ = *(t);                                                                          \
    const ptrdiff_t total = (t_.last - t_.first) * (count);                                        \
    unit_vector at = first_vector(&t_, first_unit);                                                \
    while (at.number + (most) <= total)                                                            \
        at = finish_some(&f_, &t_, first_unit, count, at, most, standard);                         \
    while (at.number < total) at = finish_some(&f_, &t_, first_unit, count, at, 1, standard)

/* Row i's output, from a unit on. */
INLINE void store_output(const forward_pass *f, const step *t, ptrdiff_t i, ptrdiff_t j, vec h) {
    if (!t->y) return;
    const fastgru_place *p = t->places ? t->places + i : NULL;
    REAL *y = t->y + (p ? p->row * f->args->y_batch + p->step * f->args->y_step : i * t->y_batch);
    store_part(y + j, h, f->shape->units - j);
}

/* What a product with U reads: the state, in rows at so many copies each, and some gates' columns. */
typedef struct {
    const REAL *state, *u;
    int copies, gates, vectors;
} state_product;

/* Its member's rows as products with U want them. */
static digit_product begin_products(const forward_pass *f, const step *t, const state_product *p) {
    const shape *s = f->shape;
    const ptrdiff_t copies = maximum(p->copies, 1);
    const digit_source d = {.from = rows_at(p->state, copies * f->units_stride),
                            .first = t->first,
                            .last = maximum(t->first, t->last),
                            .depth = s->units,
                            .copies = p->copies,
                            .copy_stride = f->units_stride};
    const digit_matrix u = digit_matrix_at(p->u, s->units, padded_units(s) * p->gates);
    if (!states_use_digits(s)) return (digit_product){0};
    return begin_digit_product(f, t->part->member, &d, &u, 0);
}

/* The product of the member's rows of a state with some columns of packed panels; those from `next` on come after. */
static void multiply_state(const forward_pass *f, const step *t, const state_product *p,
                           const digit_product *digits, ptrdiff_t column, ptrdiff_t columns,
                           ptrdiff_t next) {
    if (states_use_digits(f->shape)) {
        digit_product m = *digits;
        m.gates = p->gates;
        m.columns = columns;
        m.b = columns_of_digits(&digits->b, m.depth, column);
        m.c = rows_at(t->recurrent, columns);
        if (m.row_count > 0) multiply_digits(&m);
        return;
    }
    multiply_packed(&(packed_product){
        .a = rows_at(p->state, maximum(p->copies, 1) * f->units_stride),
        .c = rows_at(t->recurrent - t->first * columns, columns),
        .gate_step = p->copies > 1 ? f->units_stride : 0,
        .gates = p->gates,
        .first = t->first,
        .last = t->last,
        .b = p->u + column * f->shape->units,
        .depth = f->shape->units,
        .columns = columns,
        .vectors = p->vectors,
        .next = p->u + next * f->shape->units,
    });
}

/* The product of all gates, or of all but the candidate. */
INLINE state_product product_of_gates(const forward_pass *f, const step *t) {
    const shape *s = f->shape;
    return (state_product){.state = s->state_copies ? f->dropped : t->before,
                           .u = f->u,
                           .copies = s->state_copies,
                           .gates = f->u_candidate ? 2 : f->gates,
                           .vectors = f->u_candidate ? 2 : panel_vectors(s)};
}

/* The member's part of that state, times its dropout. */
static void drop_state(forward_pass *f, const step *t) {
    const shape *s = f->shape;
    const ptrdiff_t hs = f->units_stride, first = t->part->first_unit;
    const ptrdiff_t count = minimum(t->part->last_unit, s->units) - first;
    for (ptrdiff_t i = t->first; i < t->last; i++)
        for (int c = 0; c < s->state_copies; c++)
            copy_scaled(t->before + i * hs + first,
                        dropout_of(s, f->args->state_dropout, c, s->units, i) + first, count,
                        f->dropped + (i * s->state_copies + c) * hs + first);
    if (t->part->units_split) fastgru_wait(f->ready, t->part->members);
}

/* Units of so many gates whose panels one call of the product takes: several panels for one or two rows. */
INLINE ptrdiff_t units_at_once(const forward_pass *f, const step *t, const state_product *p) {
    const ptrdiff_t row_count = t->last - t->first;
    const ptrdiff_t vectors = p->gates == 4 ? 4 : p->vectors; /* an LSTM's units have two panels */
    if (states_use_digits(f->shape)) return columns_of_rows(row_count) / p->gates * LANES;
    return (row_count <= 2 ? MOST_PANELS * p->vectors : vectors) / p->gates * LANES;
}

/* With few rows a step waits for U. Every other step walks the panels the other way round, and so begins with those that
 * the step before has just used. */
static void step_in_one_product(const forward_pass *f, const step *t) {
    const state_product p = product_of_gates(f, t);
    const ptrdiff_t most = units_at_once(f, t, &p), first = t->part->first_unit,
                    last = t->part->last_unit, gates = f->gates;
    const ptrdiff_t groups = (last - first + most - 1) / most;
    const int back = t->index % 2 && t->last - t->first <= GATE_ROWS;
    const digit_product digits = begin_products(f, t, &p);
    for (ptrdiff_t n = 0; n < groups; n++) {
        const ptrdiff_t unit = first + (back ? groups - 1 - n : n) * most,
                        units = minimum(most, last - unit);
        const ptrdiff_t next = back ? maximum(unit - most, first) : unit + most;
        multiply_state(f, t, &p, &digits, unit * gates, units * gates, next * gates);
        f->finish(f, t, unit, units / LANES);
    }
}

static void step_reset_before(forward_pass *f, const step *t);

/* What y shows where a row's steps don't count: from its step at hand to the next that does. */
static void fill_gaps(const forward_pass *f, const step *t) {
    const ptrdiff_t first = t->part->first_unit, y_step = f->args->y_step;
    const ptrdiff_t width = minimum(t->part->last_unit, f->shape->units) - first;
    for (ptrdiff_t i = t->first; i < t->last; i++) {
        const fastgru_place *p = t->places + i;
        REAL *row = t->y + p->row * f->args->y_batch + first, *y = row + p->step * y_step;
        const ptrdiff_t gap = p->next - p->step - 1;
        if (t->index == 0) clear_steps(row, y_step, p->step, width);
        if (!f->shape->repeats) clear_steps(y + y_step, y_step, gap, width);
        else
            for (ptrdiff_t n = 1; n <= gap; n++)
                memcpy(y + n * y_step, y, (size_t)width * sizeof(REAL));
    }
}

static step begin_step(const forward_pass *f, const share *part, ptrdiff_t i,
                       const REAL *projected) {
    const shape *s = f->shape;
    const ptrdiff_t hs = f->units_stride, offset = offset_of(s, i);
    const ptrdiff_t before = states_before(s, i) * hs, after = (s->batch + offset) * hs;
    step t = {.part = part, .index = i, .first = part->first_row, .projected = projected};
    t.last = last_row_in(s, part, i);
    t.on_tiles = states_use_digits(s) && t.last - t.first > ROWS_ON_VECTORS;
    t.recurrent = f->recurrent + part->member * recurrent_size(s);
    t.before = f->states ? f->states + before : f->state[i % 2];
    t.after = f->recomputes ? f->state[0] : f->states ? f->states + after : f->state[(i + 1) % 2];
    t.c_before = f->c_states ? f->c_states + before : f->c_state;
    t.c_after = f->c_states && !f->recomputes ? f->c_states + after : f->c_state;
    const ptrdiff_t cached =
        f->recomputes
            ? rows_between(s, f->cached_first, f->cached_last, f->cached_from, i) - f->cached_first
            : offset;
    if (f->cache) t.cache = f->cache + cached * cached_row(s);
    if (f->recomputes || !f->args->y) return t;
    t.y = f->args->y;
    t.y_batch = f->args->y_batch;
    if (!s->schedule) t.y += i * f->args->y_step;
    else if (s->schedule->places) t.places = s->schedule->places + offset;
    else {
        t.y += offset * f->args->y_step;
        t.y_batch = f->args->y_step;
    }
    return t;
}

/* The member's part of some steps. */
static void run_steps(forward_pass *f, const share *part, ptrdiff_t first, ptrdiff_t end) {
    const shape *s = f->shape;
    const ptrdiff_t width = f->gates * f->units_stride;
    chunk_part c = {.end = first};
    const REAL *projected = NULL;
    ptrdiff_t lines = 0; /* of the tiles at hand */
    for (ptrdiff_t i = first; i < end; i++) {
        if (i == c.end) {
            c = part_of_chunk(s, part, i, minimum(end, chunk_end(s, i, projected_rows(s))));
            project_inputs(f, part, &c);
            projected = f->projected + c.area * width;
            lines = 0;
        }
        const step t = begin_step(f, part, i, projected - part->first_row * width);
        if (t.on_tiles) change_digit_tiles(&lines, t.last - t.first, s->units);
        if (s->state_copies) drop_state(f, &t);
        if (f->u_candidate) step_reset_before(f, &t);
        else step_in_one_product(f, &t);
        if (t.places) fill_gaps(f, &t);
        projected += maximum(0, t.last - t.first) * width;
        if (part->units_split) fastgru_wait(f->ready, part->members);
    }
    if (states_use_digits(s)) TILE_RELEASE();
}

static void forward_task(void *context, int member, int members) {
    forward_pass *f = context;
    const share part = share_of(f->shape, member, members);
    const float_mode mode = flush_denormals();
    run_steps(f, &part, 0, step_count(f->shape));
    restore_mode(mode);
}

/* The rows' last states; rows without any step keep their first, and show zeros. */
static void save_results(const forward_pass *f) {
    const shape *s = f->shape;
    const fastgru_forward *args = f->args;
    const ptrdiff_t hs = f->units_stride;
    ptrdiff_t steps = step_count(s);
    for (ptrdiff_t i = 0; i < s->batch; i++) {
        while (steps > 0 && rows_in(s, steps - 1) <= i) steps--;
        const ptrdiff_t at = (states_before(s, steps) + i) * hs;
        save_state(s, i, f->states ? f->states + at : f->state[steps % 2] + i * hs, args->h_n);
        if (s->cell == FASTGRU_LSTM)
            save_state(s, i, f->c_states ? f->c_states + at : f->c_state + i * hs, args->c_n);
        REAL *y = args->y ? (REAL *)args->y + number_of(s, i) * args->y_batch : NULL;
        if (steps == 0 && y) clear_steps(y, args->y_step, s->steps, s->units);
    }
}

static void forward(const fastgru_forward *args) {
    const shape *s = &args->shape;
    const int threads = threads_for(s, args->threads);
    forward_pass f = begin_forward(args, threads, args->workspace);
    fastgru_barrier ready = {0};
    f.ready = &ready;
    load_states(s, args->h0, f.states ? f.states : f.state[0]);
    if (s->cell == FASTGRU_LSTM) load_states(s, args->c0, f.c_states ? f.c_states : f.c_state);
    fastgru_run_team(threads, forward_task, &f);
    save_results(&f);
}

#endif
