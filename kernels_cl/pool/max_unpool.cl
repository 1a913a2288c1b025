/* max_unpool: put elements back to where max pooling found them; and its gradient.
 *
 *   x[b,c,index[b,c,l]] = y[b,c,l]  for l = 0, 1, ...: the last of several stays; zeros elsewhere
 *   dy[b,c,l]           = dx[b,c,index[b,c,l]], 0 where index is outside the plane
 *
 * Each work-item of max_unpool owns a span of a plane of x, so that no two write one element.
 *
 * Launch  max_unpool: global (ceil(pixels/span), planes, 1); max_unpool_backward: global
 *         (positions, planes, 1); local (1, 1, 1)
 * Macros  REAL: element type.
 */
#include "common/lone.clh"

LONE_KERNEL void max_unpool(global const REAL *y, global const long *index, global REAL *x,
                            int pixels, int positions, int span)
{
    const int first = get_global_id(0)*span, plane = get_global_id(1);
    const int last = min(first + span, pixels);
    y += plane*positions;
    index += plane*positions;
    x += plane*pixels;
    for (int i = first; i < last; i++)
        x[i] = 0;
    for (int l = 0; l < positions; l++)
        if (index[l] >= first && index[l] < last)
            x[index[l]] = y[l];
}

LONE_KERNEL void max_unpool_backward(global const REAL *dx, global const long *index,
                                     global REAL *dy, int pixels, int positions)
{
    const int l = get_global_id(0), plane = get_global_id(1);
    const long at = index[plane*positions + l];
    dy[plane*positions + l] = at >= 0 && at < pixels ? dx[plane*pixels + at] : (REAL)0;
}
