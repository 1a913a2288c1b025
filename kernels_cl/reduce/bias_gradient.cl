/* bias_gradient: db[o] = sum over b, l of dy[b, o, l], the adjoint of adding a bias.
 *
 * LANES partial sums (l, l + LANES, ... over the whole batch) are added in lane order: the same
 * bits every run.
 *
 * Launch  global (O, 1, 1), local (1, 1, 1); one work-item sums one output channel.
 * Macros  REAL: element type. LANES: partial sums, kept in registers.
 */
#include "common/lone.clh"

LONE_KERNEL void bias_gradient(global const REAL *dy, global REAL *db, int batch, int positions)
{
    const int o = get_global_id(0), outputs = get_global_size(0);
    const int whole = positions/LANES*LANES;
    REAL lanes[LANES];
    for (int i = 0; i < LANES; i++)
        lanes[i] = 0;
    for (int b = 0; b < batch; b++) {
        global const REAL *plane = dy + (b*outputs + o)*positions;
        for (int l = 0; l < whole; l += LANES)
#pragma unroll
            for (int i = 0; i < LANES; i++)
                lanes[i] += plane[l + i];
        for (int l = whole; l < positions; l++)
            lanes[l - whole] += plane[l];
    }
    REAL sum = lanes[0];
    for (int i = 1; i < LANES; i++)
        sum += lanes[i];
    db[o] = sum;
}
