/* Includes LOOPS once for each length of vectors. */
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
