/* avg_pool: the mean of each window; and its adjoint.
 *
 *   y[b,c,l]  = (sum over t of x[b, c, pixel of tap t in window l]) / divisor(l)
 *   dx[b,c,i] = sum over t = 0, 1, ... of dy[b,c,l]/divisor(l), l the window whose tap t lies on i
 *
 * divisor(l) counts the taps of the window inside the image or, with COUNT_PAD, inside the padded
 * image: a window that overhangs it (ceil_mode) is cut off there. DIVISOR overrides it.
 *
 * Launch  avg_pool: global (positions, planes, 1); avg_pool_backward: global (pixels, planes, 1);
 *         each rounded up to local in its first axis; one work-item writes one element.
 * Macros  REAL: element type. COUNT_PAD: 1 counts padding. DIVISOR: 0, or the divisor of all.
 *         EXACT_DIVIDE: see common/divide.clh. Window: see common/window.clh.
 */
#include "common/divide.clh"
#include "common/window.clh"

static inline REAL divisor(Window win, Place corner, Place high)
{
    if (DIVISOR)
        return DIVISOR;
    const Place zero = {0, 0, 0};
    return (REAL)(COUNT_PAD ? taps_in_padded(win, corner, high)
                            : taps_between(win, corner, zero, win.in));
}

/* HD, HH, HW: the high padding. */
kernel void avg_pool(global const REAL *x, global REAL *y, int HD, int HH, int HW, WINDOW_ARGUMENTS)
{
    const Window win = WINDOW;
    const Place high = {HD, HH, HW};
    const int taps = volume(win.filter), positions = volume(win.out);
    const int l = get_global_id(0), plane = get_global_id(1);
    if (l >= positions)
        return;
    const Place corner = corner_of(win, place_of(l, win.out));
    x += plane*volume(win.in);
    REAL sum = 0;
    for (int t = 0; t < taps; t++) {
        const Place pixel = pixel_of(win, corner, place_of(t, win.filter));
        if (inside(pixel, win.in))
            sum += x[flat(pixel, win.in)];
    }
    y[plane*positions + l] = divided(sum, divisor(win, corner, high));
}

kernel void avg_pool_backward(global const REAL *dy, global REAL *dx, int HD, int HH, int HW,
                              WINDOW_ARGUMENTS)
{
    const Window win = WINDOW;
    const Place high = {HD, HH, HW};
    const int taps = volume(win.filter), pixels = volume(win.in);
    const int i = get_global_id(0), plane = get_global_id(1);
    if (i >= pixels)
        return;
    const Place pixel = place_of(i, win.in);
    dy += plane*volume(win.out);
    REAL sum = 0;
    for (int t = 0; t < taps; t++) {
        Place window;
        if (window_over(win, pixel, place_of(t, win.filter), &window))
            sum += divided(dy[flat(window, win.out)], divisor(win, corner_of(win, window), high));
    }
    dx[plane*pixels + i] = sum;
}
