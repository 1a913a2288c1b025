/* im2col_columns, im2col_rows: unfold image patches straight into GEMM panels (gemm/gemm.cl).
 *
 *   X-hat[k, n] = src[b, c, pixel of tap t in window l], or 0 outside the image
 *   k = c*taps + t  in [0, C*taps),   n = b*positions + l  in [0, batch*positions)
 *
 * im2col_columns packs columns [first, first + count) of X-hat, the right operand of the forward
 * product W X-hat: panels of NR columns, k inside. im2col_rows packs those columns of its
 * transpose, the right operand of the weight gradient dY X-hat^T: panels of NR rows k, n inside.
 *
 * Launch  columns: global (ceil(count/NR), ceil(C/block), groups), `block` channels a work-item
 *         rows: global (ceil(C*taps/NR), ceil(count/block), groups), `block` columns a work-item
 *         local (1, 1, 1); C is the channels of one group.
 * Macros  REAL: element type. NR: width of a panel. Window: common/window.clh.
 * Source  Chellapilla, Puri & Simard, "High performance convolutional neural networks", 2006.
 */
#include "common/lone.clh"
#include "common/window.clh"

#define OUTSIDE (-(1 << 29)) /* a corner that no tap brings back inside the image */

LONE_KERNEL void im2col_columns(global const REAL *src, global REAL *dst, int C, int groups, int first,
                           int count, int block, WINDOW_ARGUMENTS)
{
    const Window win = WINDOW;
    const int taps = volume(win.filter), pixels = volume(win.in), positions = volume(win.out);
    const int panel = get_global_id(0), c0 = get_global_id(1)*block, g = get_global_id(2);
    const int c1 = min(c0 + block, C);
    Place corner[NR];
    int image[NR];
    for (int r = 0; r < NR; r++) {
        const int n = first + min(panel*NR + r, count - 1); /* clamped: read, but not kept */
        corner[r] = corner_of(win, place_of(n % positions, win.out));
        image[r] = (n/positions*groups + g)*C*pixels;
        if (panel*NR + r >= count)
            corner[r].h = OUTSIDE;
    }
    dst += ((size_t)g*get_global_size(0) + panel)*C*taps*NR;

    for (int t = 0; t < taps; t++) {
        const Place tap = place_of(t, win.filter);
        int offset[NR], live[NR], unit = 1;
        for (int r = 0; r < NR; r++) {
            const Place pixel = pixel_of(win, corner[r], tap);
            live[r] = inside(pixel, win.in);
            offset[r] = live[r] ? image[r] + flat(pixel, win.in) : 0;
            unit &= live[r] && offset[r] == offset[0] + r;
        }
        for (int c = c0; c < c1; c++) {
            global const REAL *from = src + c*pixels;
            global REAL *to = dst + (c*taps + t)*NR;
            if (unit) { /* one run of pixels: moved by vectors */
#pragma unroll
                for (int r = 0; r < NR; r++)
                    to[r] = from[offset[0] + r];
            } else {
#pragma unroll
                for (int r = 0; r < NR; r++)
                    to[r] = live[r] ? from[offset[r]] : (REAL)0;
            }
        }
    }
}

LONE_KERNEL void im2col_rows(global const REAL *src, global REAL *dst, int C, int groups, int first,
                        int count, int block, WINDOW_ARGUMENTS)
{
    const Window win = WINDOW;
    const int taps = volume(win.filter), pixels = volume(win.in), positions = volume(win.out);
    const int panel = get_global_id(0), j0 = get_global_id(1)*block, g = get_global_id(2);
    const int live = min(NR, C*taps - panel*NR);
    const Place zero = {0, 0, 0};
    Place tap[NR]; /* pixels from the corner of a window */
    int offset[NR];
    for (int r = 0; r < NR; r++) {
        const int k = min(panel*NR + r, C*taps - 1); /* clamped: read, but not kept */
        tap[r] = pixel_of(win, zero, place_of(k % taps, win.filter));
        offset[r] = k/taps*pixels + flat(tap[r], win.in);
    }
    const Place last = place_of(taps - 1, win.filter);
    dst += ((size_t)g*get_global_size(0) + panel)*count*NR;

    for (int j = j0; j < min(j0 + block, count); j++) {
        const int n = first + j;
        const Place corner = corner_of(win, place_of(n % positions, win.out));
        global const REAL *from = src + (n/positions*groups + g)*C*pixels + flat(corner, win.in);
        global REAL *to = dst + j*NR;
        if (inside(corner, win.in) && inside(pixel_of(win, corner, last), win.in)) {
#pragma unroll
            for (int r = 0; r < NR; r++)
                to[r] = r < live ? from[offset[r]] : (REAL)0;
        } else {
#pragma unroll
            for (int r = 0; r < NR; r++) {
                const Place pixel = {corner.d + tap[r].d, corner.h + tap[r].h, corner.w + tap[r].w};
                to[r] = r < live && inside(pixel, win.in) ? from[offset[r]] : (REAL)0;
            }
        }
    }
}
