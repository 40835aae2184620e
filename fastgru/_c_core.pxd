# The declarations of csrc/fastgru.h, where each is explained.

from libc.stdint cimport int64_t

cdef extern from *:
    """
    #if defined(__clang__)
    #define FASTGRU_COMPILER "Clang " __clang_version__
    #elif defined(__GNUC__)
    #define FASTGRU_COMPILER "GCC " __VERSION__
    #else
    #define FASTGRU_COMPILER "unknown"
    #endif
    """
    const char *COMPILER "FASTGRU_COMPILER"

cdef extern from "fastgru.h":
    ctypedef enum fastgru_status:
        FASTGRU_OK
        FASTGRU_BAD_ID
        FASTGRU_BAD_LABEL

    ctypedef enum fastgru_real:
        FASTGRU_FLOAT32
        FASTGRU_FLOAT64

    ctypedef enum fastgru_activation:
        FASTGRU_LINEAR
        FASTGRU_RELU
        FASTGRU_SIGMOID
        FASTGRU_TANH
        FASTGRU_HARD_SIGMOID
        FASTGRU_HARD_TANH
        FASTGRU_SOFTSIGN
        FASTGRU_RELU6
        FASTGRU_LEAKY_RELU
        FASTGRU_ELU
        FASTGRU_SELU
        FASTGRU_SOFTPLUS
        FASTGRU_SQUAREPLUS
        FASTGRU_EXPONENTIAL
        FASTGRU_LOG_SIGMOID
        FASTGRU_TANH_SHRINK
        FASTGRU_GELU
        FASTGRU_SILU
        FASTGRU_HARD_SILU
        FASTGRU_MISH

    ctypedef enum fastgru_cell:
        FASTGRU_GRU
        FASTGRU_LSTM
        FASTGRU_SIMPLE_RNN

    ctypedef struct fastgru_place:
        pass

    ctypedef struct fastgru_schedule:
        ptrdiff_t steps
        const ptrdiff_t *offset
        const ptrdiff_t *order
        const fastgru_place *places

    ctypedef struct fastgru_shape:
        ptrdiff_t batch, steps, inputs, units
        fastgru_cell cell
        fastgru_activation activation, recurrent_activation
        int reset_after, update_replaces
        const fastgru_schedule *schedule
        int repeats
        int input_copies
        int state_copies
        int recompute
        int resets_first
        int transposes_gradients

    ctypedef struct fastgru_weights:
        const void *data
        ptrdiff_t row, column
        ptrdiff_t gate[4]

    ctypedef struct fastgru_forward:
        fastgru_shape shape
        const void *x
        ptrdiff_t x_batch, x_step
        const void *packed
        const void *bias
        const void *h0
        const void *c0
        const void *input_dropout
        const void *state_dropout
        void *y
        ptrdiff_t y_batch, y_step
        void *h_n
        void *c_n
        void *cache
        void *workspace
        int threads

    ctypedef struct fastgru_backward:
        fastgru_forward forward
        fastgru_weights kernel, recurrent
        const void *dy
        ptrdiff_t dy_batch, dy_step
        const void *dh_n
        const void *dc_n
        void *dx
        ptrdiff_t dx_batch, dx_step
        void *dkernel
        void *drecurrent
        void *dbias
        void *dh0
        void *dc0
        void *workspace
        int threads

    ctypedef struct fastgru_dense:
        ptrdiff_t rows, inputs, units
        fastgru_activation activation
        const void *x
        const void *kernel
        const void *bias
        void *y
        const void *dy
        void *dx
        void *dkernel
        void *dbias
        void *workspace

    ctypedef struct fastgru_adam:
        double rate, beta_1, beta_2, epsilon

    ctypedef struct fastgru_kernels:
        const char *isa
        int lanes
        size_t (*packed_size)(const fastgru_shape *) noexcept nogil
        size_t (*cache_size)(const fastgru_shape *) noexcept nogil
        size_t (*forward_workspace)(const fastgru_shape *, int threads) noexcept nogil
        size_t (*backward_workspace)(const fastgru_shape *, int threads) noexcept nogil
        void (*pack)(const fastgru_shape *, const fastgru_weights *, const fastgru_weights *, void *,
                     int threads) noexcept nogil
        void (*forward)(const fastgru_forward *) noexcept nogil
        void (*backward)(const fastgru_backward *) noexcept nogil
        size_t (*dense_workspace)(const fastgru_dense *) noexcept nogil
        void (*dense_forward)(const fastgru_dense *) noexcept nogil
        void (*dense_backward)(const fastgru_dense *) noexcept nogil
        fastgru_status (*embedding_forward)(const int64_t *, ptrdiff_t, const void *, ptrdiff_t, ptrdiff_t, void *,
                                            ptrdiff_t *) noexcept nogil
        fastgru_status (*embedding_backward)(const int64_t *, ptrdiff_t, const void *, ptrdiff_t, ptrdiff_t, void *,
                                             ptrdiff_t *) noexcept nogil
        fastgru_status (*binary_crossentropy)(const void *, const void *, ptrdiff_t, int, void *, void *,
                                              ptrdiff_t *) noexcept nogil
        void (*adam)(const fastgru_adam *, ptrdiff_t, void *, const void *, void *, void *) noexcept nogil
        void (*exp)(ptrdiff_t, const void *, void *) noexcept nogil
        void (*sigmoid)(ptrdiff_t, const void *, void *) noexcept nogil
        void (*tanh)(ptrdiff_t, const void *, void *) noexcept nogil

    size_t fastgru_schedule_size(ptrdiff_t batch, ptrdiff_t steps) noexcept nogil
    int fastgru_schedule_mask(const unsigned char *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, void *,
                               fastgru_schedule *) noexcept nogil
    void fastgru_schedule_packed(const int64_t *, ptrdiff_t, void *, fastgru_schedule *) noexcept nogil

    int fastgru_isa_count() noexcept nogil
    const fastgru_kernels *fastgru_kernels_at(int, fastgru_real) noexcept nogil
