/* What the compiled loops share. Plain C on raw pointers, called through ctypes (nas/kernels/library.py).
 *
 * Images are (n, height, width, channels), contiguous. Every function has the suffix f32 or f64 and returns 0, or 1
 * when memory runs out. A .c file includes itself through _each.h once for each number type and length of vectors.
 */
#ifndef KERNELS_H
#define KERNELS_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    long images, pixels, channels; /* pixels: of one image */
    long activation;               /* one of those below */
    double epsilon;
} Norm;

enum { NONE, RELU, RELU6, SILU };

static inline long least(long a, long b) { return a < b ? a : b; }
static inline long most(long a, long b) { return a > b ? a : b; }

#define INLINE static inline __attribute__((always_inline))

#define JOIN2(a, b) a##_##b
#define JOIN(a, b) JOIN2(a, b)
#define TYPED(name) JOIN(JOIN(name, NUMBER), VECTOR_BYTES)
#define LANES ((long)(VECTOR_BYTES / sizeof(REAL)))
#define VECTOR_OF(NUMBERS, NAME)                                                                                       \
    typedef NUMBERS NAME __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(NUMBERS)), may_alias))
#define Vector TYPED(Vector)
#define V(array, index) (*(Vector *)((array) + (index)))

/* Call NAME with the activation of `s` as a constant, so that there are loops for each. */
#define FOR_ACTIVATION(NAME, ...)                                                                                      \
    switch (s->activation) {                                                                                           \
    case RELU:                                                                                                         \
        return TYPED(NAME)(__VA_ARGS__, RELU);                                                                         \
    case RELU6:                                                                                                        \
        return TYPED(NAME)(__VA_ARGS__, RELU6);                                                                        \
    case SILU:                                                                                                         \
        return TYPED(NAME)(__VA_ARGS__, SILU);                                                                         \
    default:                                                                                                           \
        return TYPED(NAME)(__VA_ARGS__, NONE);                                                                         \
    }

/* Export NAME, whose inline code is NAME_any. One binary for every x86-64: with AVX-512, with AVX2 and FMA, and without;
 * short vectors serve the last two and define their functions first, long ones the first. */
#define FUNCTION(NAME, SET) JOIN(JOIN(NAME, SET), NUMBER)
#if defined(__x86_64__)
#define EXPORT_SHORT(NAME, PARAMETERS, ARGUMENTS)                                                                      \
    static __attribute__((target("avx2,fma"))) int FUNCTION(NAME, avx2) PARAMETERS                                     \
    {                                                                                                                  \
        return TYPED(NAME##_any) ARGUMENTS;                                                                            \
    }                                                                                                                  \
    static int FUNCTION(NAME, sse2) PARAMETERS { return TYPED(NAME##_any) ARGUMENTS; }
#define EXPORT_LONG(NAME, PARAMETERS, ARGUMENTS)                                                                       \
    static __attribute__((target("avx2,fma,avx512f,avx512dq,avx512bw,avx512vl"))) int FUNCTION(NAME, avx512) PARAMETERS \
    {                                                                                                                  \
        return TYPED(NAME##_any) ARGUMENTS;                                                                            \
    }                                                                                                                  \
    int JOIN(NAME, NUMBER) PARAMETERS                                                                                  \
    {                                                                                                                  \
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&                                 \
            __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))                                  \
            return FUNCTION(NAME, avx512) ARGUMENTS;                                                                   \
        if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))                                           \
            return FUNCTION(NAME, avx2) ARGUMENTS;                                                                     \
        return FUNCTION(NAME, sse2) ARGUMENTS;                                                                         \
    }
#else
#define EXPORT_SHORT(NAME, PARAMETERS, ARGUMENTS)                                                                      \
    int JOIN(NAME, NUMBER) PARAMETERS { return TYPED(NAME##_any) ARGUMENTS; }
#endif

#endif
