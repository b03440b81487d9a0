/* Batch normalisation with the activation after it, in training, forwards and backwards.
 *
 * The pixels are a matrix (pixels, channels). It is walked in rows of `width` numbers, several pixels, so that rows are
 * whole vectors; what belongs to a channel (a scale, a sum) is kept once for each number of a row. Sums run in REAL over
 * PART rows at most, then in double.
 */
#ifndef REAL

#include "_kernels.h"
#include <math.h>

typedef struct {
    long pixels, channels;
    long activation; /* one of those below */
    double epsilon;
} Norm;

enum { NONE, RELU, RELU6, SILU };

#define PART 256
#define MIN_WIDTH 64

/* The number of pixels in a row: it makes a whole number of vectors, not too short. */
static long row_pixels(long channels, long lanes)
{
    long pixels = 1;
    while (pixels * channels % lanes || pixels * channels < MIN_WIDTH)
        pixels *= 2;
    return pixels;
}

/* e to the x, to about one unit in the last place: 2^n e^r with |r| at most ln 2 / 2, e^r by its series. */
typedef float Float8 __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(float)), may_alias));
typedef int Int8 __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(float)), may_alias));
INLINE Float8 exp_f32(Float8 x)
{
    const Float8 zero = {0};
    Int8 low = x < -87.0f, high = x > 88.0f; /* all ones where true */
    x = (Float8)(((Int8)x & ~low & ~high) | ((Int8)(zero - 87.0f) & low) | ((Int8)(zero + 88.0f) & high));
    Float8 shifted = x * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: rounds to a whole number in the low bits */
    Float8 n = shifted - 12582912.0f;
    Float8 r = x - n * 0.693359375f + n * 2.12194440e-4f;
    Float8 series = zero + 1.0f / 5040;
    series = series * r + 1.0f / 720;
    series = series * r + 1.0f / 120;
    series = series * r + 1.0f / 24;
    series = series * r + 1.0f / 6;
    series = series * r + 0.5f;
    series = series * r + 1.0f;
    series = series * r + 1.0f;
    Int8 power = ((Int8)shifted << 23) + 0x3f800000;
    return series * (Float8)power;
}

typedef double Double4 __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(double)), may_alias));
INLINE Double4 exp_f64(Double4 x)
{
    for (int i = 0; i < 4; i++)
        x[i] = exp(x[i]);
    return x;
}

#define REAL float
#define SUFFIX f32
#define INTEGERS Int8
#include "_norm.c"
#undef REAL
#undef SUFFIX
#undef INTEGERS
#define REAL double
#define SUFFIX f64
typedef long long Long4 __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(double)), may_alias));
#define INTEGERS Long4
#include "_norm.c"

#else /* the code for one number type */

#define Vector TYPED(Vector)
VECTOR_TYPE(Vector);

INLINE Vector TYPED(where)(INTEGERS condition, Vector yes, Vector no)
{
    return (Vector)(((INTEGERS)yes & condition) | ((INTEGERS)no & ~condition));
}

INLINE Vector TYPED(activate)(Vector z, long activation)
{
    const Vector zero = {0};
    if (activation == RELU)
        return TYPED(where)(z < 0, zero, z);
    if (activation == RELU6)
        return TYPED(where)(z < 0, zero, TYPED(where)(z > 6, zero + 6, z));
    if (activation == SILU)
        return z / (1 + TYPED(exp)(-z));
    return z;
}

/* gradient times the slope of the activation at z */
INLINE Vector TYPED(back)(Vector gradient, Vector z, long activation)
{
    const Vector zero = {0};
    if (activation == RELU)
        return TYPED(where)(z > 0, gradient, zero);
    if (activation == RELU6)
        return TYPED(where)((z > 0) & (z < 6), gradient, zero);
    if (activation == SILU) {
        Vector share = 1 / (1 + TYPED(exp)(-z));
        return gradient * share * (1 + z * (1 - share));
    }
    return gradient;
}

/* Run BODY(at, column) on every vector of `rows` rows; at: its place in the images, column: in a row. */
#define FOR_VECTORS(ROWS, BODY)                                                                                        \
    for (long row_ = 0; row_ < (ROWS); row_++)                                                                         \
        for (long column = 0; column < width; column += LANES) {                                                       \
            const long at = row_ * width + column;                                                                     \
            BODY                                                                                                       \
        }
#define V(array, index) (*(Vector *)((array) + (index)))

/* Add the columns of a row of sums to its channels' totals, and clear it. */
INLINE void TYPED(fold)(REAL *sums, double *totals, long width, long channels)
{
    for (long i = 0; i < width; i++)
        totals[i % channels] += sums[i];
    memset(sums, 0, width * sizeof(REAL));
}

/* first, second: sums of x - origin and of its square. */
INLINE void TYPED(add_moments)(const REAL *x, const REAL *origin, REAL *first, REAL *second, long rows, long width)
{
    FOR_VECTORS(rows, {
        Vector d = V(x, at) - V(origin, column);
        V(first, column) += d;
        V(second, column) += d * d;
    })
}

INLINE void TYPED(transform)(const REAL *x, const REAL *scale, const REAL *offset, REAL *y, long rows, long width,
                             long activation)
{
    FOR_VECTORS(rows, V(y, at) = TYPED(activate)(V(x, at) * V(scale, column) + V(offset, column), activation);)
}

/* dz: gradient before the activation. first, second: sums of dz and of dz * (x - mean). */
INLINE void TYPED(add_gradients)(const REAL *x, const REAL *gradient, const REAL *scale, const REAL *offset,
                                 const REAL *mean, REAL *dz, REAL *first, REAL *second, long rows, long width,
                                 long activation)
{
    FOR_VECTORS(rows, {
        Vector value = V(x, at);
        Vector d = TYPED(back)(V(gradient, at), value * V(scale, column) + V(offset, column), activation);
        V(dz, at) = d;
        V(first, column) += d;
        V(second, column) += d * (value - V(mean, column));
    })
}

INLINE void TYPED(combine)(const REAL *x, const REAL *by_x, const REAL *dz, const REAL *by_dz, const REAL *offset,
                           REAL *result, long rows, long width)
{
    FOR_VECTORS(rows, V(result, at) = V(dz, at) * V(by_dz, column) + V(x, at) * V(by_x, column) + V(offset, column);)
}

/* Fill scale and offset of a row, such that x * scale + offset is the normalised and weighted x. */
INLINE void TYPED(affine)(const REAL *gamma, const REAL *beta, const REAL *mean, const REAL *deviation, REAL *scale,
                          REAL *offset, long width, long channels)
{
    for (long i = 0; i < width; i++) {
        const long c = i % channels;
        scale[i] = gamma[c] / deviation[c];
        offset[i] = beta[c] - mean[c] * scale[i];
    }
}

INLINE int TYPED(norm_forward_act)(const Norm *s, const REAL *x, const REAL *gamma, const REAL *beta, REAL *y,
                                   REAL *mean, REAL *variance, REAL *deviation, long activation)
{
    const long C = s->channels, pixels = row_pixels(C, LANES), width = pixels * C;
    const long rows = s->pixels / pixels, whole = rows * width, rest = s->pixels * C - whole;
    double *totals = calloc(2 * C, sizeof(double));
    REAL *work = calloc(5 * width, sizeof(REAL));
    if (totals == NULL || work == NULL) {
        free(totals), free(work);
        return 1;
    }
    REAL *origin = work, *first = work + width, *second = work + 2 * width, *last = work + 3 * width;
    for (long i = 0; i < width; i++)
        last[i] = origin[i] = x[i % C];
    memcpy(last, x + whole, rest * sizeof(REAL)); /* the numbers beyond are the origin and add nothing */
    for (long row = 0; row <= rows; row += PART) {
        const long count = rows - row < PART ? rows - row : PART;
        TYPED(add_moments)(x + row * width, origin, first, second, count, width);
        if (row + PART > rows && rest)
            TYPED(add_moments)(last, origin, first, second, 1, width);
        TYPED(fold)(first, totals, width, C);
        TYPED(fold)(second, totals + C, width, C);
    }
    for (long c = 0; c < C; c++) {
        const double shift = totals[c] / s->pixels, spread = totals[C + c] / s->pixels - shift * shift;
        mean[c] = origin[c] + shift;
        variance[c] = spread > 0 ? spread : 0;
        deviation[c] = sqrt(variance[c] + s->epsilon);
    }
    REAL *scale = first, *offset = second;
    TYPED(affine)(gamma, beta, mean, deviation, scale, offset, width, C);
    TYPED(transform)(x, scale, offset, y, rows, width, activation);
    TYPED(transform)(last, scale, offset, last, 1, width, activation);
    memcpy(y + whole, last, rest * sizeof(REAL));
    free(totals), free(work);
    return 0;
}

INLINE int TYPED(norm_backward_act)(const Norm *s, const REAL *x, const REAL *gradient, const REAL *gamma,
                                    const REAL *beta, const REAL *mean, const REAL *deviation, REAL *result,
                                    REAL *for_gamma, REAL *for_beta, long activation)
{
    const long C = s->channels, pixels = row_pixels(C, LANES), width = pixels * C;
    const long rows = s->pixels / pixels, whole = rows * width, rest = s->pixels * C - whole;
    double *totals = calloc(2 * C, sizeof(double));
    REAL *work = calloc(7 * width, sizeof(REAL));
    if (totals == NULL || work == NULL) {
        free(totals), free(work);
        return 1;
    }
    REAL *scale = work, *offset = work + width, *first = work + 2 * width, *second = work + 3 * width;
    REAL *means = work + 4 * width, *last = work + 5 * width, *last_gradient = work + 6 * width;
    TYPED(affine)(gamma, beta, mean, deviation, scale, offset, width, C);
    for (long i = 0; i < width; i++)
        means[i] = mean[i % C];
    memcpy(last, x + whole, rest * sizeof(REAL));
    memcpy(last_gradient, gradient + whole, rest * sizeof(REAL)); /* zeros beyond: they add nothing */
    for (long row = 0; row <= rows; row += PART) {
        const long count = rows - row < PART ? rows - row : PART, at = row * width;
        TYPED(add_gradients)(x + at, gradient + at, scale, offset, means, result + at, first, second, count, width,
                             activation);
        if (row + PART > rows && rest)
            TYPED(add_gradients)(last, last_gradient, scale, offset, means, last_gradient, first, second, 1, width,
                                 activation);
        TYPED(fold)(first, totals, width, C);
        TYPED(fold)(second, totals + C, width, C);
    }
    REAL *by_x = first, *shift = second;
    for (long c = 0; c < C; c++) {
        for_beta[c] = totals[c];
        for_gamma[c] = totals[C + c] / deviation[c];
    }
    for (long i = 0; i < width; i++) {
        const long c = i % C;
        const double slope = totals[C + c] / s->pixels / ((double)deviation[c] * deviation[c]);
        by_x[i] = -scale[i] * slope;
        shift[i] = -scale[i] * (totals[c] / s->pixels - mean[c] * slope);
    }
    TYPED(combine)(x, by_x, result, scale, shift, result, rows, width);
    TYPED(combine)(last, by_x, last_gradient, scale, shift, last, 1, width);
    memcpy(result + whole, last, rest * sizeof(REAL));
    free(totals), free(work);
    return 0;
}

/* The loops once for each activation. */
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

INLINE int TYPED(norm_forward_any)(const Norm *s, const REAL *x, const REAL *gamma, const REAL *beta, REAL *y,
                                   REAL *mean, REAL *variance, REAL *deviation)
{
    FOR_ACTIVATION(norm_forward_act, s, x, gamma, beta, y, mean, variance, deviation)
}

INLINE int TYPED(norm_backward_any)(const Norm *s, const REAL *x, const REAL *gradient, const REAL *gamma,
                                    const REAL *beta, const REAL *mean, const REAL *deviation, REAL *result,
                                    REAL *for_gamma, REAL *for_beta)
{
    FOR_ACTIVATION(norm_backward_act, s, x, gradient, gamma, beta, mean, deviation, result, for_gamma, for_beta)
}

/* y = activation(gamma * (x - mean) / deviation + beta), with mean, variance and deviation of each channel of x */
EXPORT(norm_forward,
       (const Norm *s, const REAL *x, const REAL *gamma, const REAL *beta, REAL *y, REAL *mean, REAL *variance,
        REAL *deviation),
       (s, x, gamma, beta, y, mean, variance, deviation))

/* The gradients of x (result), gamma and beta, from that of y */
EXPORT(norm_backward,
       (const Norm *s, const REAL *x, const REAL *gradient, const REAL *gamma, const REAL *beta, const REAL *mean,
        const REAL *deviation, REAL *result, REAL *for_gamma, REAL *for_beta),
       (s, x, gradient, gamma, beta, mean, deviation, result, for_gamma, for_beta))

#undef Vector
#endif
