/* The kernels of one instruction set for one real type. The build compiles this file once for each pair of them, with
 * the instruction set's flags and FASTGRU_ISA, FASTGRU_REAL, FASTGRU_REAL_IS_DOUBLE, FASTGRU_VECTOR_BYTES and
 * FASTGRU_REGISTERS. Each object exports one table; all else is static. */
#include "fastgru.h"

#include "adam.h"
#include "cells.h"
#include "dense.h"
#include "embedding.h"
#include "losses.h"
#include "packing.h"

#define STRING_(x) #x
#define STRING(x) STRING_(x)
#define NAME_(isa, real) fastgru_kernels_##isa##_##real
#define NAME(isa, real) NAME_(isa, real)

extern const fastgru_kernels NAME(FASTGRU_ISA, FASTGRU_REAL);
const fastgru_kernels NAME(FASTGRU_ISA, FASTGRU_REAL) = {
    .isa = STRING(FASTGRU_ISA),
    .lanes = LANES,
    .packed_size = packed_size,
    .cache_size = cache_size,
    .forward_workspace = forward_workspace,
    .backward_workspace = backward_workspace,
    .pack = pack_weights,
    .forward = forward,
    .backward = backward,
    .dense_workspace = dense_workspace,
    .dense_forward = dense_forward,
    .dense_backward = dense_backward,
    .embedding_forward = embedding_forward,
    .embedding_backward = embedding_backward,
    .binary_crossentropy = binary_crossentropy,
    .adam = adam,
    .exp = exp_array,
    .sigmoid = sigmoid_array,
    .tanh = tanh_array,
};
