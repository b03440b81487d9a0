/* What the compiled loops share. Plain C on raw pointers, called through ctypes (nas/kernels/library.py).
 *
 * Images are (n, height, width, channels), contiguous. Every function has the suffix f32 or f64 and returns 0, or 1
 * when memory runs out. A .c file includes itself once for each number type, with REAL and SUFFIX defined.
 */
#include <stdlib.h>
#include <string.h>

#define VECTOR_BYTES 32
#define INLINE static inline __attribute__((always_inline))

#define JOIN2(a, b) a##_##b
#define JOIN(a, b) JOIN2(a, b)
#define TYPED(name) JOIN(name, SUFFIX)
#define LANES ((long)(VECTOR_BYTES / sizeof(REAL)))
#define VECTOR_TYPE(NAME) typedef REAL NAME __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(REAL)), may_alias))

/* Export NAME, whose inline code is NAME_any. One binary for every x86-64: with AVX2 and FMA, and without. */
#if defined(__x86_64__)
#define EXPORT(NAME, PARAMETERS, ARGUMENTS)                                                                            \
    static __attribute__((target("avx2,fma"))) int TYPED(NAME##_avx2) PARAMETERS                                       \
    {                                                                                                                  \
        return TYPED(NAME##_any) ARGUMENTS;                                                                            \
    }                                                                                                                  \
    static int TYPED(NAME##_sse2) PARAMETERS { return TYPED(NAME##_any) ARGUMENTS; }                                   \
    int TYPED(NAME) PARAMETERS                                                                                         \
    {                                                                                                                  \
        if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))                                           \
            return TYPED(NAME##_avx2) ARGUMENTS;                                                                       \
        return TYPED(NAME##_sse2) ARGUMENTS;                                                                           \
    }
#else
#define EXPORT(NAME, PARAMETERS, ARGUMENTS)                                                                            \
    int TYPED(NAME) PARAMETERS { return TYPED(NAME##_any) ARGUMENTS; }
#endif
