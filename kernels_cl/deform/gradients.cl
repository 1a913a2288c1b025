/* deform_data, deform_offset: from g = W^T dy to the gradients of image, offset and mask.
 *
 *   g[c*taps + t, n] = col[(c*taps + t)*N + n],   n = (b - b0)*positions of the chunk + l - l0
 *
 *   dx[b, c, pixel]       += mask*g * weight,   over the samples (l, t) with a corner on the pixel
 *   dmask[b, o, t, l]      = sum over c of o's channels of  g * v
 *   doffset[b, o, t, i, l] = mask * sum over c of o's channels of  g * (v's slope along axis i)
 *
 * v and its slopes are sums over the corners of sampling.clh, of weight*pixel; in a slope the
 * weight's factor of axis i is -1 for the low corner and 1 for the high one. So on the grid, where
 * v has a kink, the slope is the one to the right.
 *
 * deform_data scatters, and yet no two work-items write one element: each owns a block of channels
 * and a span of their pixels, and goes through all samples of its image in the order of windows,
 * then taps. That order is the same however windows are cut into chunks, which continue each other.
 *
 * Launch  data: global (offset groups*ceil(shared/block), ceil(pixels/span), images), local
 *         (1, 1, 1); `shared` channels share an offset, and a block is of such.
 *         offset: global (N, taps, offset groups) rounded up to local in its first axis; one
 *         work-item writes one element of dmask and RANK of doffset.
 * Macros  REAL: element type. MASK: 0 for a mask of ones, which is not read; nor is dmask written.
 *         RANK: sampling.clh. Window: common/window.clh.
 * Source  Dai et al., "Deformable convolutional networks", 2017; Zhu et al., "Deformable ConvNets
 *         v2", 2019.
 */
#include "common/lone.clh"
#include "common/window.clh"
#include "deform/sampling.clh"

LONE_KERNEL void deform_data(global const REAL *col, global const REAL *offset,
                             global const REAL *mask, global REAL *dx, int channels, int shared,
                             int block, int span, int b0, int l0, int count, WINDOW_ARGUMENTS)
{
    const Window win = WINDOW;
    const int taps = volume(win.filter), pixels = volume(win.in), positions = volume(win.out);
    const int blocks = (shared + block - 1)/block, part = get_global_id(0);
    const int o = part/blocks, c0 = o*shared + part % blocks*block;
    const int c1 = min(c0 + block, (o + 1)*shared), offset_groups = channels/shared;
    const int s0 = get_global_id(1)*span, s1 = min(s0 + span, pixels), image = get_global_id(2);
    const int N = count*get_global_size(2), b = b0 + image;
    dx += (size_t)b*channels*pixels;

    if (l0 == 0)
        for (int c = c0; c < c1; c++)
            for (int i = s0; i < s1; i++)
                dx[c*pixels + i] = 0;
    for (int l = l0; l < l0 + count; l++) {
        const Place corner = corner_of(win, place_of(l, win.out));
        for (int t = 0; t < taps; t++) {
            const int index = (b*offset_groups + o)*taps + t;
            const Place base = pixel_of(win, corner, place_of(t, win.filter));
            const Cell cell = cell_of(base, offset + index*RANK*positions + l, positions);
#pragma unroll
            for (int k = 0; k < CORNERS; k++) {
                const int at = corner_at(&cell, k, win.in);
                if (at < s0 || at >= s1)
                    continue;
                const REAL weight = corner_weight(&cell, k, -1);
                for (int c = c0; c < c1; c++) {
                    REAL g = col[(c*taps + t)*N + image*count + l - l0];
#if MASK
                    g *= mask[index*positions + l];
#endif
                    dx[c*pixels + at] = fma(weight, g, dx[c*pixels + at]);
                }
            }
        }
    }
}

kernel void deform_offset(global const REAL *col, global const REAL *x, global const REAL *offset,
                          global const REAL *mask, global REAL *doffset, global REAL *dmask,
                          int channels, int shared, int b0, int l0, int count, int N,
                          WINDOW_ARGUMENTS)
{
    const Window win = WINDOW;
    const int taps = volume(win.filter), pixels = volume(win.in), positions = volume(win.out);
    const int n = get_global_id(0), t = get_global_id(1), o = get_global_id(2);
    if (n >= N)
        return;
    const int b = b0 + n/count, l = l0 + n % count;
    const int index = (b*(channels/shared) + o)*taps + t;
    const Place base = pixel_of(win, corner_of(win, place_of(l, win.out)),
                                place_of(t, win.filter));
    const Cell cell = cell_of(base, offset + index*RANK*positions + l, positions);
    int at[CORNERS];
#pragma unroll
    for (int k = 0; k < CORNERS; k++)
        at[k] = corner_at(&cell, k, win.in);

    REAL slopes[RANK], total = 0;
#pragma unroll
    for (int i = 0; i < RANK; i++)
        slopes[i] = 0;
    for (int c = o*shared; c < (o + 1)*shared; c++) {
        const REAL g = col[(c*taps + t)*N + n];
        global const REAL *from = x + (b*channels + c)*pixels;
        REAL v = 0, slope[RANK];
#pragma unroll
        for (int i = 0; i < RANK; i++)
            slope[i] = 0;
#pragma unroll
        for (int k = 0; k < CORNERS; k++) {
            const REAL read = from[max(at[k], 0)], pixel = at[k] < 0 ? (REAL)0 : read;
            v = fma(corner_weight(&cell, k, -1), pixel, v);
#pragma unroll
            for (int i = 0; i < RANK; i++) {
                const REAL weight = corner_weight(&cell, k, i);
                slope[i] = fma(HIGH(k, i) ? weight : -weight, pixel, slope[i]);
            }
        }
        total = fma(g, v, total);
#pragma unroll
        for (int i = 0; i < RANK; i++)
            slopes[i] = fma(g, slope[i], slopes[i]);
    }
    REAL factor = 1;
#if MASK
    factor = mask[index*positions + l];
    dmask[index*positions + l] = total;
#endif
#pragma unroll
    for (int i = 0; i < RANK; i++)
        doffset[(index*RANK + i)*positions + l] = factor*slopes[i];
}
