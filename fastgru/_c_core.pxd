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

    ctypedef struct fastgru_gru_shape:
        ptrdiff_t batch, steps, inputs, units
        int reset_after, update_replaces

    ctypedef struct fastgru_gru_weights:
        const void *data
        ptrdiff_t row, column
        ptrdiff_t gate[3]

    ctypedef struct fastgru_gru_forward:
        fastgru_gru_shape shape
        const void *x
        ptrdiff_t x_batch, x_step
        const void *packed
        const void *bias
        const void *h0
        void *y
        ptrdiff_t y_batch, y_step
        void *h_n
        void *cache
        void *workspace
        int threads

    ctypedef struct fastgru_gru_backward:
        fastgru_gru_shape shape
        const void *x
        ptrdiff_t x_batch, x_step
        fastgru_gru_weights kernel, recurrent
        const void *cache
        const void *dy
        ptrdiff_t dy_batch, dy_step
        const void *dh_n
        void *dx
        ptrdiff_t dx_batch, dx_step
        void *dkernel
        void *drecurrent
        void *dbias
        void *dh0
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
        size_t (*gru_packed_size)(const fastgru_gru_shape *) noexcept nogil
        size_t (*gru_cache_size)(const fastgru_gru_shape *) noexcept nogil
        size_t (*gru_forward_workspace)(const fastgru_gru_shape *, int threads) noexcept nogil
        size_t (*gru_backward_workspace)(const fastgru_gru_shape *) noexcept nogil
        void (*gru_pack)(const fastgru_gru_shape *, const fastgru_gru_weights *, const fastgru_gru_weights *,
                         void *) noexcept nogil
        void (*gru_forward)(const fastgru_gru_forward *) noexcept nogil
        void (*gru_backward)(const fastgru_gru_backward *) noexcept nogil
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

    int fastgru_isa_count() noexcept nogil
    const fastgru_kernels *fastgru_kernels_at(int, fastgru_real) noexcept nogil
