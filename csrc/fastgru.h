/* fastgru: Gated Recurrent Units on CPUs, with LSTMs and simple RNNs beside them. The C API, and its manual.
 *
 * Letters: B batch, T time steps, I input features, H hidden units, V vocabulary.
 * Gates, in this order unless `resets_first` says otherwise: z update, r reset, n candidate; of the LSTM i input, f forget,
 * g candidate, o output.
 *
 * The library never allocates, prints, aborts or keeps a pointer after a call. The caller owns every buffer.
 * Sizes and strides are counted in elements, not bytes. Unless a comment says otherwise arrays are
 * contiguous in C order, may be unaligned, must not overlap an array that is written, and NULL means absent.
 * All data of one table of kernels has one real type: float or double.
 *
 * A row's outputs have the same bits whatever the batch it is part of, and all results have the same bits at any
 * number of threads: the order in which a sum runs over its terms depends on the layer alone (and of a gradient, on the
 * batch), not on the blocking nor on who computes it.
 *
 * With the instruction set amx products of 64 and more features or units go through sums of integers and matrix tiles. In these
 * a state's units have one scale, and a row's features, each times its largest weight, have one: what is below 2^-24 of
 * the largest of them is rounded off. An infinity counts as the largest number.
 *
 * Inside the recurrent passes numbers below normal size count as zero; the caller's floating-point mode is restored.
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
    FASTGRU_TANH, /* a dense layer has those up to here */
    FASTGRU_HARD_SIGMOID,
    FASTGRU_HARD_TANH,
    FASTGRU_SOFTSIGN,
    FASTGRU_RELU6,
    FASTGRU_LEAKY_RELU,
    FASTGRU_ELU,
    FASTGRU_SELU,
    FASTGRU_SOFTPLUS,
    FASTGRU_SQUAREPLUS,
    FASTGRU_EXPONENTIAL,
    FASTGRU_LOG_SIGMOID,
    FASTGRU_TANH_SHRINK,
    FASTGRU_GELU,
    FASTGRU_SILU,
    FASTGRU_HARD_SILU,
    FASTGRU_MISH,
} fastgru_activation;

/* What a cell computes, for one step of one row; s is the recurrent activation (sigmoid), a the activation (tanh).
 *
 * GRU, gates z r n:
 *   r = s(x W_r + b_r + h U_r + c_r)      z likewise
 *   n = a(x W_n + b_n + r * (h U_n + c_n))   reset_after (c is the bias' second row)
 *   n = a(x W_n + b_n + (r * h) U_n)         otherwise; there is no c
 *   h' = z * h + (1 - z) * n                 or z * n + (1 - z) * h where update_replaces
 * LSTM, gates i f g o, with a second state, c:
 *   i = s(x W_i + b_i + h U_i)            f and o likewise
 *   g = a(x W_g + b_g + h U_g)
 *   c' = f * c + i * g                    h' = o * a(c')
 * Simple RNN, one gate:
 *   h' = a(x W + b + h U) */
typedef enum { FASTGRU_GRU = 0, FASTGRU_LSTM, FASTGRU_SIMPLE_RNN } fastgru_cell;
enum { FASTGRU_MOST_GATES = 4 };

/* One step of one row. */
typedef struct {
    int32_t row, step; /* of x and y */
    int32_t next;      /* the row's next step that counts, or T */
} fastgru_place;

/* Rows of different lengths, or with steps that don't count. The rows are sorted by falling number of steps that
 * count, so that those that take part in a step are always the first ones. */
typedef struct {
    ptrdiff_t steps;             /* of the longest row; may be 0 */
    const ptrdiff_t *offset;     /* (steps + 1): rows taking part in the steps before; [0] is 0 */
    const ptrdiff_t *order;      /* (B): which row of h0, h_n, ... is the i-th; or NULL */
    const fastgru_place *places; /* (offset[steps]), step by step; or NULL: x, y and their gradients
                                    are packed like this themselves, rows x_step apart */
} fastgru_schedule;

typedef struct {
    ptrdiff_t batch, steps, inputs, units;
    fastgru_cell cell;
    fastgru_activation activation, recurrent_activation;
    int reset_after, update_replaces;
    const fastgru_schedule *schedule; /* NULL: all rows take part in all steps */
    int repeats;                      /* y shows the last output in steps that don't count, not 0 */
    int input_copies; /* factors on x: 0 none, 1 for all gates, or one for each gate */
    int state_copies; /* likewise on the state that enters the recurrent products */
    int recompute;    /* training keeps the states only; the backward pass makes the gates again */
    int resets_first; /* GRU: in biases and gradients the gates' order is r z n, as PyTorch's */
    int transposes_gradients; /* dkernel is (G H, I) and drecurrent (G H, H), as PyTorch's */
} fastgru_shape;

/* One of the two weight matrices, in any layout and order of gates: element (k, j) of a gate's block stands at
 * data[gate[g] + k * row + j * column]; k counts inputs (or previous units), j units. */
typedef struct {
    const void *data;
    ptrdiff_t row, column;
    ptrdiff_t gate[FASTGRU_MOST_GATES];
} fastgru_weights;

/* G: the cell's gates. */
typedef struct {
    fastgru_shape shape;
    const void *x; /* (B, T, I): features contiguous; the other two strides are free, a negative
                      step stride walks time backwards */
    ptrdiff_t x_batch, x_step;
    const void *packed; /* written by pack for the same cell, inputs, units and reset_after */
    const void *bias;   /* GRU with reset_after: (2, 3H), else (G H); or NULL */
    const void *h0;     /* (B, H) or NULL for zeros */
    const void *c0;     /* LSTM: likewise */
    const void *input_dropout; /* (input_copies, B, I) */
    const void *state_dropout; /* (state_copies, B, H) */
    void *y;                   /* (B, T, H), units contiguous, the other strides free; or NULL */
    ptrdiff_t y_batch, y_step;
    void *h_n;       /* (B, H) */
    void *c_n;       /* LSTM: (B, H) */
    void *cache;     /* cache_size elements, read by backward; NULL in inference */
    void *workspace; /* forward_workspace elements for the same number of threads */
    int threads;     /* at most so many work together; fewer where the work is too small to share */
} fastgru_forward;

typedef struct {
    fastgru_forward forward;           /* as it was; of its results only the cache is looked at */
    fastgru_weights kernel, recurrent; /* what was packed */
    const void *dy;                    /* (B, T, H), strides free as y's; or NULL */
    ptrdiff_t dy_batch, dy_step;
    const void *dh_n, *dc_n; /* (B, H) or NULL */
    void *dx; /* (B, T, I), strides free as x's; zero in steps that don't count; or NULL */
    ptrdiff_t dx_batch, dx_step;
    void *dkernel;    /* (I, G H), if not transposed */
    void *drecurrent; /* (H, G H), likewise */
    void *dbias;      /* as bias; or NULL */
    void *dh0, *dc0;  /* (B, H) or NULL */
    void *workspace;  /* backward_workspace elements for the same number of threads */
    int threads;
} fastgru_backward;

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

    size_t (*packed_size)(const fastgru_shape *);
    size_t (*cache_size)(const fastgru_shape *);
    size_t (*forward_workspace)(const fastgru_shape *, int threads);
    size_t (*backward_workspace)(const fastgru_shape *, int threads);
    void (*pack)(const fastgru_shape *, const fastgru_weights *kernel,
                 const fastgru_weights *recurrent, void *packed, int threads);
    void (*forward)(const fastgru_forward *);
    void (*backward)(const fastgru_backward *);

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

/* Makes the schedule of a mask, element (b, t) at mask[b * batch_stride + t * step_stride], in memory of schedule_size
 * bytes, aligned for pointers. If the mask leaves nothing out, makes none and returns 0. */
size_t fastgru_schedule_size(ptrdiff_t batch, ptrdiff_t steps);
int fastgru_schedule_mask(const unsigned char *mask, ptrdiff_t batch_stride, ptrdiff_t step_stride,
                          ptrdiff_t batch, ptrdiff_t steps, void *memory,
                          fastgru_schedule *schedule);

/* The same for packed rows, sizes[t] of which take part in step t: all at least 1 and none above the one before. The
 * memory is that of a batch of 0. */
void fastgru_schedule_packed(const int64_t *sizes, ptrdiff_t steps, void *memory,
                             fastgru_schedule *schedule);

/* How many instruction sets this build and this machine share; the last is the best. */
int fastgru_isa_count(void);

/* The kernels of the index-th of them, or NULL where there is no such index. */
const fastgru_kernels *fastgru_kernels_at(int index, fastgru_real);

#ifdef __cplusplus
}
#endif
#endif
