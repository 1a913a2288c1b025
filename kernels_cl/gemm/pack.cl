/* pack: bring a strided matrix into panels, the operand form of gemm/gemm.cl.
 *
 *   dst[g, p, k, r] = src[origin + g*group + row(p*WIDTH + r) + depth(k)], or 0 where the row
 *                     is `rows` or more
 *   row(i)   = (i/row_inner)*row_outer + (i % row_inner)*row_step
 *   depth(k) = (i/depth_inner)*depth_outer + (i % depth_inner)*depth_step,  i = first + k
 *
 * Two strides on each side reach everything that is packed: weights (plain, transposed or
 * flipped) and the NCHW incoming adjoint, as rows or as columns of a matrix over batch and space.
 *
 * Launch  global (ceil(rows/WIDTH), ceil(K/DEPTH), groups), local (1, 1, 1); one work-item
 *         writes DEPTH steps of one panel.
 * Macros  REAL: element type. WIDTH: rows of a panel (MR or NR). DEPTH: k-steps a work-item.
 */
#include "common/lone.clh"

LONE_KERNEL void pack(global const REAL *src, global REAL *dst, int rows, int K, int first, int origin, int group,
                 int row_inner, int row_outer, int row_step,
                 int depth_inner, int depth_outer, int depth_step)
{
    const int panel = get_global_id(0), k0 = get_global_id(1)*DEPTH, g = get_global_id(2);
    const int live = min(WIDTH, rows - panel*WIDTH);
    src += origin + g*group;
    dst += ((size_t)g*get_global_size(0) + panel)*K*WIDTH;

    int offset[WIDTH];
    for (int r = 0; r < WIDTH; r++) {
        const int i = min(panel*WIDTH + r, rows - 1);  /* clamped: read, but not kept */
        offset[r] = i/row_inner*row_outer + i % row_inner*row_step;
    }
    for (int k = k0; k < min(k0 + DEPTH, K); k++) {
        const int i = first + k;
        const int depth = i/depth_inner*depth_outer + i % depth_inner*depth_step;
#pragma unroll
        for (int r = 0; r < WIDTH; r++)
            dst[k*WIDTH + r] = r < live ? src[offset[r] + depth] : (REAL)0;
    }
}
