/* Depthwise convolutions: the gradient of the weights, which are (channels, 1, kernel, kernel).
 *
 * Work goes block by block of channels, one vector register holding several channels of a pixel. A block is first
 * copied next to zeros, so that the loops that cost have neither borders nor odd ends.
 */
#ifndef REAL

#include "_kernels.h"

typedef struct {
    long images, height, width, channels; /* of the input */
    long out_height, out_width;
    long kernel, stride, padding;
} Shape;

#define STRIP_BYTES 49152 /* of a block of input pixels held at a time */

#define LOOPS "_depthwise.c"
#include "_each.h"

#else /* the code for one number type */

VECTOR_OF(REAL, Vector);

/* Copy `count` pixels of `wide` vectors of channels, of which `used` exist. `end`: where the source must not be read. */
INLINE void TYPED(pack)(REAL *to, const REAL *from, const REAL *end, long count, long channels, long used, long wide)
{
    for (long i = 0; i < count; i++, from += channels, to += wide * LANES) {
        if (from + wide * LANES <= end) {
            for (long v = 0; v < wide; v++)
                ((Vector *)to)[v] = ((const Vector *)from)[v]; /* lanes beyond `used` are never looked at */
        } else {
            for (long j = 0; j < used; j++)
                to[j] = from[j];
        }
    }
}

/* Add to `taps` neighbouring weights of one kernel row, over `rows` rows of the packed images. */
INLINE void TYPED(weight_row)(REAL *sums, long tap_step, const REAL *image, long row_step, const REAL *gradient,
                              long rows, long columns, long stride, long taps, long wide)
{
    Vector total[7][2];
    for (long t = 0; t < taps; t++)
        for (long v = 0; v < wide; v++)
            total[t][v] = *(Vector *)(sums + t * tap_step + v * LANES);
    for (long row = 0; row < rows; row++) {
        const REAL *pixel = image + row * row_step;
        for (long column = 0; column < columns; column++) {
            for (long v = 0; v < wide; v++) {
                Vector g = *(const Vector *)(gradient + v * LANES);
                for (long t = 0; t < taps; t++)
                    total[t][v] += g * *(const Vector *)(pixel + (t * wide + v) * LANES);
            }
            gradient += wide * LANES;
            pixel += stride * wide * LANES;
        }
    }
    for (long t = 0; t < taps; t++)
        for (long v = 0; v < wide; v++)
            *(Vector *)(sums + t * tap_step + v * LANES) = total[t][v];
}

/* One block of channels of the rows from..to of one image's gradient. */
INLINE void TYPED(weight_block)(const Shape *s, const REAL *image, const REAL *image_end, const REAL *gradient,
                                const REAL *gradient_end, REAL *packed_image, REAL *packed_gradient, REAL *sums,
                                long from, long to, long used, long wide)
{
    const long width = s->width + 2 * s->padding, lanes = wide * LANES, tap_step = (s->channels / LANES + 2) * LANES;
    const long top = most(0, from * s->stride - s->padding);
    const long bottom = least(s->height, (to - 1) * s->stride - s->padding + s->kernel);

    for (long row = top; row < bottom; row++) {
        REAL *line = packed_image + (row - top) * width * lanes;
        memset(line, 0, s->padding * lanes * sizeof(REAL));
        TYPED(pack)(line + s->padding * lanes, image + row * s->width * s->channels, image_end, s->width, s->channels,
                    used, wide);
        memset(line + (s->padding + s->width) * lanes, 0, s->padding * lanes * sizeof(REAL));
    }
    TYPED(pack)(packed_gradient, gradient + from * s->out_width * s->channels, gradient_end,
                (to - from) * s->out_width, s->channels, used, wide);

    for (long tap_row = 0; tap_row < s->kernel; tap_row++) {
        /* the rows of the gradient whose input row lies inside the image */
        const long shift = s->padding - tap_row;
        const long first = most(from, (shift > 0 ? shift + s->stride - 1 : 0) / s->stride);
        const long last = least(to, s->height - 1 + shift < 0 ? 0 : (s->height - 1 + shift) / s->stride + 1);
        if (first >= last)
            continue;
        const REAL *g = packed_gradient + (first - from) * s->out_width * lanes;
        const REAL *x = packed_image + (first * s->stride - shift - top) * width * lanes;
        const long step = s->stride * width * lanes, rows = last - first, columns = s->out_width;
        REAL *total = sums + tap_row * s->kernel * tap_step;
#define ROW(TAPS, STRIDE, TAP)                                                                                         \
    TYPED(weight_row)(total + (TAP) * tap_step, tap_step, x + (TAP) * lanes, step, g, rows, columns, STRIDE, TAPS, wide)
        if (s->kernel == 3)
            ROW(3, s->stride, 0);
        else if (s->kernel == 5)
            ROW(5, s->stride, 0);
        else if (s->kernel == 7)
            ROW(7, s->stride, 0);
        else
            for (long tap = 0; tap < s->kernel; tap++)
                ROW(1, s->stride, tap);
#undef ROW
    }
}

INLINE int TYPED(weight_gradient_any)(const Shape *s, const REAL *images, const REAL *gradients, REAL *weights)
{
    const long width = s->width + 2 * s->padding, taps = s->kernel * s->kernel, tap_step = (s->channels / LANES + 2) * LANES;
    const long row_bytes = s->stride * width * 2 * VECTOR_BYTES;
    const long strip = least(s->out_height, most(1, STRIP_BYTES / row_bytes));
    const long packed = ((strip - 1) * s->stride + s->kernel) * width * 2 * LANES;
    const long image_size = s->height * s->width * s->channels, gradient_size = s->out_height * s->out_width * s->channels;
    const REAL *image_end = images + s->images * image_size, *gradient_end = gradients + s->images * gradient_size;
    REAL *sums = calloc(taps * tap_step + packed + strip * s->out_width * 2 * LANES, sizeof(REAL));
    if (sums == NULL)
        return 1;
    REAL *packed_image = sums + taps * tap_step, *packed_gradient = packed_image + packed;

    for (long i = 0; i < s->images; i++, images += image_size, gradients += gradient_size)
        for (long from = 0; from < s->out_height; from += strip) {
            const long to = least(s->out_height, from + strip);
            for (long c = 0; c < s->channels; c += 2 * LANES) {
                const long used = least(2 * LANES, s->channels - c);
                if (used > LANES)
                    TYPED(weight_block)(s, images + c, image_end, gradients + c, gradient_end, packed_image,
                                        packed_gradient, sums + c, from, to, used, 2);
                else
                    TYPED(weight_block)(s, images + c, image_end, gradients + c, gradient_end, packed_image,
                                        packed_gradient, sums + c, from, to, used, 1);
            }
        }
    for (long c = 0; c < s->channels; c++)
        for (long tap = 0; tap < taps; tap++)
            weights[c * taps + tap] = sums[tap * tap_step + c];
    free(sums);
    return 0;
}

/* weights[c, tap] = sum over images and pixels of gradients[.., c] * images[.. at that tap, c] */
EXPORT(weight_gradient, (const Shape *s, const REAL *images, const REAL *gradients, REAL *weights),
       (s, images, gradients, weights))

#endif
