/* A recurrent layer's problem, and its solution by the equations of fastgru.h: plain loops in double precision, row by
 * row, so that masks, packed rows and dropout are trivial. */
#ifndef RECURRENT_PLAIN_H
#define RECURRENT_PLAIN_H

#include "check.h"

/* How x and y lie in memory. */
typedef enum { ROWS_FIRST, STEPS_FIRST, WITH_GAPS, BACKWARDS, LAYOUTS } layout_kind;
typedef struct {
    ptrdiff_t batch, step, origin;
    size_t size;
} layout;

typedef enum { EVEN, MASKED, PACKED, RAGGEDNESS } raggedness; /* the rows */

typedef struct {
    fastgru_shape shape; /* its schedule is made for each call */
    raggedness rows;
    layout_kind x_kind, y_kind;
    int has_bias, has_states, has_dy, has_last;
    int torch_weights; /* (G H, I), gates in another order */
} options;

typedef struct {
    options is;
    layout x_at, y_at;
    unsigned char *mask; /* (B, T) */
    int64_t *sizes;      /* (T) */
    ptrdiff_t *offsets;  /* (T + 1): rows of steps before, if packed */
    array x, kernel, recurrent, bias, h0, c0, input_dropout, state_dropout;
    array dy, dh_n, dc_n; /* the loss is the sum of y dy + h_n dh_n + c_n dc_n */
} problem;

enum { MOST_UNITS = 400 };

int gates_of(const options *);
size_t bias_size(const options *);

problem new_problem(const options *); /* drawn; names the case */
void release_problem(problem *);

/* Row b alone with only the steps that count, nothing packed, masked or strided. */
problem row_of(const problem *, ptrdiff_t b);

/* Whether row b takes part in a step, and where that step's row of x and y begins. */
int counts(const problem *, ptrdiff_t b, ptrdiff_t t);
ptrdiff_t x_index(const problem *, ptrdiff_t b, ptrdiff_t t);
ptrdiff_t y_index(const problem *, ptrdiff_t b, ptrdiff_t t);

/* y as laid out in memory, NaN in the gaps; the last states (B, H). */
typedef struct {
    double *y, *h, *c;
} plain_results;

plain_results plain_forward(const problem *);
void release_results(plain_results *);
double plain_loss(const problem *);

#endif
