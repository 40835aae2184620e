/* Activations other than sigmoid and tanh, with their derivatives. */
#ifndef FASTGRU_ACTIVATIONS_H
#define FASTGRU_ACTIVATIONS_H

#include <math.h>

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
    vec rounded;
    const vec p = exp_reduced(max_(x, splat(-40)), &rounded);
    const vec scale = power_of_two((bitvec)rounded);
    return fma_(scale, p, scale - splat(1));
}

/* Functions that have no vector code: lane by lane. */
INLINE vec log1p_(vec x) {
    for (int i = 0; i < LANES; i++) x[i] = REAL_FN(log1p)(x[i]);
    return x;
}
INLINE vec erfc_(vec x) {
    for (int i = 0; i < LANES; i++) x[i] = REAL_FN(erfc)(x[i]);
    return x;
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
        const vec cdf = splat((REAL)0.5) * erfc_(x * number(-0.70710678118654752440));
        y = x * cdf;
        *slope = fma_(x * exp_vec(number(-0.5) * x * x), number(0.39894228040143267794), cdf);
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
