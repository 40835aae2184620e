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

/* Several vectors go through a function side by side: each waits long for what it makes, and the processor does not look far
 * enough ahead to begin the next one meanwhile. */
enum { MOST_TOGETHER = 8 };
#define TOGETHER(i, n) UNROLL for (int i = 0; i < (n); i++)

/* exp(x) = 2^k (1 + p), |p| < 0.42: rounded is k + ROUNDER, whose lowest bits hold k. */
INLINE void exp_reduced(const vec *x, vec *p, vec *rounded, const int n) {
    vec r[MOST_TOGETHER], q[MOST_TOGETHER], k[MOST_TOGETHER];
    const int degree = sizeof EXP_Q / sizeof *EXP_Q - 1;
    TOGETHER(i, n) rounded[i] = fma_(x[i], splat(LOG2_E), splat(ROUNDER));
    TOGETHER(i, n) k[i] = rounded[i] - splat(ROUNDER);
    TOGETHER(i, n) r[i] = fma_(k[i], splat(-LN2_HIGH), x[i]);
    TOGETHER(i, n) r[i] = fma_(k[i], splat(-LN2_LOW), r[i]);
    TOGETHER(i, n) q[i] = splat(EXP_Q[degree]);
    UNROLL for (int d = degree - 1; d >= 0; d--) TOGETHER(i, n) q[i] =
        fma_(q[i], r[i], splat(EXP_Q[d]));
    TOGETHER(i, n) p[i] = fma_(r[i] * r[i], q[i], r[i]);
}

/* 2^k, for k in [-EXPONENT_BIAS, EXPONENT_BIAS + 1]: zero and infinity at the ends. Bits of k above the exponent's
 * are lost. */
INLINE vec power_of_two(bitvec k) { return (vec)((k << MANTISSA_BITS) + (bitvec)splat(1)); }

/* 1 / b and a / b for b of normal size. AVX-512 divides in 16 cycles; an estimate of 14 bits and some multiply-adds, until it
 * is rounded once, take a third of that. */
#if defined(__AVX512F__) && !FASTGRU_REAL_IS_DOUBLE
#define DIVIDES_BY_ESTIMATE 1
INLINE void estimate_reciprocals(const vec *b, vec *estimate, vec *error, const int n) {
    TOGETHER(i, n) estimate[i] = (vec)_mm512_rcp14_ps((__m512)b[i]);
    TOGETHER(i, n) error[i] = fma_(-b[i], estimate[i], splat(1));
}
INLINE void reciprocals(vec *b, const int n) {
    vec estimate[MOST_TOGETHER], error[MOST_TOGETHER];
    estimate_reciprocals(b, estimate, error, n);
    TOGETHER(i, n) error[i] = fma_(error[i], error[i], error[i]);
    TOGETHER(i, n) b[i] = fma_(estimate[i], error[i], estimate[i]);
}
INLINE void divide(const vec *a, const vec *b, vec *quotient, const int n) {
    vec r[MOST_TOGETHER], left[MOST_TOGETHER];
    estimate_reciprocals(b, r, left, n);
    TOGETHER(i, n) r[i] = fma_(r[i], left[i], r[i]);
    TOGETHER(i, n) quotient[i] = a[i] * r[i];
    TOGETHER(i, n) left[i] = fma_(-b[i], quotient[i], a[i]);
    TOGETHER(i, n) quotient[i] = fma_(left[i], r[i], quotient[i]);
}
#else
#define DIVIDES_BY_ESTIMATE 0
INLINE void reciprocals(vec *b, const int n) { TOGETHER(i, n) b[i] = splat(1) / b[i]; }
INLINE void divide(const vec *a, const vec *b, vec *quotient, const int n) {
    TOGETHER(i, n) quotient[i] = a[i] / b[i];
}
#endif

INLINE void sigmoids(vec *x, const int n) {
    vec a[MOST_TOGETHER], p[MOST_TOGETHER], scale[MOST_TOGETHER], y[MOST_TOGETHER];
    const vec lowest = splat(SIGMOID_LOWEST);
    TOGETHER(i, n) {
        const vec high = min_(x[i], splat(SIGMOID_HIGHEST));
        a[i] = -(DIVIDES_BY_ESTIMATE ? high : choose(x[i] < lowest, splat(SIGMOID_ZERO), high));
    }
    exp_reduced(a, p, scale, n);
    TOGETHER(i, n) scale[i] = power_of_two((bitvec)scale[i]);
    /* In this order: 1 + scale would be rounded too. */
    TOGETHER(i, n) y[i] = fma_(scale[i], p[i], splat(1)) + scale[i];
    reciprocals(y, n);
    TOGETHER(i, n) x[i] = DIVIDES_BY_ESTIMATE ? bits_and(y[i], ~(x[i] < lowest)) : y[i];
}

/* tanh|x| = e / (e + 2) with e = exp(2|x|) - 1 = 2^k p + (2^k - 1), exact near zero. For small e, where the sum and the
 * quotient lose too much, the quotient only corrects e / 2. */
INLINE void tanhs(vec *x, const int n) {
    vec a[MOST_TOGETHER], p[MOST_TOGETHER], scale[MOST_TOGETHER], e[MOST_TOGETHER],
        quotient[MOST_TOGETHER];
    TOGETHER(i, n) a[i] = min_(bits_and(x[i], ~sign_mask()), splat(TANH_HIGHEST));
    TOGETHER(i, n) a[i] = a[i] + a[i];
    exp_reduced(a, p, scale, n);
    TOGETHER(i, n) scale[i] = power_of_two((bitvec)scale[i]);
    TOGETHER(i, n) e[i] = fma_(scale[i], p[i], scale[i] - splat(1));
    TOGETHER(i, n) a[i] = e[i] + splat(2);
    divide(e, a, quotient, n);
    TOGETHER(i, n) {
        const vec half = splat((REAL)0.5) * e[i];
        const vec t = choose(e[i] < splat(1), fma_(-half, quotient[i], half), quotient[i]);
        x[i] = bits_or(t, bits_and(x[i], sign_mask()));
    }
}

INLINE vec quotient(vec a, vec b) {
    vec y;
    divide(&a, &b, &y, 1);
    return y;
}
INLINE vec sigmoid_vec(vec x) {
    sigmoids(&x, 1);
    return x;
}
INLINE vec tanh_vec(vec x) {
    tanhs(&x, 1);
    return x;
}

/* Gradients through sigmoid and tanh, by their values. */
INLINE vec through_sigmoid(vec dy, vec y) { return dy * y * (splat(1) - y); }
INLINE vec through_tanh(vec dy, vec y) { return dy * fma_(-y, y, splat(1)); }

/* The scale is applied in two halves, so that the ends of the range come out right. */
INLINE vec exp_vec(vec x) {
    vec p, rounded;
    x = max_(min_(x, splat(EXP_HIGHEST)), splat(EXP_LOWEST));
    exp_reduced(&x, &p, &rounded, 1);
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
