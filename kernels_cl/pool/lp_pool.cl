/* lp_pool: the p-norm of each window; and its gradient.
 *
 *   y[b,c,l]  = (f(l) * sum over t of |x[b, c, pixel of tap t in window l]|^p)^(1/p)
 *   dx[b,c,i] = sum over the windows l = 0, 1, ... with a tap on i of
 *               dy[b,c,l] * f(l) * (|x[b,c,i]|/y[b,c,l])^(p - 1) * sign(x[b,c,i])
 *
 * and no term where y = 0, if p > 1. Signed: x^p for |x|^p, and no sign(x) in the gradient. f is 1
 * or, with OVERHANG, taps/(those inside the padded image), for windows that overhang it. The
 * quotient |x|/y is at most 1: its power overflows nowhere, as |x|^(p - 1) and y^(1 - p) may.
 *
 * Launch  lp_pool: global (positions, planes, 1); lp_pool_backward, with the norms that lp_pool
 *         gave: global (pixels, planes, 1); each rounded up to local in its first axis; one
 *         work-item writes one element.
 * Macros  REAL: element type. POWER: 1 and 2 for these p, 0 for any other. SIGNED: 0, or what a
 *         negative number to the power is: 1 negative (p odd), 2 NaN (p no integer). An even p is
 *         not signed. OVERHANG: 0 or 1. EXACT_DIVIDE: see common/divide.clh. Window: see
 *         common/window.clh.
 */
#include "common/divide.clh"
#include "common/sqrt.clh"
#include "common/window.clh"

/* x^p; as in C, minus infinity to a power that is no integer is infinite. */
static inline REAL power_of(REAL x, REAL p)
{
#if POWER == 1
    const REAL a = fabs(x);
#elif POWER == 2
    const REAL a = x*x;
#else
    const REAL a = pow(fabs(x), p);
#endif
#if SIGNED == 1
    return x < 0 ? -a : a;
#elif SIGNED == 2
    return x < 0 && !isinf(x) ? (REAL)NAN : a;
#else
    return a;
#endif
}

/* The p-th root, `exponent` being 1/p. */
static inline REAL root_of(REAL sum, REAL exponent)
{
#if POWER == 1
    return sum;
#elif POWER == 2
    return square_root(sum);
#else
    return pow(sum, exponent);
#endif
}

/* d y/d x over f, for the window of norm y; `exponent` is p - 1. */
static inline REAL slope_of(REAL x, REAL y, REAL exponent)
{
#if POWER == 1
    const REAL a = 1;
#elif POWER == 2
    const REAL a = y == 0 ? 0 : fabs(x)/y;
#else
    const REAL a = y == 0 ? 0 : pow(fabs(x)/y, exponent);
#endif
    /* The last is zero or NaN. */
    return SIGNED ? a : x > 0 ? a : x < 0 ? -a : a*x;
}

/* a*f of the window at `corner`; exact for the windows that overhang nothing. */
static inline REAL times_overhang(REAL a, Window win, Place corner, Place high)
{
#if OVERHANG
    const int taps = volume(win.filter), counted = taps_in_padded(win, corner, high);
    return counted == taps ? a : divided(a*taps, (REAL)counted);
#else
    return a;
#endif
}

/* HD, HH, HW: the high padding. */
kernel void lp_pool(global const REAL *x, global REAL *y, REAL p, REAL reciprocal,
                    int HD, int HH, int HW, WINDOW_ARGUMENTS)
{
    const Window win = WINDOW;
    const Place high = {HD, HH, HW};
    const int l = get_global_id(0), plane = get_global_id(1), positions = volume(win.out);
    if (l >= positions)
        return;
    const Place corner = corner_of(win, place_of(l, win.out));
    x += plane*volume(win.in);
    REAL sum = 0;
    for (int i = 0; i < win.filter.d; i++)
        for (int j = 0; j < win.filter.h; j++)
            for (int k = 0; k < win.filter.w; k++) {
                const Place tap = {i, j, k}, pixel = pixel_of(win, corner, tap);
                if (inside(pixel, win.in))
                    sum += power_of(x[flat(pixel, win.in)], p);
            }
    y[plane*positions + l] = root_of(times_overhang(sum, win, corner, high), reciprocal);
}

/* p = 1 looks at no norms. */
kernel void lp_pool_backward(global const REAL *dy, global const REAL *x, global const REAL *norms,
                             global REAL *dx, REAL exponent, int HD, int HH, int HW,
                             WINDOW_ARGUMENTS)
{
    const Window win = WINDOW;
    const Place high = {HD, HH, HW}, s = win.stride, k = win.filter, dil = win.dilation;
    const int i = get_global_id(0), plane = get_global_id(1), pixels = volume(win.in);
    if (i >= pixels)
        return;
    const REAL value = x[plane*pixels + i];
    const Place pixel = place_of(i, win.in);
    const Place at = {pixel.d + win.pad.d, pixel.h + win.pad.h, pixel.w + win.pad.w};
    const Place last = {last_beginning(at.d, s.d, win.out.d), last_beginning(at.h, s.h, win.out.h),
                        last_beginning(at.w, s.w, win.out.w)};
    dy += plane*volume(win.out);
    norms += plane*volume(win.out);
    REAL sum = 0;
    Place p;
    for (p.d = first_reaching(at.d, k.d, s.d, dil.d); p.d <= last.d; p.d++)
        for (p.h = first_reaching(at.h, k.h, s.h, dil.h); p.h <= last.h; p.h++)
            for (p.w = first_reaching(at.w, k.w, s.w, dil.w); p.w <= last.w; p.w++) {
                if (!has_tap_on(p.d, at.d, s.d, dil.d) || !has_tap_on(p.h, at.h, s.h, dil.h)
                    || !has_tap_on(p.w, at.w, s.w, dil.w))
                    continue;
                const int l = flat(p, win.out);
                sum += times_overhang(dy[l], win, corner_of(win, p), high)
                    *slope_of(value, norms[l], exponent);
            }
    dx[plane*pixels + i] = sum;
}
