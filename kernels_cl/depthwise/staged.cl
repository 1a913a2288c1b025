/* depthwise_staged: what depthwise.cl computes, on CPUs, out of boxes of the image in local memory.
 *
 *   depthwise_staged_images    y[n, k, p] = bias[k] + sum over m, t of x[n, (k*S + m)/M, pixel t of p]
 *                                           * w[k*S + m, t]
 *   depthwise_staged_weights   dw[o, t] = sum over n, p of dy[n, o, p]*x[n, o/M, pixel t of p]
 *
 * Forward, S = 1 and M is the channel multiplier. One phase of a data gradient is a sum of the first
 * kind too, with dy for the image: there M = 1 and S is the multiplier (axes.py). It has no
 * products with the padding, so where sums are not finite they are mended by the definition.
 *
 * A box is staged with its padding (common/staged.clh), so that a tap of a vector of neighbouring
 * windows is an unaligned load, and BLOCK rows of windows share theirs: enough chains of sums to hide
 * the latency of one. Sums are chains in the order
 * of m and t; those of a weight gradient, one for each lane, are added in lane order.
 *
 * Launch  images: global (boxes, ceil(channels that go out/`share`), batch); weights: global (outputs, 1, 1);
 *         local (1, 1, 1).
 * Macros  REAL, VW: common/types.clh. LANE: the integer type of REAL's size. ACTIVATION, ACCUMULATE:
 *         common/epilogue.clh. Window: common/window.clh. STAGED: elements of a box with its filters.
 *         BLOCK, VECTORS: rows of windows at once, and vectors of each. UNROLLED: 1 where all taps are. GRADIENT: 1 in a data
 *         gradient.
 */
#include "common/lone.clh"
#include "common/types.clh"
#include "common/epilogue.clh"
#include "common/rows.clh"
#include "common/window.clh"
#include "common/staged.clh"

#define STEP_W (FW == 1 ? SW : 1) /* as common/staged.clh stages */
#define APART (SW/STEP_W)         /* staged pixels from window to window */

#define STEP_H (FH == 1 ? SH : 1)
#define APART_H (SH/STEP_H)
/* Rows of pixels that BLOCK rows of windows see. */
#define SEEN ((BLOCK - 1)*APART_H + (FH - 1)*DH + 1)

#if UNROLLED
#define UNROLL_ROWS _Pragma("unroll")
#else
#define UNROLL_ROWS _Pragma("unroll 1")
#endif

/* Lane i is at[i*APART]; reads APART*VW elements. */
static inline VEC load_windows(local const REAL *at)
{
#if APART == 1
    return LOAD_VEC(at);
#elif APART == 2
    VEC result;
    const VEC low = LOAD_VEC(at), high = LOAD_VEC(at + VW);
    result.lo = low.even;
    result.hi = high.even;
    return result;
#else
    REAL lanes[VW];
#pragma unroll
    for (int i = 0; i < VW; i++)
        lanes[i] = at[i*APART];
    return LOAD_VEC(lanes);
#endif
}

/* Taps `first`, `first` + `step`, ... of a stored filter. */
static inline void load_filter(local REAL *to, global const REAL *from, Place size, Place first,
                               Place step)
{
    for (int d = 0; d < FD; d++)
        for (int h = 0; h < FH; h++) {
            const Place row = {first.d + d*step.d, first.h + h*step.h, first.w};
            global const REAL *at = from + flat(row, size);
#pragma unroll
            for (int w = 0; w < FW; w++)
                *to++ = at[w*step.w];
        }
}

/* By the definition: the sum of window `at`, of the products with pixels that are there. */
static REAL sum_inside(global const REAL *x, local const REAL *filters, REAL sum, Window win,
                       Place at, int summed)
{
    const int taps = volume(win.filter);
    for (int i = 0; i < summed*taps; i++) {
        const Place pixel = pixel_of(win, corner_of(win, at), place_of(i % taps, win.filter));
        if (inside(pixel, win.in))
            sum = fma(x[i/taps*volume(win.in) + flat(pixel, win.in)], filters[i], sum);
    }
    return sum;
}

LONE_KERNEL void depthwise_staged_images(
    global const REAL *x, global const REAL *w, global const REAL *bias, global REAL *y, int M,
    int summed, int has_bias, REAL beta, int box_h, int box_w,
    int filter_d, int filter_h, int filter_w, int tap_d, int tap_h, int tap_w,
    int tap_step_d, int tap_step_h, int tap_step_w, int channels, int share,
    int result_d, int result_h, int result_w,
    int first_d, int first_h, int first_w, int step_d, int step_h, int step_w, WINDOW_ARGUMENTS)
{
    local REAL image[STAGED];
    const Window win = WINDOW;
    const int n = get_global_id(2);
    const Place boxes = {OD, (OH + box_h - 1)/box_h, (OW + box_w - 1)/box_w};
    const Place nth = place_of(get_global_id(0), boxes);
    const Place first = {nth.d, nth.h*box_h, nth.w*box_w};
    const Place count = {1, min(box_h, OH - first.h), min(box_w, OW - first.w)};
    const Box box = box_under(win, first, count);
    const Place filter = {filter_d, filter_h, filter_w};
    const Place tap_first = {tap_d, tap_h, tap_w}, tap_step = {tap_step_d, tap_step_h, tap_step_w};
    const Place result = {result_d, result_h, result_w};
    const int taps = FD*FH*FW;
    /* A block of rows, and a vector, may reach behind the box: room for that, then the filters. */
    const int below = (count.h + BLOCK - 1)/BLOCK*BLOCK - count.h;
    const int staged = summed*volume(box.size), spare = below*APART_H*box.size.w + VECTORS*VW*APART;
    local REAL *filters = image + staged + spare;

    clear_pixels(image + staged, spare);
    for (int k = get_global_id(1)*share; k < min((int)(get_global_id(1) + 1)*share, channels); k++) {
        global const REAL *planes = x + (n*(channels*summed/M) + k*summed/M)*volume(win.in);
        stage(image, planes, win, box, summed);
        for (int m = 0; m < summed; m++)
            load_filter(filters + m*taps, w + (k*summed + m)*volume(filter), filter, tap_first,
                        tap_step);

        const REAL start = has_bias ? bias[k] : (REAL)0;
        global REAL *out = y + (n*channels + k)*volume(result);
        bool finite = true;
        for (int h = 0; h < count.h; h += BLOCK)
            for (int q0 = 0; q0 < count.w; q0 += VECTORS*VW) {
                VEC sum[BLOCK][VECTORS];
#pragma unroll
                for (int r = 0; r < BLOCK; r++)
#pragma unroll
                    for (int v = 0; v < VECTORS; v++)
                        sum[r][v] = (VEC)(start);
                for (int m = 0; m < summed; m++)
                    for (int d = 0; d < FD; d++) {
                        local const REAL *f = filters + m*taps + d*FH*FW;
                        local const REAL *from = image + m*volume(box.size)
                            + (d*DD*box.size.h + h*APART_H)*box.size.w + q0*APART;
                        UNROLL_ROWS
                        for (int i = 0; i < SEEN; i++) {
#pragma unroll
                            for (int j = 0; j < FW; j++) {
                                VEC pixels[VECTORS];
#pragma unroll
                                for (int v = 0; v < VECTORS; v++)
                                    pixels[v] = load_windows(from + i*box.size.w + j*DW + v*VW*APART);
#pragma unroll
                                for (int r = 0; r < BLOCK; r++) {
                                    const int away = i - r*APART_H;
                                    if (away < 0 || away % DH != 0 || away/DH >= FH)
                                        continue;
                                    const VEC tap = (VEC)(f[away/DH*FW + j]);
#pragma unroll
                                    for (int v = 0; v < VECTORS; v++)
                                        sum[r][v] = fma(pixels[v], tap, sum[r][v]);
                                }
                            }
                        }
                    }
#pragma unroll
                for (int rv = 0; rv < BLOCK*VECTORS; rv++) {
                    const int r = rv/VECTORS, q = q0 + rv % VECTORS*VW;
                    const VEC done = sum[r][rv % VECTORS];
                    if (h + r >= count.h || q >= count.w)
                        continue;
                    const Place at = {first_d + first.d*step_d, first_h + (first.h + h + r)*step_h,
                                      first_w + (first.w + q)*step_w};
                    global REAL *to = out + flat(at, result);
                    const int live = min(VW, count.w - q);
#if GRADIENT
                    REAL lanes[VW];
#if !INTEGER
                    finite = finite && all(isfinite(done));
#endif
                    if (step_w == 1) {
                        store_row(done, to, live);
                        continue;
                    }
                    STORE_VEC(done, lanes);
                    for (int l = 0; l < live; l++)
                        to[l*step_w] = lanes[l];
#else
                    store_row(FINISH(VEC, done, load_row(to, 0, 1, live)), to, live);
#endif
                }
            }
#if GRADIENT && !INTEGER
        for (int i = 0; !finite && i < volume(count); i++) {
            const Place in_box = place_of(i, count);
            const Place at = {first.d, first.h + in_box.h, first.w + in_box.w};
            const Place pixel = {first_d + at.d*step_d, first_h + at.h*step_h, first_w + at.w*step_w};
            out[flat(pixel, result)] = sum_inside(planes, filters, start, win, at, summed);
        }
#endif
    }
}

LONE_KERNEL void depthwise_staged_weights(global const REAL *x, global const REAL *dy,
                                          global REAL *dw, int batch, int M, int flip, int box_h,
                                          int box_w, WINDOW_ARGUMENTS)
{
    local REAL image[STAGED];
    const Window win = WINDOW;
    const int o = get_global_id(0), outputs = get_global_size(0), taps = FD*FH*FW;
    LANE order[VW];
    for (int l = 0; l < VW; l++)
        order[l] = l;
    const PASTE(LANE, VW) nth = PASTE(vload, VW)(0, order);
    VEC sums[FD*FH*FW];
    for (int t = 0; t < FD*FH*FW; t++)
        sums[t] = (VEC)(0);

    for (int n = 0; n < batch; n++)
        for (int d = 0; d < OD; d++)
            for (int h0 = 0; h0 < OH; h0 += box_h)
                for (int w0 = 0; w0 < OW; w0 += box_w) {
                    const Place first = {d, h0, w0};
                    const Place count = {1, min(box_h, OH - h0), min(box_w, OW - w0)};
                    const Box box = box_under(win, first, count);
                    global const REAL *adjoint = dy + (n*outputs + o)*volume(win.out)
                        + flat(first, win.out);
                    stage(image, x + (n*(outputs/M) + o/M)*volume(win.in), win, box, 1);
                    clear_pixels(image + volume(box.size), VW*APART);
                    for (int i = 0; i < FD*FH; i++) {
                        VEC sum[FW];
#pragma unroll
                        for (int j = 0; j < FW; j++)
                            sum[j] = sums[i*FW + j];
                        local const REAL *row = image + (i/FH*DD*box.size.h + i % FH*DH)*box.size.w;
                        for (int h = 0; h < count.h; h++)
                            for (int q = 0; q < count.w; q += VW) {
                                const int live = count.w - q;
                                const VEC dys = load_row(adjoint + h*OW + q, 0, 1, live);
                                local const REAL *from = row + h*APART_H*box.size.w + q*APART;
#pragma unroll
                                for (int j = 0; j < FW; j++) {
                                    VEC pixels = load_windows(from + j*DW);
                                    /* Behind the last window is no product, not even by zero. */
                                    if (live < VW)
                                        pixels = select((VEC)(0), pixels,
                                                        nth < (PASTE(LANE, VW))(live));
                                    sum[j] = fma(dys, pixels, sum[j]);
                                }
                            }
#pragma unroll
                        for (int j = 0; j < FW; j++)
                            sums[i*FW + j] = sum[j];
                    }
                }
    for (int t = 0; t < taps; t++) {
        REAL lanes[VW], total = 0;
        STORE_VEC(sums[t], lanes);
        for (int l = 0; l < VW; l++)
            total += lanes[l];
        dw[o*taps + stored_tap(t, taps, flip)] = total;
    }
}
