/* mend: a data gradient where filters are infinite or NaN, which must not meet zeros of a padding.
 *
 * Panels whose filters are finite, as `flags` of pack_filters.cl say, are left as they are. The
 * others are computed anew, with the same chain of fma but for the terms that are none: over o, and
 * over taps from the last to the first.
 *
 * Launch  global (ceil(C/WIDTH), batch, groups), local (1, 1, 1).
 * Macros  REAL: see common/types.clh. WIDTH: lanes of a panel.
 */
#include "common/lone.clh"
#include "common/types.clh"
#include "common/window.clh"

LONE_KERNEL void mend(global const REAL *dy, global const REAL *w, global const REAL *flags,
                      global const REAL *bias, global REAL *dx, int blocks, int C, int O,
                      int has_bias, int flip, WINDOW_ARGUMENTS)
{
    const int panel = get_global_id(0), n = get_global_id(1), g = get_global_id(2);
    const int groups = get_global_size(2);
    flags += ((size_t)g*get_global_size(0) + panel)*blocks;
    bool odd = false;
    for (int i = 0; i < blocks; i++)
        odd = odd || flags[i] != 0;
    if (!odd)
        return;

    const Window win = WINDOW;
    const int taps = volume(win.filter), pixels = volume(win.in), positions = volume(win.out);
    dy += (n*groups + g)*O*positions;
    for (int c = panel*WIDTH; c < min(panel*WIDTH + WIDTH, C); c++)
        for (int i = 0; i < pixels; i++) {
            REAL sum = has_bias ? bias[g*C + c] : (REAL)0;
            for (int o = 0; o < O; o++)
                for (int t = taps - 1; t >= 0; t--) {
                    Place window;
                    if (window_over(win, place_of(i, win.in), place_of(t, win.filter), &window))
                        sum = fma(dy[o*positions + flat(window, win.out)],
                                  w[((g*O + o)*C + c)*taps + stored_tap(t, taps, flip)], sum);
                }
            dx[((n*groups + g)*C + c)*pixels + i] = sum;
        }
}
