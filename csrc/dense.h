/* A dense layer: y = activation(x W + b), and its gradients. */
#ifndef FASTGRU_DENSE_H
#define FASTGRU_DENSE_H

#include "elementary.h"
#include "product.h"

static size_t dense_workspace(const fastgru_dense *d) {
    const ptrdiff_t forward = plain_size(d->inputs, d->units);
    const ptrdiff_t backward = d->rows * d->units + plain_size(d->rows, d->units) +
                               plain_size(d->units, d->inputs) + lines_size(d->rows, d->inputs);
    return (size_t)maximum(forward, backward);
}

INLINE vec relu_vec(vec x) { return max_(x, splat(0)); }

/* Each activation in a loop of its own; the switch stays outside. */
#define EACH(expression)                                                                           \
    for (ptrdiff_t i = 0; i < count; i += LANES) {                                                 \
        const ptrdiff_t left = count - i;                                                          \
        store_part(to + i, expression, left);                                                      \
    }                                                                                              \
    break

static void activate(fastgru_activation activation, ptrdiff_t count, REAL *to) {
    switch (activation) {
    case FASTGRU_LINEAR:
        break;
    case FASTGRU_RELU:
        EACH(relu_vec(load_part(to + i, left)));
    case FASTGRU_SIGMOID:
        EACH(sigmoid_vec(load_part(to + i, left)));
    case FASTGRU_TANH:
        EACH(tanh_vec(load_part(to + i, left)));
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
        EACH((vec)((ivec)load_part(dy + i, left) & (load_part(y + i, left) > splat(0))));
    case FASTGRU_SIGMOID:
        EACH(through_sigmoid(load_part(dy + i, left), load_part(y + i, left)));
    case FASTGRU_TANH:
        EACH(through_tanh(load_part(dy + i, left), load_part(y + i, left)));
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
    REAL *buffer = d->workspace;
    REAL *before = buffer, *packed_before = before + d->rows * d->units;
    REAL *kernel_transposed = packed_before + plain_size(d->rows, d->units);
    REAL *lines = kernel_transposed + plain_size(d->units, d->inputs);
    const rows x = rows_at(d->x, d->inputs);
    deactivate(d->activation, d->rows * d->units, d->dy, d->y, before);
    pack_plain(before, d->units, 1, d->rows, d->units, packed_before, 0, d->rows);
    pack_lines(&x, 0, d->rows, d->inputs, lines, d->rows);
    multiply_packed(&(packed_product){
        .a = {.data = lines},
        .transposed = 1,
        .c = rows_at(d->dkernel, d->units),
        .last = d->inputs,
        .b = packed_before,
        .depth = d->rows,
        .columns = d->units,
        .vectors = PLAIN,
    });
    pack_plain(d->kernel, 1, d->units, d->units, d->inputs, kernel_transposed, 0, d->units);
    multiply_packed(&(packed_product){
        .a = rows_at(before, d->units),
        .c = rows_at(d->dx, d->inputs),
        .last = d->rows,
        .b = kernel_transposed,
        .depth = d->units,
        .columns = d->inputs,
        .vectors = PLAIN,
    });
    if (!d->dbias) return;
    memset(d->dbias, 0, (size_t)d->units * sizeof(REAL));
    add_rows(before, d->units, d->rows, d->units, d->dbias);
}

#endif
