/* pointwise: Y = start + W X for filters of one tap and stride 1, X read in place.
 *
 *   w   (groups, blocks, C, MR)   filters in blocks of MR output channels (gemm/pack.cl)
 *
 * Lanes are pixels of all images in one line (segments.clh). A work-item copies `depth` channels of
 * `count` panels of NR pixels into local memory and multiplies all its blocks by them; sums are put
 * aside there too, until the next channels. Every output is one chain of fma over c, as in
 * gemm/gemm.cl.
 *
 * Launch  global (ceil(batch*pixels/(count*NR)), ceil(blocks/`taken`), groups), local (1, 1, 1).
 * Macros  REAL, VW: common/types.clh. MR, NV: of a register tile; NR = NV*VW. PANELS, SUMS: elements
 *         in local memory of images and of sums. ACTIVATION, ACCUMULATE: common/epilogue.clh.
 * Source  Van Zee & van de Geijn, "BLIS: a framework for rapidly instantiating BLAS
 *         functionality", 2015.
 */
#include "common/lone.clh"
#include "common/types.clh"
#include "common/epilogue.clh"
#include "common/rows.clh"
#include "common/window.clh"
#include "common/staged.clh"
#include "common/segments.clh"
#include "gemm/tile.clh"

/* `count` neighbouring pixels into panels, from `lane` on; panels are `apart`. */
static inline void spread(local REAL *panels, int apart, int lane, global const REAL *row, int count)
{
    for (int done = 0; done < count;) {
        local REAL *to = panels + lane/NR*apart + lane % NR;
        const int n = min(NR - lane % NR, count - done);
        if (n == NR) {
#pragma unroll
            for (int k = 0; k < NV; k++)
                STORE_VEC(LOAD_VEC(row + done + k*VW), to + k*VW);
        } else {
            copy_pixels(to, row + done, n);
        }
        done += n;
        lane += n;
    }
}

LONE_KERNEL void pointwise(global const REAL *x, global const REAL *w, global const REAL *bias,
                           global REAL *y, int batch, int C, int O, int pixels, int blocks,
                           int depth, int count, int taken, int has_bias, REAL beta)
{
    local REAL panels[PANELS], sums[SUMS], line[NR + VW];
    const int first = get_global_id(0)*count*NR, g = get_global_id(2), groups = get_global_size(2);
    const int block0 = get_global_id(1)*taken, block1 = min(block0 + taken, blocks);
    const int end = batch*pixels, live_panels = min(count, (end - first + NR - 1)/NR);
    w += (size_t)g*blocks*C*MR;
    if (first + count*NR > end)
        clear_pixels(panels, count*depth*NR);

    for (int c0 = 0; c0 < C; c0 += depth) {
        const int K = min(depth, C - c0);
        Segment s;
        for (int lane = 0; lane < count*NR && first + lane < end; lane += s.count) {
            s = segment_at(first, lane, count*NR, end, 1, pixels);
            global const REAL *row = x + ((size_t)(s.image*groups + g)*C + c0)*pixels + s.column;
            for (int c = 0; c < K; c++, row += pixels)
                spread(panels + c*NR, depth*NR, lane, row, s.count);
        }
        for (int block = block0; block < block1; block++) {
            const int o0 = block*MR, live = min(MR, O - o0);
            for (int p = 0; p < live_panels; p++) {
                const int from_lane = first + p*NR;
                local REAL *kept = sums + ((block - block0)*count + p)*MR*NR;
                local const REAL *b = panels + p*depth*NR;
                global const REAL *a = w + ((size_t)block*C + c0)*MR;
                VEC acc[MR][NV];
#pragma unroll
                for (int i = 0; i < MR; i++) {
                    const REAL from = has_bias && i < live ? bias[g*O + o0 + i] : (REAL)0;
#pragma unroll
                    for (int k = 0; k < NV; k++)
                        acc[i][k] = (VEC)(from);
                }
                if (c0 > 0) {
#pragma unroll
                    for (int i = 0; i < MR; i++)
#pragma unroll
                        for (int k = 0; k < NV; k++)
                            acc[i][k] = LOAD_VEC(kept + i*NR + k*VW);
                }
                MULTIPLY(acc, a, b, K)
                if (c0 + K < C) {
#pragma unroll
                    for (int i = 0; i < MR; i++)
#pragma unroll
                        for (int k = 0; k < NV; k++)
                            STORE_VEC(acc[i][k], kept + i*NR + k*VW);
                    continue;
                }
                const Segment whole = segment_at(from_lane, 0, NR, end, 1, pixels);
#pragma unroll
                for (int i = 0; i < MR; i++) {
                    if (i >= live)
                        continue;
                    if (whole.count == NR) {
                        global REAL *to = y + ((size_t)(whole.image*groups + g)*O + o0 + i)*pixels
                                          + whole.column;
#pragma unroll
                        for (int k = 0; k < NV; k++)
                            STORE_VEC(FINISH(VEC, acc[i][k], LOAD_VEC(to + k*VW)), to + k*VW);
                        continue;
                    }
#pragma unroll
                    for (int k = 0; k < NV; k++)
                        STORE_VEC(acc[i][k], line + k*VW);
                    for (int lane = 0; lane < NR && from_lane + lane < end; lane += s.count) {
                        s = segment_at(from_lane, lane, NR, end, 1, pixels);
                        global REAL *to = y + ((size_t)(s.image*groups + g)*O + o0 + i)*pixels
                                          + s.column;
                        for (int l = 0; l < s.count; l += VW) {
                            const VEC old = ACCUMULATE ? load_row(to, l, 1, s.count) : (VEC)(0);
                            const VEC value = FINISH(VEC, LOAD_VEC(line + lane + l), old);
                            store_row(value, to + l, s.count - l);
                        }
                    }
                }
            }
        }
    }
}
