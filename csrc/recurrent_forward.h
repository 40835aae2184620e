/* The forward pass of every recurrent cell: input projections for a chunk of steps in one product, then the steps on
 * them. A cell (gru.h, lstm.h, simple_rnn.h) says how a step is finished once its recurrent product is known. */
#ifndef FASTGRU_RECURRENT_FORWARD_H
#define FASTGRU_RECURRENT_FORWARD_H

#include "activations.h"
#include "recurrent_layout.h"

typedef struct forward_pass forward_pass;
typedef struct step step;

/* Makes gates and states of the member's rows and the units of `count` whole vectors from `unit` on. */
typedef void finish_function(const forward_pass *f, const step *t, ptrdiff_t unit, ptrdiff_t count);

/* One call's buffers and pointers. A row of `projected` holds, vector by vector of units, all gates' vectors. */
struct forward_pass {
    const fastgru_forward *args;
    const shape *shape;
    int gates;
    ptrdiff_t units_stride, inputs_stride;
    const REAL *w, *u, *u_candidate;
    REAL *input_bias;     /* as projected rows are ordered; a GRU's z and r include U's bias */
    REAL *candidate_bias; /* GRU, reset after: c_n */
    REAL *inputs;         /* a chunk's rows of x where they can't be read in place */
    REAL *scratch;        /* each member's, where input projections go through tiles */
    REAL *projected;
    REAL *recurrent; /* products of a few panels, for all rows; each member has its own */
    REAL *dropped;   /* the state that enters the products, a copy for each gate or one for all */
    REAL *state[2];  /* inference: h before and after a step, in turn */
    REAL *c_state;
    REAL *update;            /* GRU, reset before: z, until the candidate is known */
    REAL *reset_state;       /* ... and r * h, times its dropout */
    REAL *states, *c_states; /* training: all of them, in the cache; else NULL */
    REAL *cache;             /* rows from step cached_from on, or NULL */
    ptrdiff_t cached_from;
    int again; /* the states are known: only the cache's rows are made */
    finish_function *finish;
    fastgru_barrier ready; /* with the units split: all have made their units of the step */
};

/* Rows whose input projections are made together: enough for a product to run at full speed, few enough to stay in
 * L2 until the steps have used them. */
INLINE ptrdiff_t projected_rows(const shape *s) {
    const int tiles = inputs_use_tiles(s); /* weights in pieces are larger, and want more rows */
    const ptrdiff_t bytes = (ptrdiff_t)1 << (tiles ? 20 : 18);
    const ptrdiff_t fitting = bytes / ((ptrdiff_t)sizeof(REAL) * gates_of(s) * padded_units(s));
    return minimum(maximum(fitting, tiles ? 128 : 64), 512);
}

INLINE ptrdiff_t recurrent_size(const shape *s) {
    return piece(s->batch * MOST_PANELS * MOST_VECTORS * LANES);
}

/* Lays the buffers out and returns where they end. */
static REAL *lay_out_forward(forward_pass *f, const shape *s, int threads, REAL *buffer) {
    const ptrdiff_t hp = padded_units(s), bhs = s->batch * stride_of_units(s);
    const ptrdiff_t chunk = threads * rows_in_a_chunk(s, projected_rows(s));
    const int before = resets_before(s);
    f->input_bias = take(&buffer, gates_of(s) * hp);
    f->candidate_bias = take(&buffer, hp);
    f->inputs = take(&buffer, chunk * maximum(s->input_copies, 1) * row_stride(s->inputs));
    f->scratch = take(&buffer, inputs_use_tiles(s) ? threads * SPLIT_SCRATCH : 0);
    f->projected = take(&buffer, chunk * gates_of(s) * stride_of_units(s));
    f->recurrent = take(&buffer, threads * recurrent_size(s));
    f->dropped = take(&buffer, s->state_copies * bhs);
    f->state[0] = take(&buffer, bhs);
    f->state[1] = take(&buffer, bhs);
    f->c_state = take(&buffer, s->cell == FASTGRU_LSTM ? bhs : 0);
    f->update = take(&buffer, before ? bhs : 0);
    f->reset_state = take(&buffer, before ? bhs : 0);
    return buffer;
}

static size_t forward_workspace(const shape *s, int threads) {
    forward_pass f;
    REAL origin;
    return (size_t)(lay_out_forward(&f, s, threads_for(s, threads), &origin) - &origin);
}

/* The biases, in the order and with the padding of the products that they are added to. */
static void pack_biases(const forward_pass *f) {
    const ptrdiff_t h = f->shape->units, gates = f->gates;
    const int after = f->shape->cell == FASTGRU_GRU && f->shape->reset_after;
    const REAL *b = f->args->bias, *c = after && b ? b + gates * h : NULL;
    memset(f->input_bias, 0, (size_t)(gates * padded_units(f->shape)) * sizeof(REAL));
    memset(f->candidate_bias, 0, (size_t)padded_units(f->shape) * sizeof(REAL));
    for (int g = 0; b && g < gates; g++) {
        const ptrdiff_t at = place_of_gate(f->shape, g) * h;
        for (ptrdiff_t j = 0; j < h; j++)
            f->input_bias[(j / LANES * gates + g) * LANES + j % LANES] =
                c && g != N ? b[at + j] + c[at + j] : b[at + j];
    }
    if (c) memcpy(f->candidate_bias, c + N * h, (size_t)h * sizeof(REAL));
}

static finish_function *finish_function_of(const shape *s);

static forward_pass begin_forward(const fastgru_forward *args, int threads, REAL *workspace) {
    const shape *s = &args->shape;
    const REAL *packed = args->packed;
    forward_pass f = {.args = args, .shape = s, .gates = gates_of(s), .w = packed};
    f.units_stride = stride_of_units(s);
    f.inputs_stride = row_stride(s->inputs);
    f.u = packed + packed_recurrent_at(s);
    if (resets_before(s)) f.u_candidate = packed + packed_candidate_at(s);
    f.finish = finish_function_of(s);
    lay_out_forward(&f, s, threads, workspace);
    if (args->cache) {
        f.states = (REAL *)args->cache + cached_states_at(s);
        if (s->cell == FASTGRU_LSTM) f.c_states = f.states + states_size(s);
        if (!s->recompute) f.cache = args->cache;
    }
    pack_biases(&f);
    return f;
}

/* ---- input projections ---- */

/* A chunk's rows, as one member has them: its own rows of each step, one step after the other, from `area` on. Members
 * who split the rows don't wait for each other, so each has an area of its own. */
typedef struct {
    ptrdiff_t first_step, end, area, row_count;
} chunk_part;

static chunk_part part_of_chunk(const shape *s, const share *part, ptrdiff_t first, ptrdiff_t end) {
    chunk_part c = {first, end, 0, 0};
    if (!part->units_split) c.area = part->member * rows_in_a_chunk(s, projected_rows(s));
    for (ptrdiff_t t = first; t < end; t++)
        c.row_count += maximum(0, last_row_in(s, part, t) - part->first_row);
    return c;
}

/* Whether the product can read the member's rows of x where they are. */
static int reads_in_place(const forward_pass *f, const share *part) {
    const shape *s = f->shape;
    const ptrdiff_t count = part->last_row - part->first_row;
    if (s->input_copies || places_of(s)) return 0;
    if (s->schedule) return count == s->batch;
    return panel_vectors(s) > PLAIN || count == 1 || f->args->x_step == count * f->args->x_batch;
}

/* The row of x, or of another array of that layout, for row i of step t. */
INLINE ptrdiff_t place_in(const shape *s, ptrdiff_t t, ptrdiff_t i, ptrdiff_t batch_stride,
                          ptrdiff_t step_stride) {
    if (!s->schedule) return i * batch_stride + t * step_stride;
    const ptrdiff_t n = offset_of(s, t) + i;
    if (!s->schedule->places) return n * step_stride;
    const fastgru_place *p = s->schedule->places + n;
    return p->row * batch_stride + p->step * step_stride;
}

/* to = from, times a factor where there is one. */
INLINE void copy_scaled(const REAL *from, const REAL *factor, ptrdiff_t count, REAL *restrict to) {
    if (!factor) memcpy(to, from, (size_t)count * sizeof(REAL));
    else
        for (ptrdiff_t j = 0; j < count; j++) to[j] = from[j] * factor[j];
}

/* The factors on x, or on the state, of row i for one of the copies; NULL where there are none. */
INLINE const REAL *dropout_of(const shape *s, const void *dropout, int copy, ptrdiff_t width,
                              ptrdiff_t i) {
    if (!dropout) return NULL;
    return (const REAL *)dropout + (copy * s->batch + number_of(s, i)) * width;
}

/* One row of x, for each gate with its own dropout. */
static void copy_input(const fastgru_forward *args, ptrdiff_t t, ptrdiff_t i, ptrdiff_t stride,
                       REAL *to) {
    const shape *s = &args->shape;
    const REAL *x = (const REAL *)args->x + place_in(s, t, i, args->x_batch, args->x_step);
    for (int c = 0; c < maximum(s->input_copies, 1); c++)
        copy_scaled(x, dropout_of(s, args->input_dropout, c, s->inputs, i), s->inputs,
                    to + c * stride);
}

static void gather_inputs(forward_pass *f, const share *part, const chunk_part *c) {
    const shape *s = f->shape;
    const ptrdiff_t width = maximum(s->input_copies, 1) * f->inputs_stride;
    REAL *to = f->inputs + c->area * width;
    for (ptrdiff_t t = c->first_step; t < c->end; t++) {
        const ptrdiff_t first = part->first_row, last = last_row_in(s, part, t);
        ptrdiff_t mine = 0, end = maximum(0, last - first);
        if (part->units_split) part_of(end, 1, part->member, part->members, &mine, &end);
        for (ptrdiff_t i = mine; i < end; i++)
            copy_input(f->args, t, first + i, f->inputs_stride, to + i * width);
        to += maximum(0, last - first) * width;
    }
    if (part->units_split) fastgru_wait(&f->ready, part->members);
}

/* The member's rows of x, where a product finds them: gathered, if need be. */
static rows rows_of_x(forward_pass *f, const share *part, const chunk_part *c) {
    const shape *s = f->shape;
    const fastgru_forward *args = f->args;
    if (!reads_in_place(f, part)) {
        const ptrdiff_t stride = maximum(s->input_copies, 1) * f->inputs_stride;
        gather_inputs(f, part, c);
        return rows_at(f->inputs + c->area * stride, stride);
    }
    const REAL *x = (const REAL *)args->x + part->first_row * args->x_batch;
    if (s->schedule) return rows_at(x + offset_of(s, c->first_step) * args->x_step, args->x_step);
    return rows_of_steps(x + c->first_step * args->x_step, part->last_row - part->first_row,
                         args->x_batch, args->x_step);
}

/* The product on tiles: gate by gate where each has inputs of its own. */
static void project_split(const forward_pass *f, const share *part, const chunk_part *c, rows x) {
    const shape *s = f->shape;
    const ptrdiff_t width = f->gates * f->units_stride, column = part->first_unit * f->gates;
    const ptrdiff_t columns = (part->last_unit - part->first_unit) * f->gates;
    const int gated = s->input_copies > 1, products = gated ? f->gates : 1;
    for (int g = 0; g < products; g++) {
        const ptrdiff_t at = column + g * LANES;
        rows copy = x;
        copy.data += g * f->inputs_stride;
        multiply_split(&(split_product){
            .a = copy,
            .c = rows_at(f->projected + c->area * width + at, width),
            .last = c->row_count,
            .b_pieces = f->w + pieces_size(at, s->inputs),
            .depth = s->inputs,
            .columns = columns / products,
            .one_in = products,
            .start = f->input_bias + at,
            .scratch = f->scratch + part->member * SPLIT_SCRATCH,
        });
    }
}

/* The member's rows and units of the input projections of a chunk. */
static void project_inputs(forward_pass *f, const share *part, const chunk_part *c) {
    const shape *s = f->shape;
    const rows x = rows_of_x(f, part, c);
    if (inputs_use_tiles(s)) {
        project_split(f, part, c, x);
        return;
    }
    const ptrdiff_t width = f->gates * f->units_stride, column = part->first_unit * f->gates;
    multiply_packed(&(packed_product){
        .a = x,
        .c = rows_at(f->projected + c->area * width + column, width),
        .last = c->row_count,
        .b = f->w + column * s->inputs,
        .depth = s->inputs,
        .columns = (part->last_unit - part->first_unit) * f->gates,
        .vectors = panel_vectors(s),
        .start = f->input_bias + column,
        .gate_step = s->input_copies > 1 ? f->inputs_stride : 0,
        .gates = f->gates,
    });
}

/* ---- steps ---- */

/* What a step reads and writes: the member's rows are [first, last), and pointers are to the step's row 0. */
struct step {
    const share *part;
    ptrdiff_t index, first, last;
    REAL *recurrent;
    const REAL *projected;
    const REAL *before, *c_before;
    REAL *after, *c_after;
    REAL *cache; /* or NULL */
    REAL *y;     /* or NULL */
    ptrdiff_t y_batch;
    const fastgru_place *places; /* where y's rows are, if not y_batch apart */
};

/* An activation's value, and with a cache its derivative, unless it is the standard one. */
INLINE vec recurrent_activation(const forward_pass *f, vec x, int standard, vec *slope) {
    return standard ? sigmoid_vec(x) : activation_vec(f->shape->recurrent_activation, x, slope);
}
INLINE vec activation(const forward_pass *f, vec x, int standard, vec *slope) {
    return standard ? tanh_vec(x) : activation_vec(f->shape->activation, x, slope);
}

/* Row i's output, from a unit on. */
INLINE void store_output(const forward_pass *f, const step *t, ptrdiff_t i, ptrdiff_t j, vec h) {
    if (!t->y) return;
    const fastgru_place *p = t->places ? t->places + i : NULL;
    REAL *y = t->y + (p ? p->row * f->args->y_batch + p->step * f->args->y_step : i * t->y_batch);
    store_part(y + j, h, f->shape->units - j);
}

/* The product of the member's rows of a state with some columns of packed panels; those from `next` on come after. */
static void multiply_state(const forward_pass *f, const step *t, const REAL *state, int copies,
                           const REAL *panels_of_u, int vectors, ptrdiff_t column,
                           ptrdiff_t columns, ptrdiff_t next) {
    multiply_packed(&(packed_product){
        .a = rows_at(state, maximum(copies, 1) * f->units_stride),
        .c = rows_at(t->recurrent, columns),
        .gate_step = copies > 1 ? f->units_stride : 0,
        .gates = f->u_candidate ? 2 : f->gates,
        .first = t->first,
        .last = t->last,
        .b = panels_of_u + column * f->shape->units,
        .depth = f->shape->units,
        .columns = columns,
        .vectors = vectors,
        .next = panels_of_u + next * f->shape->units,
    });
}

/* The state that enters the product of all gates, or of all but the candidate. */
INLINE const REAL *state_for_product(const forward_pass *f, const step *t) {
    return f->shape->state_copies ? f->dropped : t->before;
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
    if (t->part->units_split) fastgru_wait(&f->ready, t->part->members);
}

/* Units whose panels one call of the product takes: several panels for one or two rows. */
INLINE ptrdiff_t units_at_once(const forward_pass *f, const step *t) {
    const ptrdiff_t panel = panel_vectors(f->shape), few = t->last - t->first <= 2;
    const ptrdiff_t vectors = f->gates == 4 ? 4 : panel; /* an LSTM's units have two panels */
    return (few ? MOST_PANELS * panel : vectors) / f->gates * LANES;
}

/* With few rows a step waits for U. Every other step walks the panels the other way round, and so begins with those that
 * the step before has just used. */
static void step_in_one_product(const forward_pass *f, const step *t) {
    const ptrdiff_t most = units_at_once(f, t), first = t->part->first_unit,
                    last = t->part->last_unit, gates = f->gates;
    const ptrdiff_t groups = (last - first + most - 1) / most;
    const int back = t->index % 2 && t->last - t->first <= GATE_ROWS;
    for (ptrdiff_t n = 0; n < groups; n++) {
        const ptrdiff_t unit = first + (back ? groups - 1 - n : n) * most,
                        units = minimum(most, last - unit);
        const ptrdiff_t next = back ? maximum(unit - most, first) : unit + most;
        multiply_state(f, t, state_for_product(f, t), f->shape->state_copies, f->u,
                       panel_vectors(f->shape), unit * gates, units * gates, next * gates);
        f->finish(f, t, unit, units / LANES);
    }
}

static void step_reset_before(forward_pass *f, const step *t);

/* What y shows where a row's steps don't count: from its step at hand to the next that does. */
static void fill_gaps(const forward_pass *f, const step *t) {
    const ptrdiff_t first = t->part->first_unit, y_step = f->args->y_step;
    const size_t bytes =
        (size_t)(minimum(t->part->last_unit, f->shape->units) - first) * sizeof(REAL);
    for (ptrdiff_t i = t->first; i < t->last; i++) {
        const fastgru_place *p = t->places + i;
        REAL *y = t->y + p->row * f->args->y_batch + first;
        for (ptrdiff_t n = p->step + 1; n < p->next; n++) {
            if (f->shape->repeats) memcpy(y + n * y_step, y + p->step * y_step, bytes);
            else memset(y + n * y_step, 0, bytes);
        }
        for (ptrdiff_t n = 0; t->index == 0 && n < p->step; n++) memset(y + n * y_step, 0, bytes);
    }
}

static step begin_step(const forward_pass *f, const share *part, ptrdiff_t i,
                       const REAL *projected) {
    const shape *s = f->shape;
    const ptrdiff_t hs = f->units_stride, offset = offset_of(s, i);
    const ptrdiff_t before = states_before(s, i) * hs, after = (s->batch + offset) * hs;
    step t = {.part = part, .index = i, .first = part->first_row, .projected = projected};
    t.last = last_row_in(s, part, i);
    t.recurrent = f->recurrent + part->member * recurrent_size(s);
    t.before = f->states ? f->states + before : f->state[i % 2];
    t.after = f->again ? f->state[0] : f->states ? f->states + after : f->state[(i + 1) % 2];
    t.c_before = f->c_states ? f->c_states + before : f->c_state;
    t.c_after = f->c_states && !f->again ? f->c_states + after : f->c_state;
    if (f->cache) t.cache = f->cache + (offset - offset_of(s, f->cached_from)) * cached_row(s);
    if (f->again || !f->args->y) return t;
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
    for (ptrdiff_t i = first; i < end; i++) {
        if (i == c.end) {
            c = part_of_chunk(s, part, i, minimum(end, chunk_end(s, i, projected_rows(s))));
            project_inputs(f, part, &c);
            projected = f->projected + c.area * width;
        }
        const step t = begin_step(f, part, i, projected - part->first_row * width);
        if (s->state_copies) drop_state(f, &t);
        if (f->u_candidate) step_reset_before(f, &t);
        else step_in_one_product(f, &t);
        if (t.places) fill_gaps(f, &t);
        projected += maximum(0, t.last - t.first) * width;
        if (part->units_split) fastgru_wait(&f->ready, part->members);
    }
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
        for (ptrdiff_t t = 0; steps == 0 && y && t < s->steps; t++)
            memset(y + t * args->y_step, 0, (size_t)s->units * sizeof(REAL));
    }
}

static void forward(const fastgru_forward *args) {
    const shape *s = &args->shape;
    const int threads = threads_for(s, args->threads);
    forward_pass f = begin_forward(args, threads, args->workspace);
    load_states(s, args->h0, f.states ? f.states : f.state[0]);
    if (s->cell == FASTGRU_LSTM) load_states(s, args->c0, f.c_states ? f.c_states : f.c_state);
    fastgru_run_team(threads, forward_task, &f);
    save_results(&f);
}

#endif
