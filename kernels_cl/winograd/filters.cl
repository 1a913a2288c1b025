/* filters: U = G g G^T of every filter, in blocks of MR output channels (factors.clh).
 *
 *   u[group, block, (i, j), in, l]   element (i, j) of the filter from plane `in` to output channel
 *                                    block*MR + l, or of the last where there is none
 *
 * The filters of a group lie at w[group*out_channels*planes*9]; a data gradient exchanges the
 * channels, by out_step and in_step.
 *
 * Factors are put together in local memory and copied out in runs: 36 streams of a few bytes, which
 * are a power of two apart, would throw each other out of the cache.
 *
 * Launch  global (ceil(out/MR), ceil(planes/CHANNELS), groups), local (1, 1, 1).
 * Macros  REAL, VW: common/types.clh. M: transforms.clh. MR: channels of a block, at most 8.
 *         CHANNELS: planes of a work-item.
 */
#include "common/lone.clh"
#include "common/types.clh"
#include "common/rows.clh"
#include "winograd/transforms.clh"
#include "winograd/factors.clh"

LONE_KERNEL void filters(global const REAL *w, global REAL *u, int out_channels, int planes,
                         int depth, int out_step, int in_step, int flip)
{
    local REAL factors[ALPHA*ALPHA][CHANNELS*MR + 8];
    const int block = get_global_id(0), g = get_global_id(2), blocks = get_global_size(0);
    const int first = get_global_id(1)*CHANNELS, last = min(first + CHANNELS, planes);
    const Filters of_block = {w + (size_t)g*out_channels*planes*9 + (size_t)block*MR*out_step,
                              min(MR, out_channels - block*MR), depth, out_step, in_step, flip};
    make_factors(factors[0], CHANNELS*MR + 8, of_block, first, last);

    u += ((size_t)g*blocks + block)*ALPHA*ALPHA*planes*MR;
    for (int e = 0; e < ALPHA*ALPHA; e++) {
        global REAL *to = u + ((size_t)e*planes + first)*MR;
        const int count = (last - first)*MR;
        for (int i = 0; i < count; i += VW)
            store_row(LOAD_VEC(factors[e] + i), to + i, count - i);
    }
}
