/* max_pool: the largest element of each window and where it lies.
 *
 *   y[b,c,l]     = max over t of x[b, c, pixel of tap t in window l], padding left out
 *   index[b,c,l] = that pixel's flat position in its plane: the first of equal ones; a NaN wins
 *                  over every number, the last NaN over the others. A window that touches no
 *                  pixel gives LOWEST, -infinity, and -1.
 *
 * Launch  global (positions, planes, 1), rounded up to local in its first axis; one work-item
 *         writes one element.
 * Macros  REAL: element type. LOWEST: what an empty window gives. Window: see common/window.clh.
 */
#include "common/window.clh"

kernel void max_pool(global const REAL *x, global REAL *y, global long *index, WINDOW_ARGUMENTS)
{
    const Window win = WINDOW;
    const int taps = volume(win.filter), pixels = volume(win.in), positions = volume(win.out);
    const int l = get_global_id(0), plane = get_global_id(1);
    if (l >= positions)
        return;
    const Place corner = corner_of(win, place_of(l, win.out));
    x += plane*pixels;
    REAL best = LOWEST;
    int where = -1;
    for (int t = 0; t < taps; t++) {
        const Place pixel = pixel_of(win, corner, place_of(t, win.filter));
        if (!inside(pixel, win.in))
            continue;
        const int at = flat(pixel, win.in);
        const REAL value = x[at];
        if (where < 0 || value > best || value != value) {
            best = value;
            where = at;
        }
    }
    y[plane*positions + l] = best;
    index[plane*positions + l] = where;
}
