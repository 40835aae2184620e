#include "recurrent_plain.h"

#include <stdio.h>

int gates_of(const options *o) {
    return o->shape.cell == FASTGRU_GRU ? 3 : o->shape.cell == FASTGRU_LSTM ? 4 : 1;
}

static int has_two_biases(const options *o) {
    return o->shape.cell == FASTGRU_GRU && o->shape.reset_after;
}

size_t bias_size(const options *o) {
    return (size_t)((has_two_biases(o) ? 2 : 1) * gates_of(o) * o->shape.units);
}

/* ---- problems ---- */

static layout layout_of(layout_kind kind, ptrdiff_t batch, ptrdiff_t steps, ptrdiff_t width) {
    const ptrdiff_t gap = 3, row = width + gap;
    switch (kind) {
    case STEPS_FIRST:
        return (layout){width, batch * width, 0, (size_t)(batch * steps * width)};
    case WITH_GAPS:
        return (layout){row, batch * row + gap, gap, (size_t)(steps * (batch * row + gap) + gap)};
    case BACKWARDS:
        return (layout){steps * width, -width, steps ? (steps - 1) * width : 0,
                        (size_t)(batch * steps * width)};
    default:
        return (layout){steps * width, width, 0, (size_t)(batch * steps * width)};
    }
}

static layout packed_layout(layout_kind kind, ptrdiff_t rows, ptrdiff_t width) {
    const ptrdiff_t stride = kind == WITH_GAPS ? width + 3 : width;
    return (layout){0, stride, 0, (size_t)(rows * stride)};
}

/* Some rows full, some empty, some with holes anywhere. */
static void draw_mask(problem *p) {
    const ptrdiff_t steps = p->is.shape.steps, size = p->is.shape.batch * steps;
    p->mask = malloc((size_t)size + !size);
    for (ptrdiff_t b = 0; b < p->is.shape.batch; b++) {
        const int kind = draw_below(6);
        for (ptrdiff_t t = 0; t < steps; t++)
            p->mask[b * steps + t] = kind == 0   ? 0
                                     : kind == 1 ? 1
                                                 : (unsigned char)(draw_below(3) * 85);
    }
}

static void draw_sizes(problem *p) {
    const ptrdiff_t steps = p->is.shape.steps;
    p->sizes = malloc(sizeof *p->sizes * (size_t)(steps + 1));
    p->offsets = malloc(sizeof *p->offsets * (size_t)(steps + 1));
    ptrdiff_t size = p->is.shape.batch;
    p->offsets[0] = 0;
    for (ptrdiff_t t = 0; t < steps; t++) {
        p->sizes[t] = size;
        p->offsets[t + 1] = p->offsets[t] + size;
        if (size > 1 && draw_below(5) == 0) size -= draw_below((int)size / 2 + 1);
    }
}

static void lay_out(problem *p) {
    const fastgru_shape *s = &p->is.shape;
    if (p->is.rows == PACKED) {
        p->x_at = packed_layout(p->is.x_kind, p->offsets[s->steps], s->inputs);
        p->y_at = packed_layout(p->is.y_kind, p->offsets[s->steps], s->units);
    } else {
        p->x_at = layout_of(p->is.x_kind, s->batch, s->steps, s->inputs);
        p->y_at = layout_of(p->is.y_kind, s->batch, s->steps, s->units);
    }
}

int counts(const problem *p, ptrdiff_t b, ptrdiff_t t) {
    if (p->mask) return p->mask[b * p->is.shape.steps + t] != 0;
    return !p->sizes || p->sizes[t] > b;
}

static ptrdiff_t index_of(const problem *p, const layout *l, ptrdiff_t b, ptrdiff_t t) {
    if (p->sizes) return (p->offsets[t] + b) * l->step;
    return l->origin + b * l->batch + t * l->step;
}
ptrdiff_t x_index(const problem *p, ptrdiff_t b, ptrdiff_t t) {
    return index_of(p, &p->x_at, b, t);
}
ptrdiff_t y_index(const problem *p, ptrdiff_t b, ptrdiff_t t) {
    return index_of(p, &p->y_at, b, t);
}

/* x in gaps and steps that don't count is NaN: nothing may depend on it. */
static void draw_inputs(problem *p) {
    const fastgru_shape *s = &p->is.shape;
    p->x = new_array(p->x_at.size);
    for (ptrdiff_t b = 0; b < s->batch; b++)
        for (ptrdiff_t t = 0; t < s->steps; t++)
            for (ptrdiff_t k = 0; counts(p, b, t) && k < s->inputs; k++)
                put(&p->x, x_index(p, b, t) + k, draw());
}

static void name_case(const options *o) {
    static const char *const cells[] = {"GRU", "LSTM", "SimpleRNN"};
    static const char *const rows[] = {"", " masked", " packed"};
    const fastgru_shape *s = &o->shape;
    snprintf(case_name, sizeof case_name,
             "%s%s B=%d T=%d I=%d H=%d%s%s%s activations=%d,%d dropout=%d,%d%s%s%s%s%s%s%s "
             "layouts=%d,%d",
             cells[s->cell], rows[o->rows], (int)s->batch, (int)s->steps, (int)s->inputs,
             (int)s->units, s->reset_after ? " reset_after" : "",
             s->update_replaces ? " update_replaces" : "", s->repeats ? " repeats" : "",
             (int)s->activation, (int)s->recurrent_activation, s->input_copies, s->state_copies,
             o->has_bias ? " bias" : "", o->has_states ? " states" : "", o->has_dy ? " dy" : "",
             o->has_last ? " dh_n" : "", o->torch_weights ? " torch" : "",
             s->resets_first ? " rzn" : "", s->transposes_gradients ? " transposed" : "",
             (int)o->x_kind, (int)o->y_kind);
}

problem new_problem(const options *o) {
    const fastgru_shape *s = &o->shape;
    const size_t B = (size_t)s->batch, I = (size_t)s->inputs, H = (size_t)s->units,
                 G = (size_t)gates_of(o);
    const int lstm = s->cell == FASTGRU_LSTM;
    const double scale = 1.5 / sqrt((double)(I + H));
    problem p = {.is = *o};
    name_case(o);
    if (o->rows == MASKED) draw_mask(&p);
    if (o->rows == PACKED) draw_sizes(&p);
    lay_out(&p);
    draw_inputs(&p);
    p.kernel = drawn(I * G * H, scale);
    p.recurrent = drawn(H * G * H, scale);
    if (o->has_bias) p.bias = drawn(bias_size(o), 0.5);
    if (o->has_states) p.h0 = drawn(B * H, 1);
    if (o->has_states && lstm) p.c0 = drawn(B * H, 1);
    if (s->input_copies) p.input_dropout = drawn((size_t)s->input_copies * B * I, 2);
    if (s->state_copies) p.state_dropout = drawn((size_t)s->state_copies * B * H, 2);
    if (o->has_dy) p.dy = drawn(p.y_at.size, 1);
    if (o->has_last) p.dh_n = drawn(B * H, 1);
    if (o->has_last && lstm) p.dc_n = drawn(B * H, 1);
    return p;
}

void release_problem(problem *p) {
    array *const all[] = {&p->x,  &p->kernel, &p->recurrent,     &p->bias,
                          &p->h0, &p->c0,     &p->input_dropout, &p->state_dropout,
                          &p->dy, &p->dh_n,   &p->dc_n};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) release(all[i]);
    free(p->mask), free(p->sizes), free(p->offsets);
}

/* The b-th row of each copy of a (copies, B, width). */
static array row_of_copies(const array *a, int copies, ptrdiff_t batch, ptrdiff_t b,
                           ptrdiff_t width) {
    if (!a->data) return (array){0};
    array rows = new_array((size_t)(copies * width));
    for (ptrdiff_t i = 0; i < copies * width; i++)
        put(&rows, i, a->numbers[(i / width * batch + b) * width + i % width]);
    return rows;
}

problem row_of(const problem *p, ptrdiff_t b) {
    const fastgru_shape *s = &p->is.shape;
    problem one = {.is = p->is};
    one.is.rows = EVEN;
    one.is.x_kind = one.is.y_kind = ROWS_FIRST;
    one.is.shape.batch = 1;
    one.is.shape.steps = 0;
    for (ptrdiff_t t = 0; t < s->steps; t++) one.is.shape.steps += counts(p, b, t);
    lay_out(&one);
    one.x = new_array(one.x_at.size);
    if (p->dy.data) one.dy = new_array(one.y_at.size);
    for (ptrdiff_t t = 0, n = 0; t < s->steps; t++) {
        if (!counts(p, b, t)) continue;
        for (ptrdiff_t k = 0; k < s->inputs; k++)
            put(&one.x, n * s->inputs + k, p->x.numbers[x_index(p, b, t) + k]);
        for (ptrdiff_t j = 0; p->dy.data && j < s->units; j++)
            put(&one.dy, n * s->units + j, p->dy.numbers[y_index(p, b, t) + j]);
        n++;
    }
    one.kernel = copy_of(&p->kernel, 0, p->kernel.count);
    one.recurrent = copy_of(&p->recurrent, 0, p->recurrent.count);
    one.bias = copy_of(&p->bias, 0, p->bias.count);
    const array *const states[] = {&p->h0, &p->c0, &p->dh_n, &p->dc_n};
    array *const of_one[] = {&one.h0, &one.c0, &one.dh_n, &one.dc_n};
    for (int i = 0; i < 4; i++) *of_one[i] = copy_of(states[i], b * s->units, (size_t)s->units);
    one.input_dropout = row_of_copies(&p->input_dropout, s->input_copies, s->batch, b, s->inputs);
    one.state_dropout = row_of_copies(&p->state_dropout, s->state_copies, s->batch, b, s->units);
    return one;
}

/* ---- the equations ---- */

static double sigmoid_of(double x) { return 1 / (1 + exp(-x)); }
static double within(double x, double low, double high) { return fmin(fmax(x, low), high); }
static double softplus_of(double x) { return fmax(x, 0) + log1p(exp(-fabs(x))); }

static double activation_of(fastgru_activation kind, double x) {
    switch (kind) {
    case FASTGRU_LINEAR:
        return x;
    case FASTGRU_RELU:
        return fmax(x, 0);
    case FASTGRU_SIGMOID:
        return sigmoid_of(x);
    case FASTGRU_TANH:
        return tanh(x);
    case FASTGRU_HARD_SIGMOID:
        return within(x / 6 + 0.5, 0, 1);
    case FASTGRU_HARD_TANH:
        return within(x, -1, 1);
    case FASTGRU_SOFTSIGN:
        return x / (1 + fabs(x));
    case FASTGRU_RELU6:
        return within(x, 0, 6);
    case FASTGRU_LEAKY_RELU:
        return x > 0 ? x : 0.2 * x;
    case FASTGRU_ELU:
        return x > 0 ? x : expm1(x);
    case FASTGRU_SELU:
        return 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * expm1(x));
    case FASTGRU_SOFTPLUS:
        return softplus_of(x);
    case FASTGRU_SQUAREPLUS:
        return (x + sqrt(x * x + 4)) / 2;
    case FASTGRU_EXPONENTIAL:
        return exp(x);
    case FASTGRU_LOG_SIGMOID:
        return -softplus_of(-x);
    case FASTGRU_TANH_SHRINK:
        return x - tanh(x);
    case FASTGRU_GELU:
        return x * erfc(-x / sqrt(2)) / 2;
    case FASTGRU_SILU:
        return x * sigmoid_of(x);
    case FASTGRU_HARD_SILU:
        return x * within(x / 6 + 0.5, 0, 1);
    case FASTGRU_MISH:
        return x * tanh(softplus_of(x));
    }
    return NAN;
}

/* One row's step: where it stands, and what its gates meet. */
typedef struct {
    const problem *p;
    ptrdiff_t row;
    const double *x;
    double *h, *c;
} plain_step;

/* The factor on element k of a row, for a gate. */
static double factor_of(const array *dropout, int copies, const plain_step *t, int gate,
                        ptrdiff_t width, ptrdiff_t k) {
    const ptrdiff_t copy = copies > 1 ? gate : 0;
    return copies ? dropout->numbers[(copy * t->p->is.shape.batch + t->row) * width + k] : 1;
}

/* x W + b of a gate's unit. */
static double from_x(const plain_step *t, int gate, ptrdiff_t j) {
    const problem *p = t->p;
    const fastgru_shape *s = &p->is.shape;
    const ptrdiff_t width = gates_of(&p->is) * s->units, column = gate * s->units + j;
    double sum = p->bias.data ? p->bias.numbers[column] : 0;
    for (ptrdiff_t k = 0; k < s->inputs; k++)
        sum += t->x[k] * p->kernel.numbers[k * width + column] *
               factor_of(&p->input_dropout, s->input_copies, t, gate, s->inputs, k);
    return sum;
}

/* h U + c, for h or what stands for it. */
static double from_state(const plain_step *t, int gate, ptrdiff_t j, const double *h) {
    const problem *p = t->p;
    const fastgru_shape *s = &p->is.shape;
    const ptrdiff_t width = gates_of(&p->is) * s->units, column = gate * s->units + j;
    double sum = p->bias.data && has_two_biases(&p->is) ? p->bias.numbers[width + column] : 0;
    for (ptrdiff_t k = 0; k < s->units; k++)
        sum += h[k] * p->recurrent.numbers[k * width + column] *
               factor_of(&p->state_dropout, s->state_copies, t, gate, s->units, k);
    return sum;
}

static double gate_of(const plain_step *t, int gate, ptrdiff_t j) {
    return activation_of(t->p->is.shape.recurrent_activation,
                         from_x(t, gate, j) + from_state(t, gate, j, t->h));
}

static void plain_gru(const plain_step *t, double *next) {
    enum { Z, R, N };
    const fastgru_shape *s = &t->p->is.shape;
    double r[MOST_UNITS], reset[MOST_UNITS];
    for (ptrdiff_t j = 0; j < s->units; j++) {
        r[j] = gate_of(t, R, j);
        reset[j] = r[j] * t->h[j];
    }
    for (ptrdiff_t j = 0; j < s->units; j++) {
        const double recurrent =
            s->reset_after ? r[j] * from_state(t, N, j, t->h) : from_state(t, N, j, reset);
        const double z = gate_of(t, Z, j),
                     n = activation_of(s->activation, from_x(t, N, j) + recurrent);
        next[j] = s->update_replaces ? z * n + (1 - z) * t->h[j] : z * t->h[j] + (1 - z) * n;
    }
}

static void plain_lstm(const plain_step *t, double *next) {
    enum { I, F, G, O };
    const fastgru_shape *s = &t->p->is.shape;
    for (ptrdiff_t j = 0; j < s->units; j++) {
        const double g = activation_of(s->activation, from_x(t, G, j) + from_state(t, G, j, t->h));
        t->c[j] = gate_of(t, F, j) * t->c[j] + gate_of(t, I, j) * g;
        next[j] = gate_of(t, O, j) * activation_of(s->activation, t->c[j]);
    }
}

static void plain_simple_rnn(const plain_step *t, double *next) {
    const fastgru_shape *s = &t->p->is.shape;
    for (ptrdiff_t j = 0; j < s->units; j++)
        next[j] = activation_of(s->activation, from_x(t, 0, j) + from_state(t, 0, j, t->h));
}

static void advance(const plain_step *t) {
    double next[MOST_UNITS];
    switch (t->p->is.shape.cell) {
    case FASTGRU_GRU:
        plain_gru(t, next);
        break;
    case FASTGRU_LSTM:
        plain_lstm(t, next);
        break;
    case FASTGRU_SIMPLE_RNN:
        plain_simple_rnn(t, next);
        break;
    }
    memcpy(t->h, next, sizeof *next * (size_t)t->p->is.shape.units);
}

static double *numbers(size_t count, double value) {
    double *a = malloc(sizeof *a * (count + 1));
    if (!a) exit(2);
    for (size_t i = 0; i < count; i++) a[i] = value;
    return a;
}

plain_results plain_forward(const problem *p) {
    const fastgru_shape *s = &p->is.shape;
    const ptrdiff_t H = s->units;
    const size_t states = (size_t)(s->batch * H), row = sizeof(double) * (size_t)H;
    plain_results o = {numbers(p->y_at.size, NAN), numbers(states, 0), numbers(states, 0)};
    for (size_t i = 0; i < states && p->is.has_states; i++) {
        o.h[i] = p->h0.numbers[i];
        if (p->c0.data) o.c[i] = p->c0.numbers[i];
    }
    for (ptrdiff_t b = 0; b < s->batch; b++) {
        plain_step t = {.p = p, .row = b, .h = o.h + b * H, .c = o.c + b * H};
        double shown[MOST_UNITS] = {0};
        for (ptrdiff_t i = 0; i < s->steps; i++) {
            if (p->sizes && !counts(p, b, i)) break;
            if (counts(p, b, i)) {
                t.x = p->x.numbers + x_index(p, b, i);
                advance(&t);
                memcpy(shown, t.h, row);
            } else if (!s->repeats) memset(shown, 0, row);
            memcpy(o.y + y_index(p, b, i), shown, row);
        }
    }
    return o;
}

void release_results(plain_results *o) { free(o->y), free(o->h), free(o->c); }

double plain_loss(const problem *p) {
    plain_results o = plain_forward(p);
    double loss = 0;
    for (size_t i = 0; i < p->dy.count; i++)
        if (!isnan(o.y[i])) loss += o.y[i] * p->dy.numbers[i];
    for (size_t i = 0; i < p->dh_n.count; i++) loss += o.h[i] * p->dh_n.numbers[i];
    for (size_t i = 0; i < p->dc_n.count; i++) loss += o.c[i] * p->dc_n.numbers[i];
    release_results(&o);
    return loss;
}
