/* max_pool_backward: the adjoint of max pooling, from the indices that it returned.
 *
 *   dx[b,c,i] = sum over l = 0, 1, ... with index[b,c,l] = i of dy[b,c,l]
 *
 * Each work-item owns a span of a plane of dx and adds, in order, what falls into it: no atomics,
 * same bits every run. An index outside the plane adds nowhere.
 *
 * Launch  global (ceil(pixels/span), planes, 1), local (1, 1, 1)
 * Macros  REAL: element type.
 */
#include "common/lone.clh"

LONE_KERNEL void max_pool_backward(global const REAL *dy, global const long *index, global REAL *dx,
                              int pixels, int positions, int span)
{
    const int first = get_global_id(0)*span, plane = get_global_id(1);
    const int last = min(first + span, pixels);
    dy += plane*positions;
    index += plane*positions;
    dx += plane*pixels;
    for (int i = first; i < last; i++)
        dx[i] = 0;
    for (int l = 0; l < positions; l++)
        if (index[l] >= first && index[l] < last)
            dx[index[l]] += dy[l];
}
