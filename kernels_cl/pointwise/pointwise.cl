/* pointwise: Y = start + W X for filters of one tap without padding, X read in place.
 *
 *   w   (groups, O, C)            filters where they lie; or, with PACKED,
 *       (groups, blocks, C, MR)   in blocks of MR output channels (gemm/pack.cl)
 *
 * Lanes are windows of all images in one line (segments.clh). A work-item copies `depth` channels of
 * `count` panels of NR pixels into local memory and multiplies all its blocks by them; sums are put
 * aside there too, until the next channels. Every output is one chain of fma over c, as in
 * gemm/gemm.cl.
 *
 * Launch  global (ceil(batch*pixels/(count*NR)), ceil(blocks/`taken`), groups), local (1, 1, 1).
 * Macros  REAL, VW: common/types.clh. MR, NV: of a register tile; NR = NV*VW. PANELS, SUMS: elements
 *         in local memory of images and of sums. PACKED: 0 or 1. BLOCKS: of filters that stay in a
 *         cache. ACTIVATION, ACCUMULATE: common/epilogue.clh.
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

/* Every `step`-th pixel, n of them. */
static inline void copy_steps(local REAL *to, global const REAL *from, int step, int n)
{
    int i = 0;
    for (; step == 2 && i + 8 < n; i += 8) /* another follows: all of the vector is in the image */
        vstore8(vload16(0, from + 2*i).even, 0, to + i);
    for (; i < n; i++)
        to[i] = from[i*step];
}

/* `count` pixels, `step` apart, into panels, from `lane` on; panels are `apart`. */
static inline void spread(local REAL *panels, int apart, int lane, global const REAL *row, int step,
                          int count)
{
    for (int done = 0; done < count;) {
        local REAL *to = panels + lane/NR*apart + lane % NR;
        const int n = min(NR - lane % NR, count - done);
        if (step != 1) {
            copy_steps(to, row + done*step, step, n);
        } else if (n == NR) {
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
                           int depth, int count, int taken, int has_bias, REAL beta,
                           int plane, int columns, int step, int height, int row_step,
                           int slab_step)
{
    local REAL panels[PANELS], sums[SUMS], line[NR + VW];
    const int first = get_global_id(0)*count*NR, g = get_global_id(2), groups = get_global_size(2);
    const int block0 = get_global_id(1)*taken, block1 = min(block0 + taken, blocks);
    const int end = batch*pixels, live_panels = min(count, (end - first + NR - 1)/NR);
    w += (size_t)g*(PACKED ? blocks*MR : O)*C;
    if (first + count*NR > end)
        clear_pixels(panels, count*depth*NR);

    for (int c0 = 0; c0 < C; c0 += depth) {
        const int K = min(depth, C - c0);
        Segment s;
        for (int lane = 0; lane < count*NR && first + lane < end; lane += s.count) {
            s = segment_at(first, lane, count*NR, end, pixels/columns, columns);
            global const REAL *row = x + ((size_t)(s.image*groups + g)*C + c0)*plane
                                     + s.row/height*slab_step + s.row % height*row_step
                                     + s.column*step;
            for (int c = 0; c < K; c++, row += plane)
                spread(panels + c*NR, depth*NR, lane, row, step, s.count);
        }
        /* Some blocks at a time, for all panels: a panel stays in the first-level cache while they
         * go by, and they in the second. */
        for (int turn = 0; turn < (block1 - block0 + BLOCKS - 1)/BLOCKS*live_panels; turn++) {
            const int p = turn % live_panels, some = block0 + turn/live_panels*BLOCKS;
            const int from_lane = first + p*NR;
            Segment results[NR]; /* where lanes go: divisions, so once for many blocks */
            int runs = 0;
            for (int lane = 0; lane < NR && from_lane + lane < end; lane += results[runs++].count)
                results[runs] = segment_at(from_lane, lane, NR, end, 1, pixels);
            for (int block = some; block < min(some + BLOCKS, block1); block++) {
                const int o0 = block*MR, live = min(MR, O - o0);
                local REAL *kept = sums + ((block - block0)*count + p)*MR*NR;
                local const REAL *b = panels + p*depth*NR;
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
#if PACKED
                global const REAL *a = w + ((size_t)block*C + c0)*MR;
                MULTIPLY(acc, a, b, K)
#else
                global const REAL *a[MR];
#pragma unroll
                for (int i = 0; i < MR; i++) /* behind the last: summed like it, but not kept */
                    a[i] = w + (size_t)min(o0 + i, O - 1)*C + c0;
                MULTIPLY_ROWS(acc, a, b, K)
#endif
                if (c0 + K < C) {
#pragma unroll
                    for (int i = 0; i < MR; i++)
#pragma unroll
                        for (int k = 0; k < NV; k++)
                            STORE_VEC(acc[i][k], kept + i*NR + k*VW);
                    continue;
                }
#pragma unroll
                for (int i = 0; i < MR; i++) {
                    if (i >= live)
                        continue;
                    if (results[0].count == NR) {
                        global REAL *to = y + ((size_t)(results[0].image*groups + g)*O + o0 + i)*pixels
                                          + results[0].column;
#pragma unroll
                        for (int k = 0; k < NV; k++)
                            STORE_VEC(FINISH(VEC, acc[i][k], LOAD_VEC(to + k*VW)), to + k*VW);
                        continue;
                    }
#pragma unroll
                    for (int k = 0; k < NV; k++)
                        STORE_VEC(acc[i][k], line + k*VW);
                    for (int run = 0; run < runs; run++) {
                        s = results[run];
                        global REAL *to = y + ((size_t)(s.image*groups + g)*O + o0 + i)*pixels
                                          + s.column;
                        for (int l = 0; l < s.count; l += VW) {
                            const VEC old = ACCUMULATE ? load_row(to, l, 1, s.count) : (VEC)(0);
                            const VEC value = FINISH(VEC, LOAD_VEC(line + s.lane + l), old);
                            store_row(value, to + l, s.count - l);
                        }
                    }
                }
            }
        }
    }
}
