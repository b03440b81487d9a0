/* Activations and their slopes on vectors of REAL; included in the code for one number type and length of vectors. */
VECTOR_OF(REAL, Vector);
#define Integers TYPED(Integers)
typedef __typeof__((Vector){0} < 0) Integers __attribute__((aligned(sizeof(REAL)), may_alias));

INLINE Vector TYPED(where)(Integers condition, Vector yes, Vector no)
{
    return (Vector)(((Integers)yes & condition) | ((Integers)no & ~condition));
}

/* 1 / (1 + e^-z). float: e^-z = 2^n 2^f with |f| at most a half, 2^f by a polynomial (relative error 8e-8). */
INLINE Vector TYPED(logistic)(Vector z)
{
    const Vector zero = {0};
    if (sizeof(REAL) == sizeof(double)) {
        for (long i = 0; i < LANES; i++)
            z[i] = 1 / (1 + exp(-z[i]));
        return z;
    }
    z = TYPED(where)(z < -80, zero - 80, TYPED(where)(z > 80, zero + 80, z));
    Vector shifted = z * -1.44269504f + 12582912.0f; /* 1.5 * 2^23: rounds to a whole number in the low bits */
    Vector f = z * -1.44269504f - (shifted - 12582912.0f);
    Vector power = zero + 1.32764713e-3f;
    power = power * f + 9.67554096e-3f;
    power = power * f + 5.55071309e-2f;
    power = power * f + 2.40221202e-1f;
    power = power * f + 6.93146944e-1f;
    power = power * f + 1.00000012f;
    return 1 / (1 + (Vector)((Integers)power + ((Integers)shifted << 23)));
}

INLINE Vector TYPED(activate)(Vector z, long activation)
{
    const Vector zero = {0};
    if (activation == RELU)
        return TYPED(where)(z < 0, zero, z);
    if (activation == RELU6)
        return TYPED(where)(z < 0, zero, TYPED(where)(z > 6, zero + 6, z));
    if (activation == SILU)
        return z * TYPED(logistic)(z);
    return z;
}

/* The slope of the activation at z, and its value. */
INLINE Vector TYPED(slope)(Vector z, Vector *value, long activation)
{
    const Vector zero = {0}, one = zero + 1;
    if (activation == SILU) {
        Vector share = TYPED(logistic)(z);
        *value = z * share;
        return share + *value * (1 - share);
    }
    *value = TYPED(activate)(z, activation);
    if (activation == RELU)
        return TYPED(where)(z > 0, one, zero);
    if (activation == RELU6)
        return TYPED(where)(z > 0, one, zero) * TYPED(where)(z < 6, one, zero); /* gcc makes scalars of z > 0 & z < 6 */
    return one;
}
