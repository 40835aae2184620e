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
#else
#define UNROLL _Pragma("GCC unroll 16")
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
INLINE vec min_(vec a, vec limit) { return choose(limit < a, limit, a); }
INLINE vec max_(vec a, vec limit) { return choose(limit > a, limit, a); }

INLINE vec sqrt_(vec a) {
    vec v = a;
    for (int i = 0; i < LANES; i++) v[i] = REAL_FN(__builtin_sqrt)(a[i]);
    return v;
}

INLINE vec bits_and(vec a, ivec mask) { return (vec)((ivec)a & mask); }
INLINE vec bits_or(vec a, vec b) { return (vec)((ivec)a | (ivec)b); }

/* The sign bit alone. */
INLINE ivec sign_mask(void) { return (ivec) - (vec){0}; }

INLINE ptrdiff_t minimum(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
INLINE ptrdiff_t maximum(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }

/* n rounded up to a multiple of m. */
INLINE ptrdiff_t padded(ptrdiff_t n, ptrdiff_t m) { return (n + m - 1) / m * m; }

#endif
