/* exp, sigmoid and tanh over vectors: at most 2 ULP for results of normal size, right at ±0, ±inf, NaN and in
 * the tails. Below normal size a result may be zero, of the right sign. */
#ifndef FASTGRU_ELEMENTARY_H
#define FASTGRU_ELEMENTARY_H

#include "vectors.h"

/* exp(r) = 1 + r + r^2 q(r) on |r| <= ln2 / 2; q is a minimax polynomial, lowest power first, with a relative
 * error of exp(r) below 2^-28 for float and 2^-61 for double. ln2 is split so that k * LN2_HIGH is exact.
 * ROUNDER + x has x rounded to the nearest integer in its last bits. */
#if FASTGRU_REAL_IS_DOUBLE
static const REAL EXP_Q[] = {
    0.5,
    0.16666666666666671008,
    0.041666666666666669767,
    0.0083333333333261120526,
    0.0013888888888883731828,
    0.00019841269874901259234,
    2.4801587325605322782e-5,
    2.7557255297969644392e-6,
    2.7557273570102139673e-7,
    2.5105259538448493419e-8,
    2.0914717341716375952e-9,
};
#define LN2_HIGH 0x1.62e42fefa3p-1
#define LN2_LOW 0x1.3de6af278ece6p-42
#define ROUNDER 0x1.8p52
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define EXP_LOWEST -746.0     /* exp is 0 below */
#define EXP_HIGHEST 710.5     /* and infinite above */
#define SIGMOID_LOWEST -709.4 /* below, the result is under normal size: as if x were ... */
#define SIGMOID_ZERO -710.0   /* whose 2^k is infinite and p positive; 1 / inf is 0 */
#define SIGMOID_HIGHEST 708.0 /* exp(-x) is of normal size, and 1 + exp(-x) is 1 */
#define TANH_HIGHEST 20.0     /* tanh is 1 from there on */
#else
static const REAL EXP_Q[] = {
    0.49999993432129290f, 0.16666520399042530f,   0.041668390783547913f,
    0.00836874510894259f, 0.0013814540176801306f,
};
#define LN2_HIGH 0x1.62e4p-1f
#define LN2_LOW 0x1.7f7d1cp-20f
#define ROUNDER 0x1.8p23f
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#define EXP_LOWEST -104.5f
#define EXP_HIGHEST 89.5f
#define SIGMOID_LOWEST -88.37f
#define SIGMOID_ZERO -89.0f
#define SIGMOID_HIGHEST 87.0f
#define TANH_HIGHEST 9.1f
#endif
#define LOG2_E ((REAL)1.442695040888963407359925)

/* exp(x) = 2^k (1 + p), |p| < 0.42: *rounded is k + ROUNDER, whose lowest bits hold k. */
INLINE vec exp_reduced(vec x, vec *rounded) {
    *rounded = fma_(x, splat(LOG2_E), splat(ROUNDER));
    const vec k = *rounded - splat(ROUNDER);
    const vec r = fma_(k, splat(-LN2_LOW), fma_(k, splat(-LN2_HIGH), x));
    const int degree = sizeof EXP_Q / sizeof *EXP_Q - 1;
    vec q = splat(EXP_Q[degree]);
    UNROLL for (int i = degree - 1; i >= 0; i--) q = fma_(q, r, splat(EXP_Q[i]));
    return fma_(r * r, q, r);
}

/* 2^k, for k in [-EXPONENT_BIAS, EXPONENT_BIAS + 1]: zero and infinity at the ends. Bits of k above the exponent's
 * are lost. */
INLINE vec power_of_two(bitvec k) { return (vec)((k << MANTISSA_BITS) + (bitvec)splat(1)); }

INLINE vec sigmoid_vec(vec x) {
    vec rounded;
    const vec a =
        choose(x < splat(SIGMOID_LOWEST), splat(SIGMOID_ZERO), min_(x, splat(SIGMOID_HIGHEST)));
    const vec p = exp_reduced(-a, &rounded);
    const vec scale = power_of_two((bitvec)rounded);
    /* In this order: 1 + scale would be rounded too. */
    return splat(1) / (fma_(scale, p, splat(1)) + scale);
}

/* tanh|x| = e / (e + 2) with e = exp(2|x|) - 1 = 2^k p + (2^k - 1), exact near zero. For small e, where the sum and the
 * quotient lose too much, the quotient only corrects e / 2. */
INLINE vec tanh_vec(vec x) {
    vec rounded;
    const vec a = min_(bits_and(x, ~sign_mask()), splat(TANH_HIGHEST));
    const vec p = exp_reduced(a + a, &rounded);
    const vec scale = power_of_two((bitvec)rounded);
    const vec e = fma_(scale, p, scale - splat(1));
    const vec half = splat((REAL)0.5) * e, quotient = e / (e + splat(2));
    const vec t = choose(e < splat(1), fma_(-half, quotient, half), quotient);
    return bits_or(t, bits_and(x, sign_mask()));
}

/* Gradients through sigmoid and tanh, by their values. */
INLINE vec through_sigmoid(vec dy, vec y) { return dy * y * (splat(1) - y); }
INLINE vec through_tanh(vec dy, vec y) { return dy * fma_(-y, y, splat(1)); }

/* The scale is applied in two halves, so that the ends of the range come out right. */
INLINE vec exp_vec(vec x) {
    vec rounded;
    const vec p = exp_reduced(max_(min_(x, splat(EXP_HIGHEST)), splat(EXP_LOWEST)), &rounded);
    const bitvec k = (bitvec)rounded - (bitvec)splat(ROUNDER);
    const bitvec half = (bitvec)((ivec)k >> 1);
    return (splat(1) + p) * power_of_two(half) * power_of_two(k - half);
}

#define OVER_AN_ARRAY(name)                                                                        \
    static void name##_array(ptrdiff_t count, const void *x, void *y) {                            \
        const REAL *from = x;                                                                      \
        REAL *to = y;                                                                              \
        for (ptrdiff_t i = 0; i < count; i += LANES)                                               \
            store_part(to + i, name##_vec(load_part(from + i, count - i)), count - i);             \
    }
OVER_AN_ARRAY(exp)
OVER_AN_ARRAY(sigmoid)
OVER_AN_ARRAY(tanh)

#endif
