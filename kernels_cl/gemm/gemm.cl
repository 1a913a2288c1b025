/* gemm: C = start + A B, from operands packed in panels (see gemm/pack.cl).
 *
 *   a  (groups, ceil(M/MR), depth, MR)   rows of A, MR beside each other; rows past M are zeros
 *   b  (groups, ceil(N/NR), depth, NR)   columns of B likewise; NR = NV*VW; of the `depth` steps of
 *      both, K from `skip` on are taken
 *   c  row m of group g begins at origin + g*c_group + m*c_row; in it, column n (counted from
 *      `first`) stands at (n/c_inner)*c_outer + (n % c_inner)*c_step
 *   start  0: zeros   1: bias[g*M + m]   2: what c holds
 *
 * So one kernel writes a matrix (c_inner = N), an NCHW image whose columns run over batch and
 * space (c_inner = pixels of a plane) and a flipped filter (c_step = -1). Every element is one
 * chain of fma over k = 0, 1, ..., however M, N and K are cut: the bits do not depend on it.
 *
 * The epilogue, y = activation(C + beta*y), is common/epilogue.clh.
 *
 * Launch  global (ceil(M/MR), ceil(N/NR), groups) rounded up to local (WG_M, WG_N, 1);
 *         one work-item computes an MR x NR tile in registers.
 * Macros  REAL, VW: see common/types.clh. ACTIVATION, ACCUMULATE: common/epilogue.clh. MR: rows of a tile. NV: vectors in a row of a tile.
 * Source  Van Zee & van de Geijn, "BLIS: a framework for rapidly instantiating BLAS
 *         functionality", 2015 (the micro-kernel and its packed panels).
 */
#include "common/lone.clh"
#include "common/types.clh"
#include "common/epilogue.clh"
#include "gemm/tile.clh"

LONE_KERNEL void gemm(global const REAL *a, global const REAL *b, global const REAL *bias,
                 global REAL *c, int M, int N, int K, int depth, int skip,
                 int start, int origin, int first, int c_inner, int c_outer, int c_step, int c_row, int c_group, REAL beta)
{
    const int m0 = get_global_id(0)*MR, n0 = get_global_id(1)*NR, g = get_global_id(2);
    if (m0 >= M || n0 >= N)
        return;
    a += (((size_t)g*((M + MR - 1)/MR) + get_global_id(0))*depth + skip)*MR;
    b += (((size_t)g*((N + NR - 1)/NR) + get_global_id(1))*depth + skip)*NR;
    c += origin + g*c_group + m0*c_row;
    const int rows = min(MR, M - m0), columns = min(NR, N - n0);
    const int n1 = first + n0, last = n1 + columns - 1;
    /* A tile that stays in one run of c is moved by vectors, any other element by element. */
    const bool whole = columns == NR && c_step == 1 && n1/c_inner == last/c_inner;
    const int run = n1/c_inner*c_outer + n1 % c_inner*c_step;

    VEC acc[MR][NV];
#pragma unroll
    for (int i = 0; i < MR; i++) {
        const REAL from = start == 1 && i < rows ? bias[g*M + m0 + i] : (REAL)0;
#pragma unroll
        for (int j = 0; j < NV; j++)
            acc[i][j] = (VEC)(from);
    }
    if (start == 2) {
#pragma unroll
        for (int i = 0; i < MR; i++) {
            if (i < rows && whole) {
#pragma unroll
                for (int j = 0; j < NV; j++)
                    acc[i][j] = LOAD_VEC(c + i*c_row + run + j*VW);
            } else if (i < rows) {
                REAL row[NR];
                for (int j = 0; j < columns; j++) {
                    const int n = n1 + j;
                    row[j] = c[i*c_row + n/c_inner*c_outer + n % c_inner*c_step];
                }
                for (int j = columns; j < NR; j++)
                    row[j] = 0;
#pragma unroll
                for (int j = 0; j < NV; j++)
                    acc[i][j] = LOAD_VEC(row + j*VW);
            }
        }
    }

    MULTIPLY(acc, a, b, K)

#pragma unroll
    for (int i = 0; i < MR; i++) {
        if (i < rows && whole) {
#pragma unroll
            for (int j = 0; j < NV; j++) {
                global REAL *to = c + i*c_row + run + j*VW;
                STORE_VEC(FINISH(VEC, acc[i][j], LOAD_VEC(to)), to);
            }
        } else if (i < rows) {
            /* By vectors as well: a driver's exp may differ between the two in the last bit. */
            REAL row[NR], old[NR];
            for (int j = 0; j < NR; j++) {
                const int n = n1 + j;
                old[j] = ACCUMULATE && j < columns
                    ? c[i*c_row + n/c_inner*c_outer + n % c_inner*c_step] : (REAL)0;
            }
#pragma unroll
            for (int j = 0; j < NV; j++)
                STORE_VEC(FINISH(VEC, acc[i][j], LOAD_VEC(old + j*VW)), row + j*VW);
            for (int j = 0; j < columns; j++) {
                const int n = n1 + j;
                c[i*c_row + n/c_inner*c_outer + n % c_inner*c_step] = row[j];
            }
        }
    }
}
