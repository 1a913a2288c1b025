/* max_pool: the largest element of each window and where it lies.
 *
 *   y[b,c,l]     = max over t of x[b, c, pixel of tap t in window l], padding left out
 *   index[b,c,l] = that pixel's flat position in its plane: the first of equal ones; a NaN wins
 *                  over every number, the last NaN over the others. A window that touches no
 *                  pixel gives -infinity and -1.
 *
 * Launch  global (POSITIONS, planes, 1), rounded up to local in its first axis; one work-item
 *         writes one element.
 * Macros  REAL: element type. Window: see common/window.clh.
 */
#include "common/window.clh"

kernel void max_pool(global const REAL *x, global REAL *y, global long *index, WINDOW_SIZES)
{
    const int l = get_global_id(0), plane = get_global_id(1);
    if (l >= POSITIONS)
        return;
    const Place corner = corner_of(place_of(l, OH, OW), PD, PH, PW);
    x += plane*PIXELS;
    REAL best = -INFINITY;
    int where = -1;
    for (int t = 0; t < TAPS; t++) {
        const Place pixel = pixel_of(corner, tap_of(t));
        if (!inside(pixel, ID, IH, IW))
            continue;
        const int at = flat(pixel, IH, IW);
        const REAL value = x[at];
        if (where < 0 || value > best || isnan(value)) {
            best = value;
            where = at;
        }
    }
    y[plane*POSITIONS + l] = best;
    index[plane*POSITIONS + l] = where;
}
