/* pointwise_weights: dW = dY X^T for filters of one tap and stride 1, dY read in place.
 *
 *   dw[o, c] = sum over (n, p) of dy[n, o, p]*x[n, c, p]
 *
 * Lanes are channels of x. A work-item transposes `count` panels of NR channels, some pixels of them,
 * into local memory and multiplies all its blocks of outputs by them; sums are put aside there too,
 * until the next pixels. Every element is one chain of fma over (n, p), as in gemm/gemm.cl.
 *
 * Launch  global (ceil(C/(count*NR)), ceil(blocks/`taken`), groups), local (1, 1, 1).
 * Macros  REAL, VW: common/types.clh. MR, NV: of a register tile; NR = NV*VW. PANELS, SUMS: elements
 *         in local memory of images and of sums.
 * Source  Van Zee & van de Geijn, "BLIS: a framework for rapidly instantiating BLAS
 *         functionality", 2015.
 */
#include "common/lone.clh"
#include "common/types.clh"
#include "common/rows.clh"
#include "common/transpose.clh"
#include "gemm/tile.clh"

#define VEC8 PASTE(REAL, 8)

/* `K` pixels of NR channels, `lanes` of which there are, `apart` in x: to[k][lane]. */
static inline void transpose_rows(local REAL *to, global const REAL *x, int apart, int lanes, int K)
{
    int k = 0;
    for (; k + 8 <= K; k += 8) {
        for (int l = 0; l < NR; l += 8) {
            VEC8 t[8];
#pragma unroll
            for (int r = 0; r < 8; r++)
                t[r] = l + r < lanes ? vload8(0, x + (l + r)*apart + k) : (VEC8)(0);
            TRANSPOSE(VEC8, t);
#pragma unroll
            for (int i = 0; i < 8; i++)
                vstore8(t[i], 0, to + (k + i)*NR + l);
        }
    }
    for (; k < K; k++)
        for (int l = 0; l < NR; l++)
            to[k*NR + l] = l < lanes ? x[l*apart + k] : (REAL)0;
}

LONE_KERNEL void pointwise_weights(global const REAL *x, global const REAL *dy, global REAL *dw,
                                   int batch, int C, int O, int pixels, int blocks, int images,
                                   int span, int count, int taken)
{
    local REAL panels[PANELS], sums[SUMS];
    const int c0 = get_global_id(0)*count*NR, g = get_global_id(2), groups = get_global_size(2);
    const int block0 = get_global_id(1)*taken, block1 = min(block0 + taken, blocks);
    const int live_panels = min(count, (C - c0 + NR - 1)/NR);

    for (int i = 0; i < (block1 - block0)*count*MR*NR; i += VW)
        STORE_VEC((VEC)(0), sums + i);
    for (int n0 = 0; n0 < batch; n0 += images) {
        const int whole = min(images, batch - n0);
        for (int p0 = 0; p0 < pixels; p0 += span) {
            const int K = min(span, pixels - p0);
            for (int p = 0; p < live_panels; p++) {
                const int c = c0 + p*NR;
                for (int n = 0; n < whole; n++)
                    transpose_rows(panels + (p*images*span + n*K)*NR,
                                   x + (((size_t)(n0 + n)*groups + g)*C + c)*pixels + p0, pixels,
                                   min(NR, C - c), K);
            }
            for (int block = block0; block < block1; block++)
                for (int p = 0; p < live_panels; p++) {
                    local REAL *kept = sums + ((block - block0)*count + p)*MR*NR;
                    local const REAL *b = panels + p*images*span*NR;
                    VEC acc[MR][NV];
#pragma unroll
                    for (int i = 0; i < MR; i++)
#pragma unroll
                        for (int j = 0; j < NV; j++)
                            acc[i][j] = LOAD_VEC(kept + i*NR + j*VW);
                    for (int n = n0; n < n0 + whole; n++) {
                        global const REAL *row = dy + ((size_t)n*groups + g)*O*pixels + p0;
                        global const REAL *a[MR];
#pragma unroll
                        for (int i = 0; i < MR; i++) /* behind the last: like it, but not kept */
                            a[i] = row + (size_t)min(block*MR + i, O - 1)*pixels;
                        MULTIPLY_ROWS(acc, a, b, K)
                    }
#pragma unroll
                    for (int i = 0; i < MR; i++)
#pragma unroll
                        for (int j = 0; j < NV; j++)
                            STORE_VEC(acc[i][j], kept + i*NR + j*VW);
                }
        }
    }
    for (int block = block0; block < block1; block++)
        for (int p = 0; p < live_panels; p++)
            for (int i = 0; i < min(MR, O - block*MR); i++) {
                local const REAL *kept = sums + (((block - block0)*count + p)*MR + i)*NR;
                const int c = c0 + p*NR;
                global REAL *to = dw + ((size_t)g*O + block*MR + i)*C + c;
                for (int l = 0; l < NR && c + l < C; l += VW)
                    store_row(LOAD_VEC(kept + l), to + l, C - c - l);
            }
}
