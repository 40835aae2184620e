/* A dense layer: y = activation(x W + b), and its gradients. */
#ifndef FASTGRU_DENSE_H
#define FASTGRU_DENSE_H

#include "elementary.h"
#include "product.h"

/* What a backward pass works on. The forward pass has packed weights alone. */
typedef struct {
    REAL *before, *packed_before; /* gradients before the activation */
    REAL *kernel_transposed, *lines_of_x;
} dense_buffers;

/* Returns where they end. */
static REAL *lay_out_dense(dense_buffers *b, const fastgru_dense *d, REAL *buffer) {
    b->before = take(&buffer, d->rows * d->units);
    b->packed_before = take(&buffer, plain_size(d->rows, d->units));
    b->kernel_transposed = take(&buffer, plain_size(d->units, d->inputs));
    b->lines_of_x = take(&buffer, lines_size(d->rows, d->inputs));
    return buffer;
}

static size_t dense_workspace(const fastgru_dense *d) {
    dense_buffers b;
    REAL origin; /* addresses are subtracted, never used */
    const ptrdiff_t backward = lay_out_dense(&b, d, &origin) - &origin;
    return (size_t)maximum(plain_size(d->inputs, d->units), backward);
}

INLINE vec relu_vec(vec x) { return max_(x, splat(0)); }

/* Each activation in a loop of its own; the switch stays outside. */
#define EACH(expression)                                                                           \
    for (ptrdiff_t i = 0; i < count; i += LANES) {                                                 \
        const ptrdiff_t left = count - i;                                                          \
        store_part(to + i, expression, left);                                                      \
    }

static void activate(fastgru_activation activation, ptrdiff_t count, REAL *to) {
    switch (activation) {
    case FASTGRU_LINEAR:
        break;
    case FASTGRU_RELU:
        EACH(relu_vec(load_part(to + i, left)))
        break;
    case FASTGRU_SIGMOID:
        EACH(sigmoid_vec(load_part(to + i, left)))
        break;
    case FASTGRU_TANH:
        EACH(tanh_vec(load_part(to + i, left)))
        break;
    default: /* the caller's */
        break;
    }
}

/* The gradient before the activation, by the activation's value. */
static void deactivate(fastgru_activation activation, ptrdiff_t count, const REAL *dy,
                       const REAL *y, REAL *to) {
    switch (activation) {
    case FASTGRU_LINEAR:
        memcpy(to, dy, (size_t)count * sizeof(REAL));
        break;
    case FASTGRU_RELU:
        EACH((vec)((ivec)load_part(dy + i, left) & (load_part(y + i, left) > splat(0))))
        break;
    case FASTGRU_SIGMOID:
        EACH(through_sigmoid(load_part(dy + i, left), load_part(y + i, left)))
        break;
    case FASTGRU_TANH:
        EACH(through_tanh(load_part(dy + i, left), load_part(y + i, left)))
        break;
    default: /* the caller's */
        break;
    }
}
#undef EACH

static void dense_forward(const fastgru_dense *d) {
    REAL *packed = d->workspace;
    pack_plain(d->kernel, d->units, 1, d->inputs, d->units, packed, 0, d->inputs);
    multiply_packed(&(packed_product){
        .a = rows_at(d->x, d->inputs),
        .c = rows_at(d->y, d->units),
        .last = d->rows,
        .b = packed,
        .depth = d->inputs,
        .columns = d->units,
        .vectors = PLAIN,
        .start = d->bias,
    });
    activate(d->activation, d->rows * d->units, d->y);
}

static void dense_backward(const fastgru_dense *d) {
    dense_buffers b;
    lay_out_dense(&b, d, d->workspace);
    const rows x = rows_at(d->x, d->inputs);
    deactivate(d->activation, d->rows * d->units, d->dy, d->y, b.before);
    pack_plain(b.before, d->units, 1, d->rows, d->units, b.packed_before, 0, d->rows);
    pack_lines(&x, 0, d->rows, d->inputs, b.lines_of_x, d->rows);
    multiply_packed(&(packed_product){
        .a = {.data = b.lines_of_x},
        .transposed = 1,
        .c = rows_at(d->dkernel, d->units),
        .last = d->inputs,
        .b = b.packed_before,
        .depth = d->rows,
        .columns = d->units,
        .vectors = PLAIN,
    });
    pack_plain(d->kernel, 1, d->units, d->units, d->inputs, b.kernel_transposed, 0, d->units);
    multiply_packed(&(packed_product){
        .a = rows_at(b.before, d->units),
        .c = rows_at(d->dx, d->inputs),
        .last = d->rows,
        .b = b.kernel_transposed,
        .depth = d->units,
        .columns = d->inputs,
        .vectors = PLAIN,
    });
    if (!d->dbias) return;
    memset(d->dbias, 0, (size_t)d->units * sizeof(REAL));
    const rows before = rows_at(b.before, d->units);
    add_rows(&before, 0, d->rows, d->units, d->dbias);
}

#endif
