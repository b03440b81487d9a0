/* Batch normalisation with the activation after it, in training, forwards and backwards.
 *
 * The pixels are a matrix (pixels, channels). It is walked in rows of `width` numbers, several pixels, so that rows are
 * whole vectors; what belongs to a channel (a scale, a sum) is kept once for each number of a row. Sums run in REAL over
 * PART rows at most, then in double.
 */
#ifndef REAL

#include "_kernels.h"

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

#define LOOPS "_norm.c"
#include "_each.h"

#else /* the code for one number type */

#include "_activation.h"

/* Run BODY(at, column) on every vector of `rows` rows; at: its place in the images, column: in a row. */
#define FOR_VECTORS(ROWS, ...)                                                                                         \
    for (long row_ = 0; row_ < (ROWS); row_++)                                                                         \
        for (long column = 0; column < width; column += LANES) {                                                       \
            const long at = row_ * width + column;                                                                     \
            __VA_ARGS__                                                                                                \
        }

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
        Vector unused, z = value * V(scale, column) + V(offset, column);
        Vector d = V(gradient, at) * TYPED(slope)(z, &unused, activation);
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

/* work: 5 rows of zeros, of which the fourth becomes the last row of x; totals: 2 * channels zeros. */
INLINE void TYPED(statistics)(const Norm *s, const REAL *x, REAL *mean, REAL *variance, REAL *deviation, REAL *work,
                              double *totals)
{
    const long C = s->channels, pixels = row_pixels(C, LANES), width = pixels * C, all = s->images * s->pixels;
    const long rows = all / pixels, whole = rows * width, rest = all * C - whole;
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
        const double shift = totals[c] / all, spread = totals[C + c] / all - shift * shift;
        mean[c] = origin[c] + shift;
        variance[c] = spread > 0 ? spread : 0;
        deviation[c] = sqrt(variance[c] + s->epsilon);
    }
}

INLINE int TYPED(norm_statistics_any)(const Norm *s, const REAL *x, REAL *mean, REAL *variance, REAL *deviation)
{
    double *totals = calloc(2 * s->channels, sizeof(double));
    REAL *work = calloc(5 * row_pixels(s->channels, LANES) * s->channels, sizeof(REAL));
    if (totals != NULL && work != NULL)
        TYPED(statistics)(s, x, mean, variance, deviation, work, totals);
    const int failed = totals == NULL || work == NULL;
    free(totals), free(work);
    return failed;
}

INLINE int TYPED(norm_forward_act)(const Norm *s, const REAL *x, const REAL *gamma, const REAL *beta, REAL *y,
                                   REAL *mean, REAL *variance, REAL *deviation, long activation)
{
    const long C = s->channels, pixels = row_pixels(C, LANES), width = pixels * C, all = s->images * s->pixels;
    const long rows = all / pixels, whole = rows * width, rest = all * C - whole;
    double *totals = calloc(2 * C, sizeof(double));
    REAL *work = calloc(5 * width, sizeof(REAL));
    if (totals == NULL || work == NULL) {
        free(totals), free(work);
        return 1;
    }
    TYPED(statistics)(s, x, mean, variance, deviation, work, totals);
    REAL *scale = work + width, *offset = work + 2 * width, *last = work + 3 * width;
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
    const long C = s->channels, pixels = row_pixels(C, LANES), width = pixels * C, all = s->images * s->pixels;
    const long rows = all / pixels, whole = rows * width, rest = all * C - whole;
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
        const double slope = totals[C + c] / all / ((double)deviation[c] * deviation[c]);
        by_x[i] = -scale[i] * slope;
        shift[i] = -scale[i] * (totals[c] / all - mean[c] * slope);
    }
    TYPED(combine)(x, by_x, result, scale, shift, result, rows, width);
    TYPED(combine)(last, by_x, last_gradient, scale, shift, last, 1, width);
    memcpy(result + whole, last, rest * sizeof(REAL));
    free(totals), free(work);
    return 0;
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

/* mean, variance and deviation (with epsilon) of each channel of x */
EXPORT(norm_statistics, (const Norm *s, const REAL *x, REAL *mean, REAL *variance, REAL *deviation),
       (s, x, mean, variance, deviation))

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

#endif
