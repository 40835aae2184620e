/* Activations other than sigmoid and tanh, with their derivatives. */
#ifndef FASTGRU_ACTIVATIONS_H
#define FASTGRU_ACTIVATIONS_H

#include "elementary.h"
#include "fastgru.h"

#define SELU_ALPHA 1.6732632423543772
#define SELU_SCALE 1.0507009873554805
#define LEAK 0.2

INLINE vec absolute(vec x) { return bits_and(x, ~sign_mask()); }
INLINE vec number(double x) { return splat((REAL)x); }

/* 1 where the mask is set, else 0. */
INLINE vec one_where(ivec mask) { return bits_and(splat(1), mask); }
INLINE vec clip_(vec x, double low, double high) {
    return min_(max_(x, number(low)), number(high));
}
INLINE vec one_inside(vec y, double low, double high) {
    return one_where((y > number(low)) & (y < number(high)));
}

/* exp(x) - 1 for x <= 0. */
INLINE vec expm1_below(vec x) {
    vec p, rounded;
    x = max_(x, splat(-40));
    exp_reduced(&x, &p, &rounded, 1);
    const vec scale = power_of_two((bitvec)rounded);
    return fma_(scale, p, scale - splat(1));
}

/* exp(x) for x <= 0; zero where it is not of normal size. */
INLINE vec exp_below(vec x) {
    vec p, rounded;
    x = max_(x, number(-EXPONENT_BIAS * 0.69314718055994530942));
    exp_reduced(&x, &p, &rounded, 1);
    const vec scale = power_of_two((bitvec)rounded);
    return fma_(scale, p, scale);
}

/* erfc(a) = exp(-a^2) p(t) / (1 + 2a) for a >= 0, with t = (a - K) / (a + K) (Shepherd and Laframboise, 1981); p is
 * fitted at Chebyshev's nodes, lowest power first, with a relative error below 2^-24 for float and 2^-54 for double. */
#if FASTGRU_REAL_IS_DOUBLE
#define ERFC_K 3.0
static const REAL ERFC_P[] = {
    1.2530080582697295412,      -0.13562110612458119287,    -0.047562294353418972159,
    0.12964515870276262462,     -0.11927366341681594802,    0.068308027343921441185,
    -0.023770514890662270934,   0.0025293918167996630331,   0.0018886900908332905848,
    -0.00077983227727425470788, -0.00010515828085467253667, 0.00012509937435915821476,
    4.9440312148829276248e-6,   -0.00002010062766440610647, -7.1861493963036221574e-7,
    3.4725202800655187431e-6,   3.3649033965298254934e-7,   -6.1677094935509634868e-7,
    -1.2038713923616525281e-7,  1.0195717375790893916e-7,   2.7779061599708632934e-8,
    -1.3361953304404017997e-8,  -3.169592039553521964e-9,   9.9488209475371957954e-10,
};
#else
#define ERFC_K 2.0f
static const REAL ERFC_P[] = {
    1.276978391f,     -0.09276381574f,   -0.1660310904f,   0.1640504971f,
    -0.05421199524f,  -0.008024739103f,  0.008689252695f,  0.001230503217f,
    -0.001395805088f, -0.0003709284114f, 0.0001608403463f, 6.807514759e-5f,
};
#endif

/* Even and odd powers side by side: each step waits for the one before it. */
INLINE vec polynomial(vec x, const REAL *coefficients, const int count) {
    const vec square = x * x;
    vec last = splat(coefficients[count - 1]), other = splat(coefficients[count - 2]);
    UNROLL for (int i = count - 3; i >= 0; i--) {
        const vec next = fma_(last, square, splat(coefficients[i]));
        last = other;
        other = next;
    }
    return fma_(last, x, other);
}

/* erfc of what is not negative, and exp(-a^2). */
INLINE vec erfc_above(vec a, vec *gauss) {
    const vec k = splat(ERFC_K);
    const vec square = a * a, rest = fma_(a, a, -square); /* exp(-a^2) wants all of a^2 */
    const vec below = a + k, last = splat(1) + a + a;
    vec r = below * last; /* one reciprocal for both quotients */
    reciprocals(&r, 1);
    const vec p = polynomial((a - k) * last * r, ERFC_P, sizeof ERFC_P / sizeof *ERFC_P);
    *gauss = exp_below(-square) * (splat(1) - rest);
    return *gauss * p * (below * r);
}

/* log(1 + y) = 2 atanh(u) with u = y / (2 + y), for y in [0, 1]: the series in u^2 <= 1/9. */
#define LOG_TERMS (FASTGRU_REAL_IS_DOUBLE ? 18 : 8)
INLINE vec log1p_(vec y) {
    const vec u = y / (y + splat(2)), square = u * u;
    vec p = number(1.0 / (2 * LOG_TERMS - 1));
    UNROLL for (int i = LOG_TERMS - 2; i >= 0; i--) p = fma_(p, square, number(1.0 / (2 * i + 1)));
    return (u + u) * p;
}

INLINE vec hard_sigmoid_vec(vec x) { return clip_(x / splat(6) + number(0.5), 0, 1); }
INLINE vec softplus_vec(vec x) { return max_(x, splat(0)) + log1p_(exp_vec(-absolute(x))); }

/* tanh(log(1 + e^x)) = n / (n + 2) with n = e^x (e^x + 2); 1 from 20 on. */
INLINE vec tanh_softplus(vec x) {
    const vec e = exp_vec(min_(x, splat(20))), n = e * (e + splat(2));
    return n / (n + splat(2));
}

/* The activation's value; *slope is its derivative there. */
NOINLINE vec activation_vec(fastgru_activation kind, vec x, vec *slope) {
    const vec one = splat(1), zero = splat(0);
    vec y = x;
    switch (kind) {
    case FASTGRU_LINEAR:
        *slope = one;
        break;
    case FASTGRU_RELU:
        y = max_(x, zero);
        *slope = one_where(y > zero);
        break;
    case FASTGRU_SIGMOID:
        y = sigmoid_vec(x);
        *slope = y * (one - y);
        break;
    case FASTGRU_TANH:
        y = tanh_vec(x);
        *slope = fma_(-y, y, one);
        break;
    case FASTGRU_HARD_SIGMOID:
        y = hard_sigmoid_vec(x);
        *slope = one_inside(y, 0, 1) / splat(6);
        break;
    case FASTGRU_HARD_TANH:
        y = clip_(x, -1, 1);
        *slope = one_inside(y, -1, 1);
        break;
    case FASTGRU_SOFTSIGN: {
        const vec d = one / (one + absolute(x));
        y = x * d;
        *slope = d * d;
        break;
    }
    case FASTGRU_RELU6:
        y = clip_(x, 0, 6);
        *slope = one_inside(y, 0, 6);
        break;
    case FASTGRU_LEAKY_RELU:
        y = max_(x, number(LEAK) * x);
        *slope = choose(y > zero, one, number(LEAK));
        break;
    case FASTGRU_ELU: {
        const vec below = expm1_below(min_(x, zero));
        y = choose(x > zero, x, below);
        *slope = one + below;
        break;
    }
    case FASTGRU_SELU: {
        const vec below = expm1_below(min_(x, zero));
        y = number(SELU_SCALE) * choose(x > zero, x, number(SELU_ALPHA) * below);
        *slope = number(SELU_SCALE) * choose(x > zero, one, number(SELU_ALPHA) * (one + below));
        break;
    }
    case FASTGRU_SOFTPLUS:
        y = softplus_vec(x);
        *slope = sigmoid_vec(x);
        break;
    case FASTGRU_SQUAREPLUS: {
        const vec root = sqrt_(fma_(x, x, splat(4)));
        y = splat((REAL)0.5) * (x + root);
        *slope = splat((REAL)0.5) * (one + x / root);
        break;
    }
    case FASTGRU_EXPONENTIAL:
        y = exp_vec(x);
        *slope = y;
        break;
    case FASTGRU_LOG_SIGMOID:
        y = -softplus_vec(-x);
        *slope = sigmoid_vec(-x);
        break;
    case FASTGRU_TANH_SHRINK: {
        const vec t = tanh_vec(x);
        y = x - t;
        *slope = t * t;
        break;
    }
    case FASTGRU_GELU: {
        const vec a = min_(absolute(x) * number(0.70710678118654752440), splat(30));
        vec gauss;
        const vec tail = splat((REAL)0.5) * erfc_above(a, &gauss);
        const vec cdf = choose(x > zero, one - tail, tail);
        y = x * cdf;
        *slope = fma_(x * gauss, number(0.39894228040143267794), cdf);
        break;
    }
    case FASTGRU_SILU: {
        const vec s = sigmoid_vec(x);
        y = x * s;
        *slope = s * (one + x * (one - s));
        break;
    }
    case FASTGRU_HARD_SILU: {
        const vec s = hard_sigmoid_vec(x);
        y = x * s;
        *slope = s + x * one_inside(x, -3, 3) / splat(6);
        break;
    }
    case FASTGRU_MISH: {
        const vec t = tanh_softplus(x);
        y = x * t;
        *slope = fma_(x * sigmoid_vec(x), fma_(-t, t, one), t);
        break;
    }
    }
    return y;
}

#endif
