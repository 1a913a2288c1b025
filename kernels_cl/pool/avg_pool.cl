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

/* Taps along one axis whose pixel lies in [low, high). */
static inline int count_axis(int corner, int taps, int dilation, int low, int high)
{
    int count = 0;
    for (int t = 0; t < taps; t++)
        count += corner + t*dilation >= low && corner + t*dilation < high;
    return count;
}

static inline REAL divisor(Window win, Place corner, Place high)
{
    if (DIVISOR)
        return DIVISOR;
    const Place zero = {0, 0, 0}, low = {-win.pad.d, -win.pad.h, -win.pad.w};
    const Place end = {win.in.d + high.d, win.in.h + high.h, win.in.w + high.w};
    const Place from = COUNT_PAD ? low : zero, to = COUNT_PAD ? end : win.in;
    return (REAL)(count_axis(corner.d, win.filter.d, win.dilation.d, from.d, to.d)
                  *count_axis(corner.h, win.filter.h, win.dilation.h, from.h, to.h)
                  *count_axis(corner.w, win.filter.w, win.dilation.w, from.w, to.w));
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
