/* avg_pool: the mean of each window; and its adjoint.
 *
 *   y[b,c,l]  = (sum over t of x[b, c, pixel of tap t in window l]) / divisor(l)
 *   dx[b,c,i] = sum over t = 0, 1, ... of dy[b,c,l]/divisor(l), l the window whose tap t lies on i
 *
 * divisor(l) counts the taps of the window inside the image or, with COUNT_PAD, inside the padded
 * image: a window that overhangs it (ceil_mode) is cut off there.
 *
 * Launch  avg_pool: global (POSITIONS, planes, 1); avg_pool_backward: global (PIXELS, planes, 1);
 *         each rounded up to local in its first axis; one work-item writes one element.
 * Macros  REAL: element type. COUNT_PAD: 1 counts padding. EXACT_DIVIDE: 0 where the device's
 *         division is not correctly rounded. Window: see common/window.clh.
 */
#include "common/window.clh"

/* Markstein: one Newton step with a residual by fma repairs a quotient that is an ulp off. */
static inline REAL divided(REAL a, REAL b)
{
    const REAL q = a/b;
#if EXACT_DIVIDE
    return q;
#else
    return isfinite(q) ? fma(fma(-q, b, a), 1/b, q) : q;
#endif
}

/* Taps along one axis whose pixel lies in [low, high). */
static inline int count_axis(int corner, int taps, int dilation, int low, int high)
{
    int count = 0;
    for (int t = 0; t < taps; t++)
        count += corner + t*dilation >= low && corner + t*dilation < high;
    return count;
}

static inline REAL divisor(Place corner, int ID, int IH, int IW, int PD, int PH, int PW,
                           int QD, int QH, int QW)
{
    if (COUNT_PAD)
        return (REAL)count_axis(corner.d, FD, DD, -PD, ID + QD)
            *count_axis(corner.h, FH, DH, -PH, IH + QH)
            *count_axis(corner.w, FW, DW, -PW, IW + QW);
    return (REAL)count_axis(corner.d, FD, DD, 0, ID)*count_axis(corner.h, FH, DH, 0, IH)
        *count_axis(corner.w, FW, DW, 0, IW);
}

/* QD, QH, QW: the high padding. */
kernel void avg_pool(global const REAL *x, global REAL *y, WINDOW_SIZES, int QD, int QH, int QW)
{
    const int l = get_global_id(0), plane = get_global_id(1);
    if (l >= POSITIONS)
        return;
    const Place corner = corner_of(place_of(l, OH, OW), PD, PH, PW);
    x += plane*PIXELS;
    REAL sum = 0;
    for (int t = 0; t < TAPS; t++) {
        const Place pixel = pixel_of(corner, tap_of(t));
        if (inside(pixel, ID, IH, IW))
            sum += x[flat(pixel, IH, IW)];
    }
    y[plane*POSITIONS + l] = divided(sum, divisor(corner, ID, IH, IW, PD, PH, PW, QD, QH, QW));
}

kernel void avg_pool_backward(global const REAL *dy, global REAL *dx, WINDOW_SIZES,
                              int QD, int QH, int QW)
{
    const int i = get_global_id(0), plane = get_global_id(1);
    if (i >= PIXELS)
        return;
    const Place pixel = place_of(i, IH, IW);
    dy += plane*POSITIONS;
    REAL sum = 0;
    for (int t = 0; t < TAPS; t++) {
        Place window;
        if (!window_over(pixel, tap_of(t), OD, OH, OW, PD, PH, PW, &window))
            continue;
        const Place corner = corner_of(window, PD, PH, PW);
        sum += divided(dy[flat(window, OH, OW)],
                       divisor(corner, ID, IH, IW, PD, PH, PW, QD, QH, QW));
    }
    dx[plane*PIXELS + i] = sum;
}
