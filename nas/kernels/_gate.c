/* An activation after a batch norm, times one factor an image and channel, forwards and backwards.
 *
 * With z = x * scale + offset, the norm by its channels' statistics, y = activation(z) * factor is worked out anew from
 * x wherever it is needed, and never kept. Images are walked in tiles of some pixels, a vector of channels at a time;
 * the last vector reaches back over channels that the one before it has done as well, and gives them the same values.
 * Several neighbouring pixels are taken for one with so many times the channels, where that fills vectors better. Sums
 * run in REAL over PART such pixels at most, then in double.
 */
#ifndef REAL

#include "_kernels.h"

#define TILE 8
#define PART 256
#define SUMS 5
#define MOST_CHANNELS 256

/* How many pixels to take for one: fewest that make whole vectors, else as many as there are up to MOST_CHANNELS. */
static long pixels_as_one(const Norm *s, long lanes)
{
    long count = 1;
    while (count * s->channels % lanes && s->pixels % (2 * count) == 0 && 2 * count * s->channels <= MOST_CHANNELS)
        count *= 2;
    return count;
}

#define LOOPS "_gate.c"
#include "_each.h"

#else /* the code for one number type */

#include "_activation.h"

/* The first `used` numbers, of which there are fewer than LANES only where an image has so few channels. */
INLINE Vector TYPED(load)(const REAL *from, long used)
{
    if (used == LANES)
        return V(from, 0);
    Vector result = {0};
    memcpy(&result, from, used * sizeof(REAL));
    return result;
}

INLINE void TYPED(store)(REAL *to, Vector value, long used)
{
    if (used == LANES)
        V(to, 0) = value;
    else
        memcpy(to, &value, used * sizeof(REAL));
}

INLINE void TYPED(repeat)(REAL *to, const REAL *from, long channels, long C)
{
    for (long c = 0; c < C; c += channels)
        memcpy(to + c, from, channels * sizeof(REAL));
}

/* BODY(c, at) for every vector of channels, c its first one; at: its place where whole vectors stand side by side. */
#define FOR_CHANNELS(...)                                                                                              \
    for (long at = 0; at < C; at += LANES) {                                                                           \
        const long c = most(0, least(at, C - LANES));                                                                  \
        __VA_ARGS__                                                                                                    \
    }
#define L(array, index) TYPED(load)((array) + (index), used)
#define S(array, index, value) TYPED(store)((array) + (index), value, used)

INLINE void TYPED(apply_image)(const REAL *x, const REAL *scale, const REAL *offset, const REAL *factor, REAL *y,
                               long pixels, long C, long activation, long used)
{
    for (long p = 0; p < pixels; p += TILE, x += TILE * C, y += TILE * C) {
        const long count = least(TILE, pixels - p);
        FOR_CHANNELS({
            const Vector a = L(scale, c), b = L(offset, c), f = L(factor, c);
            for (long i = 0; i < count; i++)
                S(y, i * C + c, f * TYPED(activate)(L(x, i * C + c) * a + b, activation));
        })
    }
}

INLINE int TYPED(gate_forward_act)(const Norm *s, const REAL *x, const REAL *scale, const REAL *offset,
                                   const REAL *factors, REAL *y, long activation)
{
    const long channels = s->channels, merged = pixels_as_one(s, LANES), C = merged * channels;
    const long pixels = s->pixels / merged, size = pixels * C;
    REAL *a = malloc(3 * C * sizeof(REAL)), *b = a + C, *f = b + C;
    if (a == NULL)
        return 1;
    TYPED(repeat)(a, scale, channels, C);
    TYPED(repeat)(b, offset, channels, C);
    for (long n = 0; n < s->images; n++, x += size, y += size, factors += channels) {
        TYPED(repeat)(f, factors, channels, C);
        if (C >= LANES)
            TYPED(apply_image)(x, a, b, f, y, pixels, C, activation, LANES);
        else
            TYPED(apply_image)(x, a, b, f, y, pixels, C, activation, C);
    }
    free(a);
    return 0;
}

INLINE void TYPED(add_image)(const REAL *x, const REAL *scale, const REAL *offset, REAL *sums, double *totals,
                             long pixels, long C, long activation, long used)
{
    for (long p = 0; p < pixels; p += TILE, x += TILE * C) {
        const long count = least(TILE, pixels - p);
        FOR_CHANNELS({
            const Vector a = L(scale, c), b = L(offset, c);
            Vector sum = V(sums, at);
            for (long i = 0; i < count; i++)
                sum += TYPED(activate)(L(x, i * C + c) * a + b, activation);
            V(sums, at) = sum;
        })
        if ((p / TILE + 1) % (PART / TILE) == 0 || p + TILE >= pixels)
            for (long i = 0; i < C + LANES; i++)
                totals[i] += sums[i], sums[i] = 0;
    }
}

/* Sums of whole vectors side by side to the channels that they belong to: channel i, i + step, ... of C to result[i]. */
INLINE void TYPED(deal)(const double *totals, REAL *result, long C, long step)
{
    const long last = (C - 1) / LANES * LANES, back = last - most(0, C - LANES);
    for (long i = 0; i < step; i++) {
        double sum = 0;
        for (long c = i; c < C; c += step)
            sum += totals[c < last ? c : c + back];
        result[i] = sum;
    }
}

INLINE int TYPED(gate_sum_act)(const Norm *s, const REAL *x, const REAL *scale, const REAL *offset, REAL *result,
                               long activation)
{
    const long channels = s->channels, merged = pixels_as_one(s, LANES), C = merged * channels;
    const long pixels = s->pixels / merged, size = pixels * C;
    const long width = C + LANES;
    double *totals = malloc(width * sizeof(double));
    REAL *sums = calloc(width + 2 * C, sizeof(REAL)), *a = sums + width, *b = a + C;
    if (totals == NULL || sums == NULL) {
        free(totals), free(sums);
        return 1;
    }
    TYPED(repeat)(a, scale, channels, C);
    TYPED(repeat)(b, offset, channels, C);
    for (long n = 0; n < s->images; n++, x += size, result += channels) {
        memset(totals, 0, width * sizeof(double));
        if (C >= LANES)
            TYPED(add_image)(x, a, b, sums, totals, pixels, C, activation, LANES);
        else
            TYPED(add_image)(x, a, b, sums, totals, pixels, C, activation, C);
        TYPED(deal)(totals, result, C, channels);
    }
    free(totals), free(sums);
    return 0;
}

/* sums: those that gate_gradients returns, `step` apart. */
INLINE void TYPED(gradients_image)(const REAL *x, const REAL *gradient, const REAL *scale, const REAL *offset,
                                   const REAL *mean, const REAL *factor, REAL *y, REAL *sums, double *totals,
                                   long pixels, long C, long step, long activation, long used)
{
    for (long p = 0; p < pixels; p += TILE, x += TILE * C, gradient += TILE * C, y += TILE * C) {
        const long count = least(TILE, pixels - p);
        FOR_CHANNELS({
            const Vector a = L(scale, c), b = L(offset, c), m = L(mean, c), f = L(factor, c);
            Vector by_factor = V(sums, at), first = V(sums, at + step), second = V(sums, at + 2 * step);
            Vector plain_first = V(sums, at + 3 * step), plain_second = V(sums, at + 4 * step);
            for (long i = 0; i < count; i++) {
                Vector value, input = L(x, i * C + c), g = L(gradient, i * C + c), d = input - m;
                Vector slope = TYPED(slope)(input * a + b, &value, activation);
                S(y, i * C + c, value * f);
                by_factor += g * value;
                first += g * slope;
                second += g * slope * d;
                plain_first += slope;
                plain_second += slope * d;
            }
            V(sums, at) = by_factor;
            V(sums, at + step) = first;
            V(sums, at + 2 * step) = second;
            V(sums, at + 3 * step) = plain_first;
            V(sums, at + 4 * step) = plain_second;
        })
        if ((p / TILE + 1) % (PART / TILE) == 0 || p + TILE >= pixels)
            for (long i = 0; i < SUMS * step; i++)
                totals[i] += sums[i], sums[i] = 0;
    }
}

INLINE int TYPED(gate_gradients_act)(const Norm *s, const REAL *x, const REAL *gradient, const REAL *scale,
                                     const REAL *offset, const REAL *mean, const REAL *factors, REAL *y, REAL *result,
                                     long activation)
{
    const long channels = s->channels, merged = pixels_as_one(s, LANES), C = merged * channels;
    const long pixels = s->pixels / merged, size = pixels * C;
    const long step = C + LANES;
    double *totals = malloc(SUMS * step * sizeof(double));
    REAL *sums = calloc(SUMS * step + 4 * C, sizeof(REAL)), *a = sums + SUMS * step, *b = a + C, *m = b + C, *f = m + C;
    if (totals == NULL || sums == NULL) {
        free(totals), free(sums);
        return 1;
    }
    TYPED(repeat)(a, scale, channels, C);
    TYPED(repeat)(b, offset, channels, C);
    TYPED(repeat)(m, mean, channels, C);
    for (long n = 0; n < s->images; n++, x += size, gradient += size, y += size, factors += channels) {
        memset(totals, 0, SUMS * step * sizeof(double));
        TYPED(repeat)(f, factors, channels, C);
        if (C >= LANES)
            TYPED(gradients_image)(x, gradient, a, b, m, f, y, sums, totals, pixels, C, step, activation, LANES);
        else
            TYPED(gradients_image)(x, gradient, a, b, m, f, y, sums, totals, pixels, C, step, activation, C);
        for (long i = 0; i < SUMS; i++, result += channels)
            TYPED(deal)(totals + i * step, result, C, channels);
    }
    free(totals), free(sums);
    return 0;
}

INLINE void TYPED(back_image)(const REAL *x, const REAL *gradient, const REAL *scale, const REAL *offset,
                              const REAL *factor, const REAL *constant, const REAL *by_x, const REAL *shift,
                              REAL *result, long pixels, long C, long activation, long used)
{
    for (long p = 0; p < pixels; p += TILE, x += TILE * C, gradient += TILE * C, result += TILE * C) {
        const long count = least(TILE, pixels - p);
        FOR_CHANNELS({
            const Vector a = L(scale, c), b = L(offset, c), f = L(factor, c) * a, k = L(constant, c) * a;
            const Vector by = L(by_x, c), more = L(shift, c);
            for (long i = 0; i < count; i++) {
                Vector unused, input = L(x, i * C + c);
                Vector slope = TYPED(slope)(input * a + b, &unused, activation);
                S(result, i * C + c, (L(gradient, i * C + c) * f + k) * slope + input * by + more);
            }
        })
    }
}

INLINE int TYPED(gate_backward_act)(const Norm *s, const REAL *x, const REAL *gradient, const REAL *scale,
                                    const REAL *offset, const REAL *factors, const REAL *constants, const REAL *by_x,
                                    const REAL *shift, REAL *result, long activation)
{
    const long channels = s->channels, merged = pixels_as_one(s, LANES), C = merged * channels;
    const long pixels = s->pixels / merged, size = pixels * C;
    REAL *a = malloc(6 * C * sizeof(REAL)), *b = a + C, *by = b + C, *more = by + C, *f = more + C, *k = f + C;
    if (a == NULL)
        return 1;
    TYPED(repeat)(a, scale, channels, C);
    TYPED(repeat)(b, offset, channels, C);
    TYPED(repeat)(by, by_x, channels, C);
    TYPED(repeat)(more, shift, channels, C);
    for (long n = 0; n < s->images; n++, x += size, gradient += size, result += size) {
        TYPED(repeat)(f, factors + n * channels, channels, C);
        TYPED(repeat)(k, constants + n * channels, channels, C);
        if (C >= LANES)
            TYPED(back_image)(x, gradient, a, b, f, k, by, more, result, pixels, C, activation, LANES);
        else
            TYPED(back_image)(x, gradient, a, b, f, k, by, more, result, pixels, C, activation, C);
    }
    free(a);
    return 0;
}

#define ALL_OF(...) __VA_ARGS__
#define ACTIVATED(NAME, PARAMETERS, ARGUMENTS)                                                                         \
    INLINE int TYPED(NAME##_any) PARAMETERS { FOR_ACTIVATION(NAME##_act, ALL_OF ARGUMENTS) }                           \
    EXPORT(NAME, PARAMETERS, ARGUMENTS)

/* y = activation(x * scale + offset) * factor */
ACTIVATED(gate_forward,
          (const Norm *s, const REAL *x, const REAL *scale, const REAL *offset, const REAL *factors, REAL *y),
          (s, x, scale, offset, factors, y))

/* result (images, channels): the sum over an image's pixels of activation(x * scale + offset) */
ACTIVATED(gate_sum, (const Norm *s, const REAL *x, const REAL *scale, const REAL *offset, REAL *result),
          (s, x, scale, offset, result))

/* From g, the gradient of y: y, and result (images, 5, channels), the sums over an image's pixels of
 * g * activation, g * slope, g * slope * (x - mean), slope, slope * (x - mean) */
ACTIVATED(gate_gradients,
          (const Norm *s, const REAL *x, const REAL *gradient, const REAL *scale, const REAL *offset,
           const REAL *mean, const REAL *factors, REAL *y, REAL *result),
          (s, x, gradient, scale, offset, mean, factors, y, result))

/* result = (g * factor + constant) * slope * scale + x * by_x + shift; factor and constant: one an image and channel */
ACTIVATED(gate_backward,
          (const Norm *s, const REAL *x, const REAL *gradient, const REAL *scale, const REAL *offset,
           const REAL *factors, const REAL *constants, const REAL *by_x, const REAL *shift, REAL *result),
          (s, x, gradient, scale, offset, factors, constants, by_x, shift, result))

#endif
