/* Includes LOOPS, the file of the loops, once for each number type and length of vectors. */
#define REAL float
#define NUMBER f32
#include "_lengths.h"
#undef REAL
#undef NUMBER

#define REAL double
#define NUMBER f64
#include "_lengths.h"
#undef REAL
#undef NUMBER
