/* direct: convolution and its two adjoints by their definitions; any sizes, any groups.
 *
 *   forward           y[b,o,l]  = bias[o] + sum over c, t of x[b, c, pixel] * w[o, c, t]
 *   backward_data     dx[b,c,i] = sum over o, t of dy[b, o, l] * w[o, c, t],
 *                                 l the window whose tap t lies on pixel i
 *   backward_weights  dw[o,c,t] = sum over b, l of dy[b, o, l] * x[b, c, pixel]
 *
 * with c and o running over one group and pixel = tap t of window l. Padding is left out of the
 * sums, not multiplied by zero. Terms are added in the order written, as gemm/gemm.cl does it.
 *
 * Launch  forward: global (POSITIONS, O, batch); backward_data: global (PIXELS, C, batch);
 *         backward_weights: global (TAPS, C/groups, O); each rounded up to local in its first
 *         axis; one work-item computes one element.
 * Macros  REAL: element type. FLIP: 1 reads and writes filters reversed. HAS_BIAS: 1 adds bias.
 *         Window: see common/window.clh.
 */
#include "common/window.clh"

kernel void direct_forward(global const REAL *x, global const REAL *w, global const REAL *bias,
                           global REAL *y, int Cg, int Og, WINDOW_SIZES)
{
    const int l = get_global_id(0), o = get_global_id(1), b = get_global_id(2);
    const int outputs = get_global_size(1), groups = outputs/Og;
    if (l >= POSITIONS)
        return;
    const Place corner = corner_of(place_of(l, OH, OW), PD, PH, PW);
    x += (b*groups + o/Og)*Cg*PIXELS;
    w += o*Cg*TAPS;
    REAL sum = HAS_BIAS ? bias[o] : (REAL)0;
    for (int c = 0; c < Cg; c++)
        for (int t = 0; t < TAPS; t++) {
            const Place pixel = pixel_of(corner, tap_of(t));
            if (inside(pixel, ID, IH, IW))
                sum = fma(x[c*PIXELS + flat(pixel, IH, IW)], w[c*TAPS + STORED_TAP(t)], sum);
        }
    y[(b*outputs + o)*POSITIONS + l] = sum;
}

kernel void direct_backward_data(global const REAL *dy, global const REAL *w, global REAL *dx,
                                 int Cg, int Og, WINDOW_SIZES)
{
    const int i = get_global_id(0), c = get_global_id(1), b = get_global_id(2);
    const int channels = get_global_size(1), groups = channels/Cg;
    if (i >= PIXELS)
        return;
    const Place pixel = place_of(i, IH, IW);
    dy += (b*groups + c/Cg)*Og*POSITIONS;
    w += (c/Cg*Og*Cg + c % Cg)*TAPS;
    REAL sum = 0;
    for (int t = 0; t < TAPS; t++) {
        Place window;
        if (!window_over(pixel, tap_of(t), OD, OH, OW, PD, PH, PW, &window))
            continue;
        for (int o = 0; o < Og; o++)
            sum = fma(dy[o*POSITIONS + flat(window, OH, OW)], w[o*Cg*TAPS + STORED_TAP(t)], sum);
    }
    dx[(b*channels + c)*PIXELS + i] = sum;
}

kernel void direct_backward_weights(global const REAL *x, global const REAL *dy, global REAL *dw,
                                    int batch, int groups, int Og, WINDOW_SIZES)
{
    const int t = get_global_id(0), c = get_global_id(1), o = get_global_id(2);
    const int Cg = get_global_size(1), outputs = get_global_size(2);
    if (t >= TAPS)
        return;
    REAL sum = 0;
    for (int b = 0; b < batch; b++) {
        global const REAL *image = x + ((b*groups + o/Og)*Cg + c)*PIXELS;
        global const REAL *adjoint = dy + (b*outputs + o)*POSITIONS;
        for (int l = 0; l < POSITIONS; l++) {
            const Place corner = corner_of(place_of(l, OH, OW), PD, PH, PW);
            const Place pixel = pixel_of(corner, tap_of(t));
            if (inside(pixel, ID, IH, IW))
                sum = fma(adjoint[l], image[flat(pixel, IH, IW)], sum);
        }
    }
    dw[(o*Cg + c)*TAPS + STORED_TAP(t)] = sum;
}
