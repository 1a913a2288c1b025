/* pack_filters: the filters of one phase of a data gradient, in panels of lanes.
 *
 *   dst[g, panel, (o, t), l] = w[g, o, panel*WIDTH + l, first + t*step], from `origin` on, or 0 where
 *                              the input channel is `channels` or more; t, first and step along
 *                              three axes
 *   flags[g, panel, first_block + block]   = 1 where one of DEPTH such terms is infinite or NaN,
 *                              else 0; `blocks` of them a panel, of all phases
 *
 * A phase is the pixels of dx that leave one remainder to the strides; taps that reach them are
 * `step` apart in the filter (implicit_images.py).
 *
 * Launch  global (ceil(channels/WIDTH), ceil(O*T/DEPTH), groups), local (1, 1, 1); T taps.
 * Macros  REAL, VW: see common/types.clh. WIDTH: lanes of a panel, vectors of VW. DEPTH: terms of a work-item.
 */
#include "common/lone.clh"
#include "common/types.clh"
#include "common/window.clh"

LONE_KERNEL void pack_filters(global const REAL *w, global REAL *dst, global REAL *flags,
                              int channels, int O, int blocks,
                              int first_block, int origin, int filter_d, int filter_h, int filter_w,
                              int taps_d, int taps_h, int taps_w, int first_d, int first_h,
                              int first_w, int step_d, int step_h, int step_w)
{
    const int panel = get_global_id(0), block = get_global_id(1), g = get_global_id(2);
    const Place filter = {filter_d, filter_h, filter_w}, taps = {taps_d, taps_h, taps_w};
    const int T = volume(taps), terms = O*T, size = volume(filter);
    const int live = min(WIDTH, channels - panel*WIDTH);
    w += (g*O*channels + panel*WIDTH)*size;
    dst += origin + ((size_t)g*get_global_size(0) + panel)*terms*WIDTH;

    VEC odd = (VEC)(0);
    for (int k = block*DEPTH; k < min(block*DEPTH + DEPTH, terms); k++) {
        const Place t = place_of(k % T, taps);
        const Place tap = {first_d + t.d*step_d, first_h + t.h*step_h, first_w + t.w*step_w};
        global const REAL *from = w + k/T*channels*size + flat(tap, filter);
        REAL lanes[WIDTH];
        for (int l = 0; l < WIDTH; l++)
            lanes[l] = l < live ? from[l*size] : (REAL)0;
#pragma unroll
        for (int l = 0; l < WIDTH; l += VW) {
            const VEC value = LOAD_VEC(lanes + l);
            odd += value - value; /* NaN once a value is infinite or NaN */
            STORE_VEC(value, dst + k*WIDTH + l);
        }
    }
    REAL lanes[VW], any = 0;
    STORE_VEC(odd, lanes);
    for (int l = 0; l < VW; l++)
        any += lanes[l];
    flags[((size_t)g*get_global_size(0) + panel)*blocks + first_block + block] = any != 0;
}
