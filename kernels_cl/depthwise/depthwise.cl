/* depthwise: convolution whose filters each see one channel (C = groups), and its adjoints.
 *
 *   forward           y[b,o,l]  = bias[o] + sum over t of x[b, o/M, pixel] * w[o, t]
 *   backward_data     dx[b,c,i] = bias[c] + sum over o of channel c, t of dy[b, o, l] * w[o, t]
 *   backward_weights  dw[o,t]   = sum over b, l of dy[b, o, l] * x[b, o/M, pixel]
 *
 * M = O/C is the channel multiplier. A product with the im2col matrix would be one row high; here
 * a vector of neighbouring results takes each tap's pixels as a (mostly unaligned) vector load.
 * The vectors' lanes are summed in lane order, so the bits are the same every run. flip: filters are stored
 * reversed.
 *
 * Launch  forward: global (OD*OH, O, batch), a work-item a row of y
 *         backward_data: global (ID*IH, C, batch), a work-item a row of dx
 *         backward_weights: global (taps, O, 1), a work-item an element of dw
 *         local (1, 1, 1)
 * Macros  REAL, VW: see common/types.clh. ACTIVATION, ACCUMULATE: see common/epilogue.clh, forward
 *         only. Window: see common/window.clh.
 */
#include "common/lone.clh"
#include "common/types.clh"
#include "common/epilogue.clh"
#include "common/rows.clh"
#include "common/window.clh"

LONE_KERNEL void depthwise_forward(global const REAL *x, global const REAL *w, global const REAL *bias,
                              global REAL *y, int M, int flip,
                              int has_bias, REAL beta, WINDOW_ARGUMENTS)
{
    const Window win = WINDOW;
    const int taps = volume(win.filter), pixels = volume(win.in);
    const int row = get_global_id(0), o = get_global_id(1), b = get_global_id(2);
    const int outputs = get_global_size(1);
    const Place position = {row/OH, row % OH, 0};
    const Place corner = corner_of(win, position);
    x += (b*(outputs/M) + o/M)*pixels;
    w += o*taps;
    y += ((b*outputs + o)*OD*OH + row)*OW;
    for (int q = 0; q < OW; q += VW) {
        VEC sum = (VEC)(has_bias ? bias[o] : (REAL)0);
        for (int i = 0; i < FD*FH; i++) {
            const int d = corner.d + i/FH*DD, h = corner.h + i % FH*DH;
            if (d < 0 || d >= ID || h < 0 || h >= IH)
                continue;
            for (int j = 0; j < FW; j++) {
                const VEC pixels = load_row(x + (d*IH + h)*IW, q*SW - PW + j*DW, SW, IW);
                sum = fma(pixels, (VEC)(w[stored_tap(i*FW + j, taps, flip)]), sum);
            }
        }
        store_row(FINISH(VEC, sum, load_row(y + q, 0, 1, OW - q)), y + q, OW - q);
    }
}

LONE_KERNEL void depthwise_backward_data(global const REAL *dy, global const REAL *w,
                                         global const REAL *bias, global REAL *dx, int M,
                                         int flip, int has_bias, WINDOW_ARGUMENTS)
{
    const Window win = WINDOW;
    const int taps = volume(win.filter), positions = volume(win.out);
    const int row = get_global_id(0), c = get_global_id(1), b = get_global_id(2);
    const int channels = get_global_size(1);
    const Place pixel = {row/IH, row % IH, 0};
    dy += (b*channels + c)*M*positions;
    w += c*M*taps;
    dx += ((b*channels + c)*ID*IH + row)*IW;
    for (int q = 0; q < IW; q += VW) {
        VEC sum = (VEC)(has_bias ? bias[c] : (REAL)0);
        for (int m = 0; m < M; m++)
            for (int i = 0; i < FD*FH; i++) {
                const int d = pixel.d + PD - i/FH*DD, h = pixel.h + PH - i % FH*DH;
                if (d < 0 || h < 0 || d % SD || h % SH || d/SD >= OD || h/SH >= OH)
                    continue;
                global const REAL *from = dy + ((m*OD + d/SD)*OH + h/SH)*OW;
                for (int j = 0; j < FW; j++) {
                    const VEC adjoints = load_row_spread(from, q + PW - j*DW, SW, OW);
                    sum = fma(adjoints, (VEC)(w[m*taps + stored_tap(i*FW + j, taps, flip)]), sum);
                }
            }
        store_row(sum, dx + q, IW - q);
    }
}

LONE_KERNEL void depthwise_backward_weights(global const REAL *x, global const REAL *dy,
                                       global REAL *dw, int batch, int M, int flip,
                                       WINDOW_ARGUMENTS)
{
    const Window win = WINDOW;
    const int taps = volume(win.filter);
    const int t = get_global_id(0), o = get_global_id(1), outputs = get_global_size(1);
    const Place tap = place_of(t, win.filter);
    VEC sum = (VEC)(0);
    for (int row = 0; row < batch*OD*OH; row++) {
        const int b = row/(OD*OH), p = row % (OD*OH);
        const int d = p/OH*SD - PD + tap.d*DD, h = p % OH*SH - PH + tap.h*DH;
        if (d < 0 || d >= ID || h < 0 || h >= IH)
            continue;
        global const REAL *image = x + (((b*(outputs/M) + o/M)*ID + d)*IH + h)*IW;
        global const REAL *adjoint = dy + ((b*outputs + o)*OD*OH + p)*OW;
        for (int q = 0; q < OW; q += VW) {
            const VEC pixels = load_row(image, q*SW - PW + tap.w*DW, SW, IW);
            sum = fma(load_row(adjoint, q, 1, OW), pixels, sum);
        }
    }
    REAL lanes[VW], total = 0;
    STORE_VEC(sum, lanes);
    for (int i = 0; i < VW; i++)
        total += lanes[i];
    dw[o*taps + stored_tap(t, taps, flip)] = total;
}
