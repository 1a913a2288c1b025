/* depthwise_lanes: depthwise convolution on CPUs; lanes are channels.
 *
 *   y[n, c, p] = bias[c] + sum over t of x[n, c, pixel t of p]*w[c, t]
 *
 * A vector of neighbouring windows crosses cache lines at every tap, and rows that are no multiple of
 * it leave lanes idle. So some rows of VW planes are transposed into a box with its padding, whose
 * pixels are vectors, and results back from another. Sums are chains in the order of taps, RUN
 * neighbouring windows at once.
 *
 * Launch  global (ceil(C/VW), ceil(OH/`taken`), ceil(batch/`share`)), local (1, 1, 1).
 * Macros  REAL, VW: common/types.clh; VW 8 or 16. ACTIVATION, ACCUMULATE: common/epilogue.clh.
 *         Window: common/window.clh. STAGED: elements of box, filters and results. PIXELS: of all rows
 *         that a box sees.
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

/* Where pixels of rows stand in the box; those that no window sees, behind it. */
static inline void pixel_places(local int *to, Window win, int rows, int columns)
{
    for (int h = 0; h < rows; h++)
        for (int w = win.pad.w; w < win.pad.w + win.in.w; w++)
            *to++ = (w < columns ? h*columns + w : rows*columns)*VW;
}

LONE_KERNEL void depthwise_lanes(global const REAL *x, global const REAL *w,
                                 global const REAL *bias, global REAL *y, int batch, int C,
                                 int flip, int has_bias, REAL beta, int rows, int columns,
                                 int taken, int share, WINDOW_ARGUMENTS)
{
    local REAL image[STAGED];
    local int places[PIXELS];
    const Window win = WINDOW;
    const int c0 = get_global_id(0)*VW, live = min(VW, C - c0), taps = FH*FW;
    const int pixels = IH*IW, positions = OH*OW;
    const int first = get_global_id(1)*taken, count = min(taken, OH - first);
    /* Rows [from, to) of the box are in the image. */
    const int above = first*SH - PH, from = min(max(-above, 0), rows);
    const int to = max(min(IH - above, rows), from);
    local REAL *filters = image + (rows*columns + 1)*VW, *results = filters + taps*VW;

    pixel_places(places, win, rows, columns);
    clear_pixels(image, rows*columns*VW);
    for (int t = 0; t < taps; t++)
        for (int l = 0; l < VW; l++)
            filters[t*VW + l] = w[min(c0 + l, C - 1)*taps + stored_tap(t, taps, flip)];
    REAL starts[VW];
    for (int l = 0; l < VW; l++)
        starts[l] = has_bias ? bias[min(c0 + l, C - 1)] : (REAL)0;
    const VEC start = LOAD_VEC(starts);

    const int n0 = get_global_id(2)*share;
    for (int n = n0; n < min(n0 + share, batch); n++) {
        global const REAL *planes = x + (n*C + c0)*pixels + above*IW;
        for (int p = from*IW; p < to*IW; p += 8) {
            VEC t[8];
            const int eight = min(p, to*IW - 8);
            /* Lanes behind the last plane are like it, and not kept. */
#pragma unroll
            for (int r = 0; r < 8; r++)
                t[r] = EIGHTS(planes + min(r*(VW/8), live - 1)*pixels + eight,
                              planes + min(r*(VW/8) + 1, live - 1)*pixels + eight);
            TRANSPOSE_BACK(VEC, t);
#pragma unroll
            for (int i = 0; i < 8; i++)
                STORE_VEC(t[i], image + places[eight + i]);
        }
        for (int h = 0; h < count; h++)
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
                for (int r = 0; r < RUN; r++)
                    if (q + r < OW)
                        STORE_VEC(sum[r], results + (h*OW + q + r)*VW);
            }
        global REAL *out = y + (n*C + c0)*positions + first*OW;
        for (int p = 0; p < count*OW; p += 8) {
            const int left = min(8, count*OW - p);
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
                /* By vectors whatever is kept: a driver's exp may differ between vectors and scalars. */
                const VEC value = FINISH(VEC, t[r], LOAD_VEC(old));
                STORE_VEC(value, done);
                for (int l = 0; l < VW; l++)
                    if (lane + l/8 < live && l % 8 < left)
                        at[l/8*positions + l % 8] = done[l];
            }
        }
    }
}
