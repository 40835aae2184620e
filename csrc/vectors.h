/* The vector vocabulary: a dozen operations over LANES reals, on GCC's and Clang's vector extensions.
 *
 * The build gives REAL (float or double), FASTGRU_REAL_IS_DOUBLE, FASTGRU_VECTOR_BYTES and the flags of one
 * instruction set. Loops over lanes compile to single instructions; contraction is off, so that a
 * multiplication and an addition are fused where the code says so, and nowhere else. */
#ifndef FASTGRU_VECTORS_H
#define FASTGRU_VECTORS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

#define REAL FASTGRU_REAL
#define LANES (FASTGRU_VECTOR_BYTES / (int)sizeof(REAL))

#if FASTGRU_REAL_IS_DOUBLE
typedef int64_t INTEGER;
typedef uint64_t BITS;
#define REAL_FN(name) name
#else
typedef int32_t INTEGER;
typedef uint32_t BITS;
#define REAL_FN(name) name##f
#endif

#define INLINE static inline __attribute__((always_inline))
#define NOINLINE static __attribute__((noinline))

/* Loops over registers must unroll wholly, or the registers live on the stack. */
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#define UNROLL_TWICE _Pragma("unroll 2")
#else
#define UNROLL _Pragma("GCC unroll 16")
#define UNROLL_TWICE _Pragma("GCC unroll 2")
#endif

typedef REAL vec __attribute__((vector_size(FASTGRU_VECTOR_BYTES)));
typedef INTEGER ivec __attribute__((vector_size(FASTGRU_VECTOR_BYTES)));
typedef BITS bitvec
    __attribute__((vector_size(FASTGRU_VECTOR_BYTES))); /* for arithmetic that wraps around */
typedef REAL vec_in_memory
    __attribute__((vector_size(FASTGRU_VECTOR_BYTES), aligned(sizeof(REAL)), may_alias));

INLINE vec load(const REAL *p) { return *(const vec_in_memory *)p; }
INLINE void store(REAL *p, vec v) { *(vec_in_memory *)p = v; }

/* The first n lanes (n may exceed LANES); the others are zero, and are not touched in memory. */
#if defined(__AVX512F__) && FASTGRU_VECTOR_BYTES == 64
#if FASTGRU_REAL_IS_DOUBLE
#define AVX512(operation) _mm512_##operation##_pd
#else
#define AVX512(operation) _mm512_##operation##_ps
#endif
INLINE unsigned first_lanes(ptrdiff_t n) { return n <= 0 ? 0 : (1u << n) - 1; }
INLINE vec load_part(const REAL *p, ptrdiff_t n) {
    return n >= LANES ? load(p) : (vec)AVX512(maskz_loadu)(first_lanes(n), p);
}
INLINE void store_part(REAL *p, vec v, ptrdiff_t n) {
    if (n >= LANES) store(p, v);
    else AVX512(mask_storeu)(p, first_lanes(n), v);
}
#else
INLINE vec load_part(const REAL *p, ptrdiff_t n) {
    if (n >= LANES) return load(p);
    vec v = {0};
    for (ptrdiff_t i = 0; i < n; i++) v[i] = p[i];
    return v;
}
INLINE void store_part(REAL *p, vec v, ptrdiff_t n) {
    if (n >= LANES) {
        store(p, v);
        return;
    }
    for (ptrdiff_t i = 0; i < n; i++) p[i] = v[i];
}
#endif

INLINE vec splat(REAL x) {
    vec v = {0};
    for (int i = 0; i < LANES; i++) v[i] = x;
    return v;
}

/* a b + c; rounded once where the instruction set can, twice on a baseline without it. */
INLINE vec fma_(vec a, vec b, vec c) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    vec v = c;
    for (int i = 0; i < LANES; i++) v[i] = REAL_FN(__builtin_fma)(a[i], b[i], c[i]);
    return v;
#else
    return a * b + c;
#endif
}

INLINE vec choose(ivec mask, vec yes, vec no) {
    return (vec)((mask & (ivec)yes) | (~mask & (ivec)no));
}

/* A NaN in `a` comes through both. (Loops over lanes compile to scalar code here, once they are inlined.) */
#if defined(__AVX512F__) && FASTGRU_VECTOR_BYTES == 64
INLINE vec min_(vec a, vec limit) { return (vec)AVX512(min)(limit, a); }
INLINE vec max_(vec a, vec limit) { return (vec)AVX512(max)(limit, a); }
#else
INLINE vec min_(vec a, vec limit) { return choose(limit < a, limit, a); }
INLINE vec max_(vec a, vec limit) { return choose(limit > a, limit, a); }
#endif

INLINE vec sqrt_(vec a) {
    vec v = a;
    for (int i = 0; i < LANES; i++) v[i] = REAL_FN(__builtin_sqrt)(a[i]);
    return v;
}

INLINE vec bits_and(vec a, ivec mask) { return (vec)((ivec)a & mask); }
INLINE vec bits_or(vec a, vec b) { return (vec)((ivec)a | (ivec)b); }

/* The sign bit alone. */
INLINE ivec sign_mask(void) { return (ivec) - (vec){0}; }

/* Elements of the first halves of a and b, or of the second ones, in turn. */
#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (ivec){__VA_ARGS__})
#endif
#if FASTGRU_VECTOR_BYTES == 64 && !FASTGRU_REAL_IS_DOUBLE
#define FIRST_HALVES 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define SECOND_HALVES 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif FASTGRU_VECTOR_BYTES == 64 || (FASTGRU_VECTOR_BYTES == 32 && !FASTGRU_REAL_IS_DOUBLE)
#define FIRST_HALVES 0, 8, 1, 9, 2, 10, 3, 11
#define SECOND_HALVES 4, 12, 5, 13, 6, 14, 7, 15
#elif FASTGRU_VECTOR_BYTES == 32 || !FASTGRU_REAL_IS_DOUBLE
#define FIRST_HALVES 0, 4, 1, 5
#define SECOND_HALVES 2, 6, 3, 7
#else
#define FIRST_HALVES 0, 2
#define SECOND_HALVES 1, 3
#endif

/* LANES vectors as a matrix, transposed. Each round shuffles its halves like a deck of cards; after log2(LANES) of them
 * every row has become a column. */
INLINE void transpose(vec m[LANES]) {
    UNROLL for (int round = 1; round < LANES; round *= 2) {
        vec shuffled[LANES];
        UNROLL for (int i = 0; i < LANES / 2; i++) {
            shuffled[2 * i] = SHUFFLE(m[i], m[i + LANES / 2], FIRST_HALVES);
            shuffled[2 * i + 1] = SHUFFLE(m[i], m[i + LANES / 2], SECOND_HALVES);
        }
        UNROLL for (int i = 0; i < LANES; i++) m[i] = shuffled[i];
    }
}

INLINE ptrdiff_t minimum(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
INLINE ptrdiff_t maximum(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }

/* n rounded up to a multiple of m. */
INLINE ptrdiff_t padded(ptrdiff_t n, ptrdiff_t m) { return (n + m - 1) / m * m; }

#endif
