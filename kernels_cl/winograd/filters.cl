/* filters: U = G g G^T of every filter, in blocks of MR output channels.
 *
 *   u[group, block, (i, j), in, l]   element (i, j) of the filter from plane `in` to output channel
 *                                    block*MR + l, or 0 where there is none
 *
 * Plane `in` is tap in % depth of input channel in/depth. Its filter lies at w[group*out_channels*
 * planes*9 + out*out_step + (in/depth)*in_step + (in % depth)*9], all taps reversed if `flip`; a data
 * gradient exchanges the channels.
 *
 * Factors are put together in local memory and copied out in runs: 36 streams of a few bytes, which
 * are a power of two apart, would throw each other out of the cache.
 *
 * Launch  global (ceil(out/MR), ceil(planes/CHANNELS), groups), local (1, 1, 1).
 * Macros  REAL, VW: common/types.clh, VW >= MR here. M: transforms.clh. MR: channels of a block.
 *         CHANNELS: planes of a work-item.
 */
#include "common/lone.clh"
#include "common/types.clh"
#include "common/rows.clh"
#include "winograd/transforms.clh"

LONE_KERNEL void filters(global const REAL *w, global REAL *u, int out_channels, int planes,
                         int depth, int out_step, int in_step, int flip)
{
    local REAL factors[ALPHA*ALPHA][CHANNELS*MR + VW];
    const int block = get_global_id(0), g = get_global_id(2), blocks = get_global_size(0);
    const int first = get_global_id(1)*CHANNELS, last = min(first + CHANNELS, planes);
    const int live = min(MR, out_channels - block*MR);
    w += (size_t)g*out_channels*planes*9 + (size_t)block*MR*out_step;
    u += ((size_t)g*blocks + block)*ALPHA*ALPHA*planes*MR;

    for (int in = first; in < last; in++) {
        const int tap = in % depth;
        global const REAL *from = w + in/depth*in_step + (flip ? depth - 1 - tap : tap)*9;
        REAL lanes[9][VW];
#pragma unroll
        for (int l = 0; l < VW; l++)
#pragma unroll
            for (int t = 0; t < 9; t++)
                lanes[t][l] = l < live ? from[l*out_step + (flip ? 8 - t : t)] : (REAL)0;
        VEC taps[3][3], mixed[ALPHA][3];
#pragma unroll
        for (int t = 0; t < 9; t++)
            taps[t/3][t % 3] = LOAD_VEC(lanes[t]);
#pragma unroll
        for (int j = 0; j < 3; j++) {
#define TAP(i) taps[i][j]
#define HALF(i) mixed[i][j]
            TAPS_TO_FACTORS(VEC, HALF, TAP);
        }
#pragma unroll
        for (int i = 0; i < ALPHA; i++) {
            VEC row[ALPHA];
#define ALONG(j) mixed[i][j]
#define FACTOR(j) row[j]
            TAPS_TO_FACTORS(VEC, FACTOR, ALONG);
#pragma unroll
            for (int j = 0; j < ALPHA; j++) {
                /* Lanes from MR on are overwritten by the next plane's. */
                STORE_VEC(row[j], factors[i*ALPHA + j] + (in - first)*MR);
            }
        }
    }
    for (int e = 0; e < ALPHA*ALPHA; e++) {
        global REAL *to = u + ((size_t)e*planes + first)*MR;
        const int count = (last - first)*MR;
        for (int i = 0; i < count; i += VW)
            store_row(LOAD_VEC(factors[e] + i), to + i, count - i);
    }
}
