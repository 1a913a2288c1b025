/* depthwise: convolution whose filters each see one channel (C = groups), and its adjoints.
 *
 *   forward           y[b,o,l]  = bias[o] + sum over t of x[b, o/M, pixel] * w[o, t]
 *   backward_data     dx[b,c,i] = bias[c] + sum over o of channel c, t of dy[b, o, l] * w[o, t]
 *   backward_weights  dw[o,t]   = sum over b, l of dy[b, o, l] * x[b, o/M, pixel]
 *
 * M = O/C is the channel multiplier. A product with the im2col matrix would be one row high; here
 * a vector of neighbouring results takes each tap's pixels as a (mostly unaligned) vector load.
 * The vectors' lanes are summed in lane order, so the bits are the same every run. Pixels in the
 * padding are zeros that are multiplied, 0*inf = NaN, as reference/conv.py says; backward_data has
 * no products but those of a tap with a window. flip: filters are stored reversed.
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
            /* A row in the padding has no pixels, but zeros that are multiplied like others. */
            const int width = d >= 0 && d < ID && h >= 0 && h < IH ? IW : 0;
            for (int j = 0; j < FW; j++) {
                const VEC pixels = load_row(x + (d*IH + h)*IW, q*SW - PW + j*DW, SW, width);
                sum = fma(pixels, (VEC)(w[stored_tap(i*FW + j, taps, flip)]), sum);
            }
        }
        store_row(FINISH(VEC, sum, load_row(y + q, 0, 1, OW - q)), y + q, OW - q);
    }
}

/* dx at one pixel by the definition, its terms in the order of the vectors. Kept small: with the
 * loops of the vectors written out here, PoCL's code for those was slower by up to a half. */
static inline REAL gathered(global const REAL *dy, global const REAL *w, REAL sum, Window win,
                            Place pixel, int M, int flip)
{
    const int taps = volume(win.filter), positions = volume(win.out);
#pragma unroll 1
    for (int i = 0; i < M*taps; i++) {
        const int t = i % taps;
        Place window;
        if (window_over(win, pixel, place_of(t, win.filter), &window))
            sum = fma(dy[i/taps*positions + flat(window, win.out)],
                      w[i - t + stored_tap(t, taps, flip)], sum);
    }
    return sum;
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
    const REAL start = has_bias ? bias[c] : (REAL)0;
    dy += (b*channels + c)*M*positions;
    w += c*M*taps;
    dx += ((b*channels + c)*ID*IH + row)*IW;
    int finite = 1; /* every sum so far */
    for (int q = 0; q < IW; q += VW) {
        VEC sum = (VEC)(start);
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
#if !INTEGER
        finite &= all(isfinite(sum));
#endif
        store_row(sum, dx + q, IW - q);
    }
#if !INTEGER
    /* A tap that hits no window has added 0*w. That is nothing, unless w is not finite. */
    if (!finite) {
#pragma unroll 1
        for (int i = 0; i < IW; i++) {
            const Place at = {pixel.d, pixel.h, i};
            dx[i] = gathered(dy, w, start, win, at, M, flip);
        }
    }
#endif
}

LONE_KERNEL void depthwise_backward_weights(global const REAL *x, global const REAL *dy,
                                       global REAL *dw, int batch, int M, int flip,
                                       WINDOW_ARGUMENTS)
{
    const Window win = WINDOW;
    const int taps = volume(win.filter);
    const int t = get_global_id(0), o = get_global_id(1), outputs = get_global_size(1);
    const Place tap = place_of(t, win.filter);
    /* Behind the last window there may be more pixels: `end` keeps 0*pixel out of the sum. */
    const int first = tap.w*DW - PW, end = min(IW, first + OW*SW);
    VEC sum = (VEC)(0);
    for (int row = 0; row < batch*OD*OH; row++) {
        const int b = row/(OD*OH), p = row % (OD*OH);
        const int d = p/OH*SD - PD + tap.d*DD, h = p % OH*SH - PH + tap.h*DH;
        const int width = d >= 0 && d < ID && h >= 0 && h < IH ? end : 0;
        global const REAL *image = x + (((b*(outputs/M) + o/M)*ID + d)*IH + h)*IW;
        global const REAL *adjoint = dy + ((b*outputs + o)*OD*OH + p)*OW;
        for (int q = 0; q < OW; q += VW) {
            const VEC pixels = load_row(image, first + q*SW, SW, width);
            sum = fma(load_row(adjoint, q, 1, OW), pixels, sum);
        }
    }
    REAL lanes[VW], total = 0;
    STORE_VEC(sum, lanes);
    for (int i = 0; i < VW; i++)
        total += lanes[i];
    dw[o*taps + stored_tap(t, taps, flip)] = total;
}
