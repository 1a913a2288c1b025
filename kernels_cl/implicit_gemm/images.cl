/* implicit_images: Y = start + W X-hat, the unfolded image X-hat being read in place (tile.clh).
 *
 *   y[n, o, p] = start + sum over (c, tap) of w[o, c, tap]*X-hat[(c, tap), (n, p)]
 *
 *   w   (groups, ceil(O/NR), C*taps, NR)   filters in panels of lanes (gemm/pack.cl), from `origin`
 *                                          on; or, with INSIDE, as they are: a panel is packed into
 *                                          local memory where it is used, which pays if few boxes
 *                                          use it
 *
 * One phase of a data gradient is such a product too, with dy for the image; its windows make pixels
 * `result_step` apart (pack_filters.cl).
 *
 * Zeros of the padding are multiplied, as the definition has it; a data gradient leaves them out,
 * which shows where a filter is infinite or NaN, and is mended there (mend.cl).
 *
 * Launch  global (boxes, panels/`taken`, groups), local (1, 1, 1).
 * Macros  REAL, VW: common/types.clh. ACTIVATION, ACCUMULATE: common/epilogue.clh. INSIDE: 0 or 1.
 *         FILTERS: elements of a panel inside. The rest: tile.clh.
 */
#if INSIDE
#define PANELS local
#else
#define PANELS global
#endif
#include "common/lone.clh"
#include "common/types.clh"
#include "common/epilogue.clh"
#include "common/rows.clh"
#include "common/transpose.clh"
#include "common/window.clh"
#include "common/staged.clh"
#include "implicit_gemm/tile.clh"

#if INSIDE
#define LANES PASTE(REAL, 8)

/* K terms of NR filters, `apart` elements from one to the next, beside each other; lanes from `live`
 * on repeat the last. `flip` reverses every run of `taps` terms. */
static inline void take_filters(local REAL *to, global const REAL *w, int apart, int live, int K,
                                int taps, int flip)
{
    for (int l0 = 0; l0 < NR; l0 += 8) {
        int k = 0;
        for (; !flip && k + 8 <= K; k += 8) {
            LANES t[8];
#pragma unroll
            for (int l = 0; l < 8; l++)
                t[l] = vload8(0, w + (size_t)min(l0 + l, live - 1)*apart + k);
            TRANSPOSE(LANES, t);
#pragma unroll
            for (int i = 0; i < 8; i++)
                vstore8(t[i], 0, to + (k + i)*NR + l0);
        }
        for (; k < K; k++) {
            const int term = flip ? k - k % taps + taps - 1 - k % taps : k;
            for (int l = 0; l < 8; l++)
                to[k*NR + l0 + l] = w[(size_t)min(l0 + l, live - 1)*apart + term];
        }
    }
}
#endif

/* Where the results of the windows in a box stand, from the first image's first channel on. */
static inline void result_offsets(local int *to, int n0, int images, int image_step, Place first,
                                  Place count, Place size, Place result_first, Place step)
{
    for (int n = n0; n < n0 + images; n++)
        for (int d = first.d; d < first.d + count.d; d++)
            for (int h = first.h; h < first.h + count.h; h++)
                for (int w = first.w; w < first.w + count.w; w++) {
                    const Place at = {result_first.d + d*step.d, result_first.h + h*step.h,
                                      result_first.w + w*step.w};
                    *to++ = n*image_step + flat(at, size);
                }
}

LONE_KERNEL void implicit_images(
    global const REAL *x, global const REAL *w, global const REAL *bias, global REAL *y, int batch,
    int origin, int C, int O, int has_bias, int flip, REAL beta,
    int box_n, int box_d, int box_h, int box_w, int chunk, int taken,
    int result_d, int result_h, int result_w, int first_d, int first_h, int first_w,
    int step_d, int step_h, int step_w, WINDOW_ARGUMENTS)
{
    WORKING_SET;
#if INSIDE
    local REAL filters[FILTERS];
#endif
    const Window win = WINDOW;
    const Place result_size = {result_d, result_h, result_w};
    const Place result_first = {first_d, first_h, first_w}, result_step = {step_d, step_h, step_w};
    const int g = get_global_id(2), groups = get_global_size(2);
    const int taps = volume(win.filter), panels = (O + NR - 1)/NR;

    /* Windows [first, first + count) of images [n0, n0 + images). */
    const int id = get_global_id(0);
    const Place boxes = {(OD + box_d - 1)/box_d, (OH + box_h - 1)/box_h, (OW + box_w - 1)/box_w};
    const Place nth = place_of(id % volume(boxes), boxes);
    const int n0 = id/volume(boxes)*box_n, images = min(box_n, batch - n0);
    const Place first = {nth.d*box_d, nth.h*box_h, nth.w*box_w};
    const Place count = {min(box_d, OD - first.d), min(box_h, OH - first.h),
                         min(box_w, OW - first.w)};
    const Box box = box_under(win, first, count);
    const int windows = images*volume(count), tiles = (windows + MR - 1)/MR;
    const int held = min(chunk, C); /* channels that an image has places for */

    window_offsets(columns, win, box, held, images, count);
    result_offsets(results, n0, images, groups*O*volume(result_size), first, count, result_size,
                   result_first, result_step);
    for (int i = windows; i < tiles*MR; i++) /* summed like the last one, but not kept */
        columns[i] = columns[windows - 1];
    tap_offsets(rows, win, box, 0, held*taps);

    x += (n0*groups + g)*C*volume(win.in);
    y += g*O*volume(result_size);
    const int panel0 = get_global_id(1)*taken, panel1 = min(panel0 + taken, panels);

    /* Once at least: where no tap reaches the windows of a phase, C is 0. */
    for (int c = 0; c == 0 || c < C; c += chunk) {
        const int channels = min(chunk, C - c);
        for (int n = 0; n < images; n++)
            stage(image + n*held*volume(box.size), x + (n*groups*C + c)*volume(win.in), win, box,
                  channels);
        for (int panel = panel0; panel < panel1; panel++) {
            const int lanes = min(NR, O - panel*NR);
#if INSIDE
            take_filters(filters, w + ((size_t)(g*O + panel*NR)*C + c)*taps, C*taps, lanes,
                         channels*taps, taps, flip);
            local const REAL *b = filters;
#else
            global const REAL *b = w + origin + (((size_t)g*panels + panel)*C + c)*taps*NR;
#endif
            VEC from[NV];
#pragma unroll
            for (int j = 0; j < NV; j++)
                from[j] = load_row(bias + g*O + panel*NR, j*VW, 1, has_bias ? lanes : 0);
            for (int t = 0; t < tiles; t++) {
                local REAL *kept = sums + ((panel - panel0)*tiles + t)*MR*NR;
                VEC acc[MR][NV];
                if (c == 0) {
#pragma unroll
                    for (int i = 0; i < MR; i++)
#pragma unroll
                        for (int j = 0; j < NV; j++)
                            acc[i][j] = from[j];
                } else {
                    LOAD_SUMS(acc, kept);
                }
                multiply(acc, image, rows, columns + t*MR, b, channels*taps);
                if (c + chunk < C) {
                    STORE_SUMS(acc, kept);
                } else {
                    write_tile(acc, y + panel*NR*volume(result_size), results + t*MR,
                               windows - t*MR, lanes, volume(result_size), beta);
                }
            }
        }
    }
}
