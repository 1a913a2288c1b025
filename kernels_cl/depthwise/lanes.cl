/* depthwise_lanes: depthwise convolution on CPUs; lanes are channels.
 *
 *   depthwise_lanes_images    y[n, c, p] = bias[c] + sum over t of x[n, c, pixel t of p]*w[c, t]
 *   depthwise_lanes_weights   dw[c, t] = sum over n, p of dy[n, c, p]*x[n, c, pixel t of p]
 *
 * A data gradient is a sum of the first kind, of stride 1: of dy with UP - 1 zeros between its pixels,
 * UP being the stride, and the filters reversed. It has no products with zeros that are put in: where
 * sums are not finite, the rows of a work-item are computed anew by the definition.
 *
 * A vector of neighbouring windows crosses cache lines at every tap, and rows that are no multiple of
 * it leave lanes idle. So some rows of VW planes are transposed into a box with its padding, whose
 * pixels are vectors, and results back from another. Sums are chains in the order of taps, RUN
 * neighbouring windows at once; of a gradient of weights, in the order of strips of `taken` rows,
 * images and windows, AT_ONCE rows of taps at once.
 *
 * Launch  images: global (ceil(C/VW), ceil(OH/`taken`), ceil(batch/`share`)); weights: global
 *         (ceil(C/VW), 1, 1); local (1, 1, 1).
 * Macros  REAL, VW: common/types.clh; VW 8 or 16. ACTIVATION, ACCUMULATE: common/epilogue.clh.
 *         Window: common/window.clh. STAGED: elements of box, filters and results. PIXELS: of all rows
 *         that a box sees. GRADIENT: 1 in a data gradient.
 */
#include "common/lone.clh"
#include "common/types.clh"
#include "common/epilogue.clh"
#include "common/window.clh"
#include "common/staged.clh"
#include "common/transpose.clh"

/* A vector of 8 elements from `a` on, and if there is room for them, 8 from `b` on. */
#if VW == 16
#define EIGHTS(a, b) (VEC)(vload8(0, a), vload8(0, b))
#define STORE_EIGHTS(v, a, b)     \
    do {                          \
        const VEC both_ = v;      \
        vstore8(both_.lo, 0, a);  \
        vstore8(both_.hi, 0, b);  \
    } while (0)
#else
#define EIGHTS(a, b) vload8(0, a)
#define STORE_EIGHTS(v, a, b) vstore8(v, 0, a)
#endif

/* t[i]: pixel p + i of `live` planes, `apart`; lanes behind the last plane are like it, and not kept. */
#define LOAD_PIXELS(t, planes, p, apart, live)                                              \
    do {                                                                                    \
        _Pragma("unroll") for (int r = 0; r < 8; r++)                                       \
            t[r] = EIGHTS((planes) + min(r*(VW/8), (live) - 1)*(apart) + (p),               \
                          (planes) + min(r*(VW/8) + 1, (live) - 1)*(apart) + (p));          \
        TRANSPOSE_BACK(VEC, t);                                                             \
    } while (0)

/* Strip of a plane: rows [from, to) of an image stand in the box, its first row `above`. */
typedef struct {
    int first, count; /* rows of windows */
    int above, from, to;
} Strip;

static inline Strip strip_at(int first, int taken, int rows, Window win)
{
    const int above = first*SH - win.pad.h;
    const int from = min((max(above, 0) + UP_H - 1)/UP_H, win.in.h);
    const int to = min((max(above + rows, 0) + UP_H - 1)/UP_H, win.in.h);
    const Strip strip = {first, min(taken, win.out.h - first), above, from, max(to, from)};
    return strip;
}

/* Clear a box, and tell where pixels of a strip stand in it; those that no window sees, behind it. */
static inline void begin_box(local REAL *image, local int *places, Strip strip, Window win, int rows,
                             int columns)
{
    clear_pixels(image, rows*columns*VW);
    for (int i = strip.from; i < strip.to; i++)
        for (int j = 0; j < win.in.w; j++) {
            const int row = i*UP_H - strip.above, column = j*UP_W + win.pad.w;
            const bool seen = column >= 0 && column < columns;
            *places++ = (seen ? row*columns + column : rows*columns)*VW;
        }
}

/* Transpose a strip of planes into the box. */
static inline void fill_box(local REAL *image, local const int *places, global const REAL *planes,
                            Strip strip, Window win, int live)
{
    const int pixels = win.in.h*win.in.w, count = (strip.to - strip.from)*win.in.w;
    planes += strip.from*win.in.w;
    for (int p = 0; p < count; p += 8) {
        VEC t[8];
        const int at = min(p, count - 8);
        LOAD_PIXELS(t, planes, at, pixels, live);
#pragma unroll
        for (int i = 0; i < 8; i++)
            STORE_VEC(t[i], image + places[at + i]);
    }
}

/* A data gradient's element by the definition: pixel (h, w) of plane `dy`, by filters of one lane. */
static REAL sum_inside(global const REAL *dy, local const REAL *filters, REAL sum, Window win, int h,
                       int w)
{
    for (int t = 0; t < FH*FW; t++) {
        const int row = h - win.pad.h + t/FW*DH, column = w - win.pad.w + t % FW*DW;
        if (row >= 0 && row % UP_H == 0 && row/UP_H < win.in.h && column >= 0 && column % UP_W == 0
            && column/UP_W < win.in.w)
            sum = fma(dy[row/UP_H*win.in.w + column/UP_W], filters[t*VW], sum);
    }
    return sum;
}

LONE_KERNEL void depthwise_lanes_images(global const REAL *x, global const REAL *w,
                                        global const REAL *bias, global REAL *y, int batch, int C,
                                        int flip, int has_bias, REAL beta, int rows, int columns,
                                        int taken, int share, WINDOW_ARGUMENTS)
{
    local REAL image[STAGED];
    local int places[PIXELS];
    const Window win = WINDOW;
    const int c0 = get_global_id(0)*VW, live = min(VW, C - c0), taps = FH*FW;
    const int pixels = IH*IW, positions = OH*OW;
    const Strip strip = strip_at(get_global_id(1)*taken, taken, rows, win);
    local REAL *filters = image + (rows*columns + 1)*VW, *results = filters + taps*VW;

    begin_box(image, places, strip, win, rows, columns);
    for (int t = 0; t < taps; t++)
        for (int l = 0; l < VW; l++)
            filters[t*VW + l] = w[min(c0 + l, C - 1)*taps + stored_tap(t, taps, flip)];
    REAL starts[VW];
    for (int l = 0; l < VW; l++)
        starts[l] = has_bias ? bias[min(c0 + l, C - 1)] : (REAL)0;
    const VEC start = LOAD_VEC(starts);

    const int n0 = get_global_id(2)*share;
    for (int n = n0; n < min(n0 + share, batch); n++) {
        global const REAL *planes = x + (n*C + c0)*pixels;
        fill_box(image, places, planes, strip, win, live);
        bool finite = true;
        for (int h = 0; h < strip.count; h++)
            for (int q = 0; q < OW; q += RUN) {
                VEC sum[RUN];
#pragma unroll
                for (int r = 0; r < RUN; r++)
                    sum[r] = start;
#pragma unroll 1
                for (int i = 0; i < FH; i++) {
                    local const REAL *row = image + ((h*SH + i*DH)*columns + q*SW)*VW;
#pragma unroll
                    for (int j = 0; j < FW; j++) {
                        const VEC tap = LOAD_VEC(filters + (i*FW + j)*VW);
#pragma unroll
                        for (int r = 0; r < RUN; r++)
                            sum[r] = fma(LOAD_VEC(row + (r*SW + j*DW)*VW), tap, sum[r]);
                    }
                }
#pragma unroll
                for (int r = 0; r < RUN; r++) {
#if GRADIENT && !INTEGER
                    finite = finite && all(isfinite(sum[r]));
#endif
                    if (q + r < OW)
                        STORE_VEC(sum[r], results + (h*OW + q + r)*VW);
                }
            }
#if GRADIENT
        for (int i = 0; !finite && i < strip.count*OW*live; i++) {
            const int p = i/live, l = i - p*live;
            results[p*VW + l] = sum_inside(planes + l*pixels, filters + l, starts[l], win,
                                           strip.first + p/OW, p % OW);
        }
#endif
        global REAL *out = y + (n*C + c0)*positions + strip.first*OW;
        for (int p = 0; p < strip.count*OW; p += 8) {
            const int left = min(8, strip.count*OW - p);
            VEC t[8];
#pragma unroll
            for (int i = 0; i < 8; i++)
                t[i] = LOAD_VEC(results + (p + i)*VW);
            TRANSPOSE(VEC, t);
#pragma unroll
            for (int r = 0; r < 8; r++) {
                const int lane = r*(VW/8);
                global REAL *at = out + lane*positions + p;
                if (left == 8 && live == VW) {
                    const VEC old = ACCUMULATE ? EIGHTS(at, at + positions) : (VEC)(0);
                    STORE_EIGHTS(FINISH(VEC, t[r], old), at, at + positions);
                    continue;
                }
                REAL old[VW], done[VW];
                for (int l = 0; l < VW; l++)
                    old[l] = ACCUMULATE && lane + l/8 < live && l % 8 < left
                        ? at[l/8*positions + l % 8] : (REAL)0;
                /* By vectors whatever is kept: a driver's exp may differ for scalars. */
                const VEC value = FINISH(VEC, t[r], LOAD_VEC(old));
                STORE_VEC(value, done);
                for (int l = 0; l < VW; l++)
                    if (lane + l/8 < live && l % 8 < left)
                        at[l/8*positions + l % 8] = done[l];
            }
        }
    }
}

#if !GRADIENT
LONE_KERNEL void depthwise_lanes_weights(global const REAL *x, global const REAL *dy,
                                         global REAL *dw, int batch, int C, int flip, int rows,
                                         int columns, int taken, WINDOW_ARGUMENTS)
{
    local REAL image[STAGED];
    local int places[PIXELS];
    const Window win = WINDOW;
    const int c0 = get_global_id(0)*VW, live = min(VW, C - c0), taps = FH*FW;
    const int pixels = IH*IW, positions = OH*OW;
    local REAL *sums = image + (rows*columns + 1)*VW, *adjoint = sums + taps*VW;

    clear_pixels(sums, taps*VW);
    for (int first = 0; first < OH; first += taken) {
        const Strip strip = strip_at(first, taken, rows, win);
        begin_box(image, places, strip, win, rows, columns);
        for (int n = 0; n < batch; n++) {
            fill_box(image, places, x + (n*C + c0)*pixels, strip, win, live);
            global const REAL *planes = dy + (n*C + c0)*positions + first*OW;
            for (int p = 0; p < strip.count*OW; p += 8) {
                VEC t[8];
                const int at = min(p, strip.count*OW - 8);
                if (at >= 0) {
                    LOAD_PIXELS(t, planes, at, positions, live);
#pragma unroll
                    for (int i = 0; i < 8; i++)
                        STORE_VEC(t[i], adjoint + (at + i)*VW);
                    continue;
                }
                for (int i = 0; i < strip.count*OW*VW; i++)
                    adjoint[i] = planes[min(i % VW, live - 1)*positions + i/VW];
            }
            for (int i = 0; i < FH; i += AT_ONCE) {
                VEC sum[AT_ONCE*FW];
#pragma unroll
                for (int j = 0; j < AT_ONCE*FW; j++)
                    sum[j] = LOAD_VEC(sums + (i*FW + j)*VW);
                for (int h = 0; h < strip.count; h++) {
                    local const REAL *row = image + (h*SH + i*DH)*columns*VW;
                    local const REAL *dys = adjoint + h*OW*VW;
                    for (int q = 0; q < OW; q++, row += SW*VW, dys += VW) {
                        const VEC factor = LOAD_VEC(dys);
#pragma unroll
                        for (int j = 0; j < AT_ONCE*FW; j++)
                            sum[j] = fma(factor, LOAD_VEC(row + (j/FW*DH*columns + j % FW*DW)*VW),
                                         sum[j]);
                    }
                }
#pragma unroll
                for (int j = 0; j < AT_ONCE*FW; j++)
                    STORE_VEC(sum[j], sums + (i*FW + j)*VW);
            }
        }
    }
    for (int t = 0; t < taps; t++)
        for (int l = 0; l < live; l++)
            dw[(c0 + l)*taps + stored_tap(t, taps, flip)] = sums[t*VW + l];
}
#endif
