/* requantize: integer sums into quantised numbers; the end of QLinearConv.
 *
 *   y[b,o,l] = saturate(round(sums[b,o,l]*scale[o]) + zero)
 *
 * with the product rounded to a double, and then to an integer, a half to even both times, as a
 * CPU with float64 does it. Here it is done in integers, so that a device needs no float64 and the
 * result is the same everywhere: scale[o] = mantissa[o]*2^exponent[o], |mantissa| < 2^53.
 *
 * Launch  global (positions, O, batch), rounded up to local in its first axis; one work-item
 *         writes one element.
 * Macros  QUANTUM: the type of y. LOWEST, HIGHEST: its ends.
 */

#define DOUBLE_BITS 53

/* value/2^shift rounded to nearest, a half to even; shift in [0, 63]. */
static inline ulong round_shift(ulong value, int shift)
{
    if (shift == 0)
        return value;
    const ulong whole = value >> shift, rest = value - (whole << shift), middle = 1UL << (shift - 1);
    return whole + (rest > middle || (rest == middle && (whole & 1)));
}

/* round(a*b*2^exponent) of a < 2^32 and b < 2^53, or something above 2^54 where it is. */
static inline ulong rounded_product(ulong a, ulong b, int exponent)
{
    ulong high = mul_hi(a, b), low = a*b;
    const int bits = high ? 128 - (int)clz(high) : 64 - (int)clz(low);
    const int drop = max(bits - DOUBLE_BITS, 0); /* at most 32 */
    ulong product = low;
    if (drop) {
        const ulong lost = low & ((1UL << drop) - 1), middle = 1UL << (drop - 1);
        product = (low >> drop) | (high << (64 - drop));
        product += lost > middle || (lost == middle && (product & 1));
    }
    const int shift = -(exponent + drop);
    if (shift >= 0)
        return shift > 63 ? 0 : round_shift(product, shift);
    return product == 0 ? 0 : shift < -9 ? 1UL << 62 : product << -shift;
}

kernel void requantize(global const int *sums, global const long *mantissa,
                       global const int *exponent, global const int *zero, global QUANTUM *y,
                       int positions)
{
    const int l = get_global_id(0), o = get_global_id(1), b = get_global_id(2);
    if (l >= positions)
        return;
    const int at = (b*(int)get_global_size(1) + o)*positions + l;
    /* An int's sign is asked of the int: see docs/driver-issues/llvmpipe_widened_sign.py. */
    const int sum = sums[at];
    const long scale = mantissa[o];
    const ulong size = rounded_product(abs((long)sum), abs(scale), exponent[o]);
    const long value = (sum < 0) != (scale < 0) ? -(long)size : (long)size;
    y[at] = (QUANTUM)clamp(value + zero[0], (long)LOWEST, (long)HIGHEST);
}
