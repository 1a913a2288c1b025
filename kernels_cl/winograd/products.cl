/* products: Y = A^T [U . V] A, summed over planes, for a chunk of panels of tiles.
 *
 *   u[group, block, (i, j), c, l], v[panel, group, (i, j), c, lane]: see filters.cl and images.cl
 *
 * For each block of MR output channels a work-item makes the ALPHA^2 products of MR x NR sums, keeps
 * them in local memory, transforms them, puts the outputs of neighbouring tiles side by side and
 * copies rows out, with y = activation(A^T [...] A + bias + beta*y).
 *
 * With INSIDE, u is the filters themselves (factors.clh), which are transformed here, CHANNELS
 * planes at a time, for all panels of a work-item: where panels are few, U would be written to
 * memory to be read once. Sums go on where they were; bits are the same.
 *
 * Launch  global (ceil(panels/TOGETHER), ceil(blocks/`taken`), groups), local (1, 1, 1).
 * Macros  REAL, VW: common/types.clh. M: transforms.clh. MR, NV: of a register tile; NR = NV*VW.
 *         INSIDE: 0 or 1. TOGETHER: panels of a work-item. CHANNELS: see above.
 *         ACTIVATION, ACCUMULATE: common/epilogue.clh.
 */
#include "common/lone.clh"
#include "common/types.clh"
#include "common/epilogue.clh"
#include "common/rows.clh"
#include "common/segments.clh"
#include "gemm/tile.clh"
#include "winograd/transforms.clh"
#if INSIDE
#include "winograd/factors.clh"
#define FILTER_ARGUMENTS , int depth, int out_step, int in_step, int flip
#else
#define FILTER_ARGUMENTS
#endif

/* The inverse of take_apart in images.cl: line[M*l + j] is lane l of p[j]. */
static inline void put_together(local REAL *line, const VEC p[M])
{
#if M == 4
    VEC even_lo, even_hi, odd_lo, odd_hi, v;
    even_lo.even = p[0].lo;
    even_lo.odd = p[2].lo;
    even_hi.even = p[0].hi;
    even_hi.odd = p[2].hi;
    odd_lo.even = p[1].lo;
    odd_lo.odd = p[3].lo;
    odd_hi.even = p[1].hi;
    odd_hi.odd = p[3].hi;
    v.even = even_lo.lo;
    v.odd = odd_lo.lo;
    STORE_VEC(v, line);
    v.even = even_lo.hi;
    v.odd = odd_lo.hi;
    STORE_VEC(v, line + VW);
    v.even = even_hi.lo;
    v.odd = odd_hi.lo;
    STORE_VEC(v, line + 2*VW);
    v.even = even_hi.hi;
    v.odd = odd_hi.hi;
    STORE_VEC(v, line + 3*VW);
#else
    VEC v;
    v.even = p[0].lo;
    v.odd = p[1].lo;
    STORE_VEC(v, line);
    v.even = p[0].hi;
    v.odd = p[1].hi;
    STORE_VEC(v, line + VW);
#endif
}

LONE_KERNEL void products(global const REAL *u, global const REAL *v, global const REAL *bias,
                          global REAL *y, int first_panel, int panels, int planes, int C, int O,
                          int D, int H, int W, int tile_rows, int tile_columns, int blocks,
                          int taken, int has_bias, REAL beta FILTER_ARGUMENTS)
{
    local REAL sums[TOGETHER][ALPHA*ALPHA][MR*NR], outputs[M][M*NR + VW];
    const int panel0 = get_global_id(0)*TOGETHER, live_panels = min(TOGETHER, panels - panel0);
    const int g = get_global_id(2), groups = get_global_size(2);
    const int block0 = get_global_id(1)*taken, block1 = min(block0 + taken, blocks);
    const int tiles = planes*tile_rows*tile_columns, first = (first_panel + panel0)*NR;
    v += ((size_t)panel0*groups + g)*ALPHA*ALPHA*C*NR;
#if INSIDE
    local REAL factors[ALPHA*ALPHA][CHANNELS*MR + 8];
    const int chunk = CHANNELS;
    u += (size_t)g*O*C*9;
#else
    const int chunk = C;
    u += (size_t)g*blocks*ALPHA*ALPHA*C*MR;
#endif

    Segment segments[TOGETHER][NR];
    int count[TOGETHER];
    for (int p = 0; p < live_panels; p++) {
        count[p] = 0;
        for (int lane = 0; lane < NR && first + p*NR + lane < tiles;
             lane += segments[p][count[p]++].count)
            segments[p][count[p]] = segment_at(first + p*NR, lane, NR, tiles, tile_rows,
                                               tile_columns);
    }

    for (int block = block0; block < block1; block++) {
        for (int c0 = 0; c0 < C; c0 += chunk) {
            const int K = min(chunk, C - c0);
#if INSIDE
            const Filters of_block = {u + (size_t)block*MR*out_step, min(MR, O - block*MR), depth,
                                      out_step, in_step, flip};
            make_factors(factors[0], CHANNELS*MR + 8, of_block, c0, c0 + K);
#endif
            for (int pe = 0; pe < live_panels*ALPHA*ALPHA; pe++) {
                const int p = pe/(ALPHA*ALPHA), e = pe % (ALPHA*ALPHA);
#if INSIDE
                local const REAL *a = factors[e];
#else
                global const REAL *a = u + ((size_t)block*ALPHA*ALPHA + e)*C*MR;
#endif
                global const REAL *b = v + (((size_t)p*groups*ALPHA*ALPHA + e)*C + c0)*NR;
                VEC acc[MR][NV];
#pragma unroll
                for (int i = 0; i < MR; i++)
#pragma unroll
                    for (int k = 0; k < NV; k++)
                        acc[i][k] = (VEC)(0);
                if (INSIDE && c0 > 0) {
#pragma unroll
                    for (int i = 0; i < MR; i++)
#pragma unroll
                        for (int k = 0; k < NV; k++)
                            acc[i][k] = LOAD_VEC(sums[p][e] + i*NR + k*VW);
                }
                MULTIPLY(acc, a, b, K)
#pragma unroll
                for (int i = 0; i < MR; i++)
#pragma unroll
                    for (int k = 0; k < NV; k++)
                        STORE_VEC(acc[i][k], sums[p][e] + i*NR + k*VW);
            }
        }
        for (int pl = 0; pl < live_panels*min(MR, O - block*MR); pl++) {
            const int p = pl % live_panels, l = pl/live_panels, o = block*MR + l;
            for (int k = 0; k < NV; k++) {
                VEC mixed[M][ALPHA];
#pragma unroll
                for (int j = 0; j < ALPHA; j++) {
                    VEC column[ALPHA];
#pragma unroll
                    for (int i = 0; i < ALPHA; i++)
                        column[i] = LOAD_VEC(sums[p][i*ALPHA + j] + l*NR + k*VW);
#define SUM(i) column[i]
#define HALF(i) mixed[i][j]
                    PRODUCTS_TO_OUTPUTS(VEC, HALF, SUM);
                }
#pragma unroll
                for (int i = 0; i < M; i++) {
                    VEC row[M];
#define ALONG(j) mixed[i][j]
#define OUTPUT(j) row[j]
                    PRODUCTS_TO_OUTPUTS(VEC, OUTPUT, ALONG);
                    put_together(outputs[i] + M*k*VW, row);
                }
            }
            const VEC from = (VEC)(has_bias ? bias[g*O + o] : (REAL)0);
            for (int i = 0; i < count[p]; i++) {
                const Segment s = segments[p][i];
                const int n = s.image/D;
                global REAL *to = y + (((size_t)(n*groups + g)*O + o)*D + s.image - n*D)*H*W
                                  + (size_t)M*s.row*W + M*s.column;
                const int pixels = min(M*s.count, W - M*s.column);
                for (int row = 0; row < min(M, H - M*s.row); row++, to += W)
                    for (int at = 0; at < pixels; at += VW) {
                        const VEC old = ACCUMULATE ? load_row(to, at, 1, pixels) : (VEC)(0);
                        const VEC sum = LOAD_VEC(outputs[row] + M*s.lane + at) + from;
                        store_row(FINISH(VEC, sum, old), to + at, pixels - at);
                    }
            }
        }
    }
}
