/* im2col_columns, im2col_rows: unfold image patches straight into GEMM panels (gemm/gemm.cl).
 *
 *   X-hat[k, n] = src[b, c, pixel of tap t in window l], or 0 outside the image
 *   k = c*TAPS + t  in [0, C*TAPS),   n = b*POSITIONS + l  in [0, batch*POSITIONS)
 *
 * im2col_columns packs columns [first, first + count) of X-hat, the right operand of the forward
 * product W X-hat: panels of NR columns, k inside. im2col_rows packs those columns of its
 * transpose, the right operand of the weight gradient dY X-hat^T: panels of NR rows k, n inside.
 *
 * Launch  columns: global (ceil(count/NR), ceil(C/BLOCK), groups), BLOCK channels a work-item
 *         rows:    global (ceil(C*TAPS/NR), ceil(count/BLOCK), groups), BLOCK columns a work-item
 *         local (1, 1, 1); C is the channels of one group.
 * Macros  REAL: element type. NR: width of a panel. BLOCK: see above. Window: common/window.clh.
 * Source  Chellapilla, Puri & Simard, "High performance convolutional neural networks", 2006.
 */
#include "common/window.clh"

#define OUTSIDE (-(1 << 29)) /* a corner that no tap brings back inside the image */

kernel void im2col_columns(global const REAL *src, global REAL *dst, int C, int groups, int first,
                           int count, WINDOW_SIZES)
{
    const int panel = get_global_id(0), c0 = get_global_id(1)*BLOCK, g = get_global_id(2);
    const int c1 = min(c0 + BLOCK, C);
    Place corner[NR];
    int image[NR];
    for (int r = 0; r < NR; r++) {
        const int n = first + min(panel*NR + r, count - 1); /* clamped: read, but not kept */
        corner[r] = corner_of(place_of(n % POSITIONS, OH, OW), PD, PH, PW);
        image[r] = (n/POSITIONS*groups + g)*C*PIXELS;
        if (panel*NR + r >= count)
            corner[r].h = OUTSIDE;
    }
    dst += ((size_t)g*get_global_size(0) + panel)*C*TAPS*NR;

    for (int t = 0; t < TAPS; t++) {
        const Place tap = tap_of(t);
        int offset[NR], live[NR], unit = 1;
        for (int r = 0; r < NR; r++) {
            const Place pixel = pixel_of(corner[r], tap);
            live[r] = inside(pixel, ID, IH, IW);
            offset[r] = live[r] ? image[r] + flat(pixel, IH, IW) : 0;
            unit &= live[r] && offset[r] == offset[0] + r;
        }
        for (int c = c0; c < c1; c++) {
            global const REAL *from = src + c*PIXELS;
            global REAL *to = dst + (c*TAPS + t)*NR;
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

kernel void im2col_rows(global const REAL *src, global REAL *dst, int C, int groups, int first,
                        int count, WINDOW_SIZES)
{
    const int panel = get_global_id(0), j0 = get_global_id(1)*BLOCK, g = get_global_id(2);
    Place tap[NR];
    int offset[NR], live = min(NR, C*TAPS - panel*NR);
    for (int r = 0; r < NR; r++) {
        const int k = min(panel*NR + r, C*TAPS - 1); /* clamped: read, but not kept */
        const Place zero = {0, 0, 0};
        tap[r] = pixel_of(zero, tap_of(k % TAPS));
        offset[r] = k/TAPS*PIXELS + flat(tap[r], IH, IW);
    }
    const Place far = {(FD - 1)*DD, (FH - 1)*DH, (FW - 1)*DW};
    dst += ((size_t)g*get_global_size(0) + panel)*count*NR;

    for (int j = j0; j < min(j0 + BLOCK, count); j++) {
        const int n = first + j;
        const Place corner = corner_of(place_of(n % POSITIONS, OH, OW), PD, PH, PW);
        const Place end = {corner.d + far.d, corner.h + far.h, corner.w + far.w};
        global const REAL *from = src + (n/POSITIONS*groups + g)*C*PIXELS + flat(corner, IH, IW);
        global REAL *to = dst + j*NR;
        if (inside(corner, ID, IH, IW) && inside(end, ID, IH, IW)) {
#pragma unroll
            for (int r = 0; r < NR; r++)
                to[r] = r < live ? from[offset[r]] : (REAL)0;
        } else {
#pragma unroll
            for (int r = 0; r < NR; r++) {
                const Place pixel = {corner.d + tap[r].d, corner.h + tap[r].h, corner.w + tap[r].w};
                to[r] = r < live && inside(pixel, ID, IH, IW) ? from[offset[r]] : (REAL)0;
            }
        }
    }
}
