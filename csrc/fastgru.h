/* fastgru: Gated Recurrent Units on CPUs. The C API, and its manual.
 *
 * Letters: B batch, T time steps, I input features, H hidden units, V vocabulary.
 * Gates, always in this order: z update, r reset, n candidate.
 *
 * The library never allocates, prints, aborts or keeps a pointer after a call. The caller owns every buffer.
 * Sizes and strides are counted in elements, not bytes. Unless a comment says otherwise arrays are
 * contiguous in C order, may be unaligned, must not overlap an array that is written, and NULL means absent.
 * All data of one table of kernels has one real type: float or double.
 *
 * A row's outputs have the same bits whatever the batch it is part of, and all results have the same bits at any
 * number of threads: every sum runs over its terms in order, whatever the blocking and whoever computes it.
 *
 * Inside the GRU's passes numbers below normal size count as zero; the caller's floating-point mode is restored.
 *
 * Any number of threads may call at the same time. The library's own threads start with the first call that shares
 * its work, and are started anew after a fork. */
#ifndef FASTGRU_H
#define FASTGRU_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    FASTGRU_OK = 0,
    FASTGRU_BAD_ID,    /* an id outside [0, vocabulary) */
    FASTGRU_BAD_LABEL, /* a label that is NaN or outside [0, 1] */
} fastgru_status;

typedef enum { FASTGRU_FLOAT32 = 0, FASTGRU_FLOAT64 = 1 } fastgru_real;

typedef enum {
    FASTGRU_LINEAR = 0,
    FASTGRU_RELU,
    FASTGRU_SIGMOID,
    FASTGRU_TANH,
} fastgru_activation;

/* What a GRU computes, for one step of one row:
 *   r = sigmoid(x W_r + b_r + h U_r + c_r)      z likewise
 *   n = tanh(x W_n + b_n + r * (h U_n + c_n))   reset_after (c is the bias' second row)
 *   n = tanh(x W_n + b_n + (r * h) U_n)         otherwise; there is no c
 *   h' = z * h + (1 - z) * n                    or z * n + (1 - z) * h where update_replaces */
typedef struct {
    ptrdiff_t batch, steps, inputs, units;
    int reset_after;
    int update_replaces;
} fastgru_gru_shape;

/* One of the two weight matrices, in any layout: element (k, j) of a gate's block stands at
 * data[gate[g] + k * row + j * column]; k counts inputs (or previous units), j units, g is z, r, n. */
typedef struct {
    const void *data;
    ptrdiff_t row, column;
    ptrdiff_t gate[3];
} fastgru_gru_weights;

typedef struct {
    fastgru_gru_shape shape;
    const void *x; /* (B, T, I): features contiguous; the other two strides are free, a negative
                      step stride walks time backwards */
    ptrdiff_t x_batch, x_step;
    const void *packed; /* written by gru_pack for the same inputs, units and reset_after */
    const void *bias;   /* reset_after: (2, 3H), else (3H); or NULL */
    const void *h0;     /* (B, H) or NULL for zeros */
    void *y;            /* (B, T, H), units contiguous, the other strides free; or NULL */
    ptrdiff_t y_batch, y_step;
    void *h_n;       /* (B, H) */
    void *cache;     /* gru_cache_size elements, read by gru_backward; NULL in inference */
    void *workspace; /* gru_forward_workspace elements for the same number of threads */
    int threads;     /* at most so many work together; fewer where the work is too small to share */
} fastgru_gru_forward;

typedef struct {
    fastgru_gru_shape shape;
    const void *x; /* as in the forward call */
    ptrdiff_t x_batch, x_step;
    fastgru_gru_weights kernel, recurrent; /* as they were in the forward call */
    const void *cache;                     /* written by gru_forward; read only */
    const void *dy;                        /* (B, T, H), strides as y's; or NULL */
    ptrdiff_t dy_batch, dy_step;
    const void *dh_n; /* (B, H) or NULL */
    void *dx;         /* (B, T, I), strides as x's */
    ptrdiff_t dx_batch, dx_step;
    void *dkernel;    /* (I, 3H) */
    void *drecurrent; /* (H, 3H) */
    void *dbias;      /* as bias; or NULL */
    void *dh0;        /* (B, H) or NULL */
    void *workspace;  /* gru_backward_workspace elements */
    int threads;      /* as in the forward call */
} fastgru_gru_backward;

/* y = activation(x kernel + bias): rows of x are contiguous. */
typedef struct {
    ptrdiff_t rows, inputs, units;
    fastgru_activation activation;
    const void *x;      /* (rows, I) */
    const void *kernel; /* (I, units) */
    const void *bias;   /* (units) or NULL */
    void *y;            /* (rows, units): written by forward, read by backward */
    const void *dy;     /* backward only, as are the gradients below */
    void *dx;
    void *dkernel;
    void *dbias;     /* or NULL */
    void *workspace; /* dense_workspace elements */
} fastgru_dense;

/* Kingma and Ba 2015, with epsilon outside the bias correction as in Keras:
 *   m += (1 - beta_1) (g - m);  v += (1 - beta_2) (g^2 - v);  p -= rate m / (sqrt(v) + epsilon)
 * where rate = learning_rate sqrt(1 - beta_2^step) / (1 - beta_1^step) is the caller's. */
typedef struct {
    double rate, beta_1, beta_2, epsilon;
} fastgru_adam;

/* The kernels of one instruction set for one real type. Sizes are in elements. */
typedef struct {
    const char *isa; /* "baseline", "avx2", "avx512", "neon", ... */
    int lanes;       /* reals in a vector */

    size_t (*gru_packed_size)(const fastgru_gru_shape *);
    size_t (*gru_cache_size)(const fastgru_gru_shape *);
    size_t (*gru_forward_workspace)(const fastgru_gru_shape *, int threads);
    size_t (*gru_backward_workspace)(const fastgru_gru_shape *);
    void (*gru_pack)(const fastgru_gru_shape *, const fastgru_gru_weights *kernel,
                     const fastgru_gru_weights *recurrent, void *packed);
    void (*gru_forward)(const fastgru_gru_forward *);
    void (*gru_backward)(const fastgru_gru_backward *);

    size_t (*dense_workspace)(const fastgru_dense *);
    void (*dense_forward)(const fastgru_dense *);
    void (*dense_backward)(const fastgru_dense *);

    /* y (count, width) = the rows of table (vocabulary, width) that ids name. BAD_ID: *bad is its index. */
    fastgru_status (*embedding_forward)(const int64_t *ids, ptrdiff_t count, const void *table,
                                        ptrdiff_t vocabulary, ptrdiff_t width, void *y,
                                        ptrdiff_t *bad);
    /* dtable, zeroed here, += the rows of dy, in their order. */
    fastgru_status (*embedding_backward)(const int64_t *ids, ptrdiff_t count, const void *dy,
                                         ptrdiff_t vocabulary, ptrdiff_t width, void *dtable,
                                         ptrdiff_t *bad);

    /* Elementwise losses and their gradients to the prediction; from_logits: of its sigmoid.
     * Probabilities are clipped to [1e-7, 1 - 1e-7]; outside, the gradient is 0. */
    fastgru_status (*binary_crossentropy)(const void *labels, const void *predictions,
                                          ptrdiff_t count, int from_logits, void *losses,
                                          void *gradients, ptrdiff_t *bad);

    void (*adam)(const fastgru_adam *, ptrdiff_t count, void *parameters, const void *gradients,
                 void *m, void *v);

    void (*exp)(ptrdiff_t count, const void *x, void *y); /* y may be x, in these three */
    void (*sigmoid)(ptrdiff_t count, const void *x, void *y);
    void (*tanh)(ptrdiff_t count, const void *x, void *y);
} fastgru_kernels;

/* How many instruction sets this build and this machine share; the last is the best. */
int fastgru_isa_count(void);

/* The kernels of the index-th of them, or NULL where there is no such index. */
const fastgru_kernels *fastgru_kernels_at(int index, fastgru_real);

#ifdef __cplusplus
}
#endif
#endif
