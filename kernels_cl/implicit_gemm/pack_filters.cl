/* pack_filters: the filters of one phase of a data gradient, in panels of lanes.
 *
 *   dst[g, panel, (o, t), l] = w[g, o, panel*WIDTH + l, first + t*step], or 0 where the input channel
 *                              is `channels` or more; t, first and step along three axes
 *   flags[g, panel, block]   = 1 where one of DEPTH such terms is infinite or NaN, else 0
 *
 * A phase is the pixels of dx that leave one remainder to the strides; taps that reach them are
 * `step` apart in the filter (implicit_gemm.py).
 *
 * Launch  global (ceil(channels/WIDTH), ceil(O*T/DEPTH), groups), local (1, 1, 1); T taps.
 * Macros  REAL, WIDTH: lanes of a panel. DEPTH: terms of a work-item.
 */
#include "common/lone.clh"
#include "common/window.clh"

LONE_KERNEL void pack_filters(global const REAL *w, global REAL *dst, global REAL *flags,
                              int channels, int O, int filter_d, int filter_h, int filter_w,
                              int taps_d, int taps_h, int taps_w, int first_d, int first_h,
                              int first_w, int step_d, int step_h, int step_w)
{
    const int panel = get_global_id(0), block = get_global_id(1), g = get_global_id(2);
    const Place filter = {filter_d, filter_h, filter_w}, taps = {taps_d, taps_h, taps_w};
    const int T = volume(taps), terms = O*T, size = volume(filter);
    const int live = min(WIDTH, channels - panel*WIDTH);
    w += (g*O*channels + panel*WIDTH)*size;
    dst += ((size_t)g*get_global_size(0) + panel)*terms*WIDTH;

    bool odd = false;
    for (int k = block*DEPTH; k < min(block*DEPTH + DEPTH, terms); k++) {
        const Place t = place_of(k % T, taps);
        const Place tap = {first_d + t.d*step_d, first_h + t.h*step_h, first_w + t.w*step_w};
        global const REAL *from = w + k/T*channels*size + flat(tap, filter);
        for (int l = 0; l < WIDTH; l++) {
            const REAL value = l < live ? from[l*size] : (REAL)0;
            odd = odd || value - value != 0;
            dst[k*WIDTH + l] = value;
        }
    }
    flags[((size_t)g*get_global_size(0) + panel)*get_global_size(1) + block] = odd;
}
