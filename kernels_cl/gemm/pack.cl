/* pack: bring a strided matrix into panels, the operand form of gemm/gemm.cl.
 *
 *   dst[g, p, k, r] = src[origin + g*group + row(p*WIDTH + r) + depth(k)], or 0 where the row
 *                     is `rows` or more
 *   row(i)   = (i/row_inner)*row_outer + (i % row_inner)*row_step
 *   depth(k) = (i/depth_inner)*depth_outer + (i % depth_inner)*depth_step,  i = first + k
 *
 * Two strides on each side reach everything that is packed: weights (plain, transposed or
 * flipped) and the NCHW incoming adjoint, as rows or as columns of a matrix over batch and space.
 * Panels of whole vectors are moved by vectors, where rows or steps are neighbours in the array.
 *
 * Launch  global (ceil(rows/WIDTH), ceil(K/DEPTH), groups), local (1, 1, 1); one work-item
 *         writes DEPTH steps of one panel.
 * Macros  REAL, VW: common/types.clh. WIDTH: rows of a panel (MR or NR). DEPTH: k-steps a work-item.
 */
#include "common/lone.clh"
#include "common/types.clh"
#include "common/transpose.clh"

#define PANELS_OF_8 (VW >= 8 && WIDTH % 8 == 0)
#define VEC8 PASTE(REAL, 8)
#define DEPTH_OFFSET(i) ((i)/depth_inner*depth_outer + (i) % depth_inner*depth_step)

LONE_KERNEL void pack(global const REAL *src, global REAL *dst, int rows, int K, int first, int origin, int group,
                 int row_inner, int row_outer, int row_step,
                 int depth_inner, int depth_outer, int depth_step)
{
    const int panel = get_global_id(0), k0 = get_global_id(1)*DEPTH, g = get_global_id(2);
    const int end = min(k0 + DEPTH, K);
    const int live = min(WIDTH, rows - panel*WIDTH);
    src += origin + g*group;
    dst += ((size_t)g*get_global_size(0) + panel)*K*WIDTH;

    int offset[WIDTH];
    for (int r = 0; r < WIDTH; r++) {
        const int i = min(panel*WIDTH + r, rows - 1);  /* clamped: read, but not kept */
        offset[r] = i/row_inner*row_outer + i % row_inner*row_step;
    }
    bool neighbours = live == WIDTH;
    for (int r = 1; r < WIDTH; r++)
        neighbours = neighbours && offset[r] == offset[0] + r;
    for (int k = k0; k < end; k++) {
        const int depth = DEPTH_OFFSET(first + k);
#if PANELS_OF_8
        if (neighbours) {
#pragma unroll
            for (int r = 0; r < WIDTH; r += 8)
                vstore8(vload8(0, src + offset[0] + depth + r), 0, dst + k*WIDTH + r);
            continue;
        }
        if (depth_step == 1 && k + 8 <= end && (first + k) % depth_inner + 8 <= depth_inner) {
            for (int r0 = 0; r0 < WIDTH; r0 += 8) {
                VEC8 t[8];
#pragma unroll
                for (int r = 0; r < 8; r++)
                    t[r] = r0 + r < live ? vload8(0, src + offset[r0 + r] + depth) : (VEC8)(0);
                TRANSPOSE(VEC8, t);
#pragma unroll
                for (int i = 0; i < 8; i++)
                    vstore8(t[i], 0, dst + (k + i)*WIDTH + r0);
            }
            k += 7;
            continue;
        }
#endif
#pragma unroll
        for (int r = 0; r < WIDTH; r++)
            dst[k*WIDTH + r] = r < live ? src[offset[r] + depth] : (REAL)0;
    }
}
