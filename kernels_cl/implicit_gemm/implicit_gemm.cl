/* implicit_gemm: products with the unfolded image X-hat, which is never made: its entries are
 * read in place, out of a staged box of the image (staged.clh, tile.clh).
 *
 *   implicit_images    y[n, o, p]  = start + sum over (c, tap) of w[o, c, tap]*X-hat[(c, tap), (n, p)]
 *   implicit_weights   dw[o, c, tap] = start + sum over (n, p) of dy[n, o, p]*X-hat[(c, tap), (n, p)]
 *
 *   w   (groups, ceil(O/NR), C*taps, NR)          filters in panels of lanes (gemm/pack.cl), from
 *                                                 `origin` on
 *   dy  (groups, ceil(O/NR), images*positions, NR)   incoming adjoint likewise
 *
 * Every element is one chain of fma over its terms in the order of these indices, so bits do not
 * depend on how the work is cut. One phase of a data gradient is a product of the first kind too,
 * with dy for the image; its windows make pixels `result_step` apart (pack_filters.cl).
 *
 * Zeros of the padding are multiplied, as the definition has it; a data gradient leaves them out,
 * which shows where a filter is infinite or NaN, and is mended there (mend.cl).
 *
 * Launch  global (boxes, panels/`taken`, groups), and for weights (ceil(C*taps/`share`),
 *         panels/`taken`, groups); local (1, 1, 1).
 * Macros  REAL, VW: common/types.clh. MR, NV: tile.clh. ACTIVATION, ACCUMULATE: common/epilogue.clh.
 *         STAGED, ROWS, TILES: elements of the staged box, of its table of rows, tiles of a
 *         work-item.
 * Source  Anderson et al., "High-performance low-memory lowering: GEMM-based algorithms for DNN
 *         convolution", 2020; Georganas et al., "Anatomy of high-performance deep learning
 *         convolutions on SIMD architectures", 2018 (lanes of output channels).
 */
#include "common/lone.clh"
#include "common/types.clh"
#include "common/epilogue.clh"
#include "common/rows.clh"
#include "common/transpose.clh"
#include "common/window.clh"
#include "common/staged.clh"
#include "implicit_gemm/tile.clh"

/* Tables and sums of one work-item. */
#define WORKING_SET                                  \
    local REAL image[STAGED];                        \
    local int rows[ROWS];                            \
    local int columns[TILES*MR], results[TILES*MR];  \
    local REAL sums[TILES*MR*NR]

#define LOAD_SUMS(acc, sums)                                     \
    _Pragma("unroll") for (int i = 0; i < MR; i++)               \
        _Pragma("unroll") for (int j = 0; j < NV; j++)           \
            acc[i][j] = LOAD_VEC(sums + i*NR + j*VW)

#define STORE_SUMS(acc, sums)                                    \
    _Pragma("unroll") for (int i = 0; i < MR; i++)               \
        _Pragma("unroll") for (int j = 0; j < NV; j++)           \
            STORE_VEC(acc[i][j], sums + i*NR + j*VW)

/* MR neighbours, as many as the tile has rows. */
#if MR == 8
#define STORE_RUN(from, to) vstore8(vload8(0, from), 0, to)
#elif MR == 6
#define STORE_RUN(from, to)                       \
    do {                                          \
        vstore4(vload4(0, from), 0, to);          \
        vstore2(vload2(0, (from) + 4), 0, (to) + 4); \
    } while (0)
#endif

/* Write a finished tile: entry i of lane l to to[results[i] + l*lane_step]; `live` entries of
 * `lanes` lanes. */
static inline void write_tile(VEC acc[MR][NV], global REAL *to, local const int *results, int live,
                              int lanes, int lane_step, REAL beta)
{
    /* The tap order of a flipped filter may bring the last where a run would end. */
    const bool run = live == MR && results[1] - results[0] == 1
                     && results[MR - 1] - results[0] == MR - 1;
#pragma unroll
    for (int j = 0; j < NV; j++) {
        VEC t[8];
#pragma unroll
        for (int i = 0; i < 8; i++)
            t[i] = i < MR ? acc[i < MR ? i : 0][j] : (VEC)(0);
        TRANSPOSE(VEC, t); /* MR rows as 8 */
#pragma unroll
        for (int r = 0; r < 8; r++) {
            REAL old[VW], done[VW];
            for (int l = 0; ACCUMULATE && l < VW; l++) {
                const int lane = j*VW + r*(VW/8) + l/8;
                old[l] = l % 8 < live && lane < lanes ? to[results[l % 8] + lane*lane_step] : (REAL)0;
            }
            /* By vectors whatever is kept: a driver's exp may differ between vectors and scalars. */
            const VEC value = FINISH(VEC, t[r], LOAD_VEC(old));
            STORE_VEC(value, done);
#pragma unroll
            for (int part = 0; part < VW/8; part++) {
                const int lane = j*VW + r*(VW/8) + part;
                if (lane >= lanes)
                    continue;
                global REAL *at = to + lane*lane_step;
                if (run)
                    STORE_RUN(done + part*8, at + results[0]);
                else
                    for (int i = 0; i < live; i++)
                        at[results[i]] = done[part*8 + i];
            }
        }
    }
}

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
    int origin, int C, int O, int has_bias, REAL beta,
    int box_n, int box_d, int box_h, int box_w, int chunk, int taken,
    int result_d, int result_h, int result_w, int first_d, int first_h, int first_w,
    int step_d, int step_h, int step_w, WINDOW_ARGUMENTS)
{
    WORKING_SET;
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
            global const REAL *b = w + origin + (((size_t)g*panels + panel)*C + c)*taps*NR;
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
                               min(MR, windows - t*MR), lanes, volume(result_size), beta);
                }
            }
        }
    }
}

/* `share` rows of dw, all lanes of `taken` panels, from images [n0, n0 + batch). */
LONE_KERNEL void implicit_weights(
    global const REAL *x, global const REAL *dy, global REAL *dw, int n0, int batch, int C, int O,
    int onward, int flip, int box_n, int box_d, int box_h, int box_w, int share, int taken,
    WINDOW_ARGUMENTS)
{
    WORKING_SET;
    const Window win = WINDOW;
    const int g = get_global_id(2), groups = get_global_size(2), panels = (O + NR - 1)/NR;
    const int panel0 = get_global_id(1)*taken, panel1 = min(panel0 + taken, panels);
    const int taps = volume(win.filter), terms = batch*volume(win.out);
    const int row0 = get_global_id(0)*share, live = min(share, C*taps - row0);
    const int c0 = row0/taps, channels = (row0 + live - 1)/taps - c0 + 1;
    const int tiles = (live + MR - 1)/MR;

    for (int i = 0; i < live; i++) {
        const int t = (row0 + i) % taps;
        results[i] = row0 + i - t + stored_tap(t, taps, flip);
    }
    x += ((n0*groups + g)*C + c0)*volume(win.in);
    dw += g*O*C*taps;
    dy += (size_t)g*panels*terms*NR;

    for (int panel = panel0; panel < panel1; panel++)
        for (int i = 0; i < tiles*MR; i++)
            for (int l = 0; l < NR; l++) {
                const int o = panel*NR + l;
                sums[((panel - panel0)*tiles*MR + i)*NR + l] =
                    onward && i < live && o < O ? dw[results[i] + o*C*taps] : (REAL)0;
            }
    Place last = {0, 0, 0};
    /* Boxes follow each other as (n, position) does: an outer axis is cut only where all the inner
     * ones are whole. */
    for (int n = 0; n < batch; n += box_n)
        for (int d = 0; d < OD; d += box_d)
            for (int h = 0; h < OH; h += box_h)
                for (int w = 0; w < OW; w += box_w) {
                    const int images = min(box_n, batch - n);
                    const Place first = {d, h, w};
                    const Place count = {min(box_d, OD - d), min(box_h, OH - h), min(box_w, OW - w)};
                    const Box box = box_under(win, first, count);
                    const int K = images*volume(count);
                    for (int i = 0; i < images; i++)
                        stage(image + i*channels*volume(box.size),
                              x + (n + i)*groups*C*volume(win.in), win, box, channels);
                    /* Boxes of one size have the same offsets, or the first of them. */
                    if (box.size.d != last.d || box.size.h != last.h || box.size.w != last.w) {
                        window_offsets(rows, win, box, channels, images, count);
                        tap_offsets(columns, win, box, row0, live);
                        for (int i = live; i < tiles*MR; i++)
                            columns[i] = columns[live - 1];
                        last = box.size;
                    }
                    for (int panel = panel0; panel < panel1; panel++)
                        for (int t = 0; t < tiles; t++) {
                            local REAL *kept = sums + ((panel - panel0)*tiles + t)*MR*NR;
                            VEC acc[MR][NV];
                            LOAD_SUMS(acc, kept);
                            multiply(acc, image, rows, columns + t*MR,
                                     dy + (size_t)panel*terms*NR, K);
                            STORE_SUMS(acc, kept);
                        }
                    dy += K*NR;
                }
    for (int panel = panel0; panel < panel1; panel++)
        for (int t = 0; t < tiles; t++) {
            VEC acc[MR][NV];
            LOAD_SUMS(acc, (sums + ((panel - panel0)*tiles + t)*MR*NR));
            write_tile(acc, dw + panel*NR*C*taps, results + t*MR, min(MR, live - t*MR),
                       min(NR, O - panel*NR), C*taps, (REAL)0);
        }
}
