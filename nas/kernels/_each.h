/* Includes LOOPS, the file of the loops, once for each number type and length of vectors. */
#define REAL float
#define NUMBER f32
#define VECTOR_BYTES 32
#define EXPORT EXPORT_SHORT
#include LOOPS
#undef VECTOR_BYTES
#undef EXPORT
#if defined(__x86_64__)
#define VECTOR_BYTES 64
#define EXPORT EXPORT_LONG
#include LOOPS
#undef VECTOR_BYTES
#undef EXPORT
#endif
#undef REAL
#undef NUMBER

#define REAL double
#define NUMBER f64
#define VECTOR_BYTES 32
#define EXPORT EXPORT_SHORT
#include LOOPS
#undef VECTOR_BYTES
#undef EXPORT
#if defined(__x86_64__)
#define VECTOR_BYTES 64
#define EXPORT EXPORT_LONG
#include LOOPS
#undef VECTOR_BYTES
#undef EXPORT
#endif
#undef REAL
#undef NUMBER
