/* implicit_runs: Y = start + W X-hat for filters of few terms; lanes are neighbouring windows.
 *
 *   w   (groups, O, C*taps)   filters where they lie
 *
 * A tile of MR output channels by NV runs is written in whole vectors, without a transposition as in
 * images.cl. That is what counts where a sum has so few terms that writing takes as long.
 *
 * Neighbouring windows have to see neighbouring pixels at each tap, so a staged row is taken apart,
 * into slots of `pitch` pixels that are a stride from each other: one slot for each remainder of a
 * pixel to the stride; or, where taps are far apart, one for each tap along the row.
 *
 * Every output is one chain of fma over (c, tap), as in images.cl.
 *
 * Launch  global (boxes, ceil(blocks/`taken`), groups), local (1, 1, 1).
 * Macros  REAL, VW: common/types.clh. MR, NV: of a register tile. STAGED, ROWS: elements of the
 *         staged box, of its table of terms. ACTIVATION, ACCUMULATE: common/epilogue.clh.
 * Source  Anderson et al., "High-performance low-memory lowering: GEMM-based algorithms for DNN
 *         convolution", 2020.
 */
#include "common/lone.clh"
#include "common/types.clh"
#include "common/epilogue.clh"
#include "common/rows.clh"
#include "common/window.clh"
#include "common/staged.clh"

#define RUNS (STAGED/VW + NV) /* each has a row of its own, and the last tile is filled up */

/* Rows of the box in slots; channels are `volume(rows)` rows apart. */
typedef struct {
    int apart, count, pitch;
} Slots;

static inline void stage_slots(local REAL *to, global const REAL *x, Window win, Place corner,
                               Place rows, Slots slots, int channels)
{
    for (int c = 0; c < channels; c++, x += volume(win.in))
        for (int d = 0; d < rows.d; d++)
            for (int h = 0; h < rows.h; h++) {
                const Place at = {corner.d + d, corner.h + h, 0};
                for (int s = 0; s < slots.count; s++, to += slots.pitch) {
                    const int first = corner.w + (slots.apart ? s*win.dilation.w : s);
                    const Span in = inside_row(first, win.stride.w, slots.pitch, win.in.w);
                    if (in.low < in.high && inside(at, win.in))
                        stage_row(to, x + flat(at, win.in), in, first, win.stride.w, slots.pitch,
                                  win.in.w);
                    else
                        clear_pixels(to, slots.pitch);
                }
            }
}

/* The distance of each term's pixel from the corner of a window, in the box. */
static inline void term_offsets(local int *to, Window win, Place rows, Slots slots, int channels)
{
    const int row = slots.count*slots.pitch;
    for (int c = 0; c < channels; c++)
        for (int d = 0; d < win.filter.d; d++)
            for (int h = 0; h < win.filter.h; h++)
                for (int w = 0; w < win.filter.w; w++) {
                    const int away = w*win.dilation.w;
                    const int slot = slots.apart ? w : away % slots.count;
                    const int pixel = slots.apart ? 0 : away/slots.count;
                    *to++ = ((c*rows.d + d*win.dilation.d)*rows.h + h*win.dilation.h)*row
                            + slot*slots.pitch + pixel;
                }
}

LONE_KERNEL void implicit_runs(global const REAL *x, global const REAL *w, global const REAL *bias,
                               global REAL *y, int C, int O, int has_bias, REAL beta, int box_d,
                               int box_h, int box_w, int apart, int slot_count, int pitch,
                               int taken, WINDOW_ARGUMENTS)
{
    local REAL image[STAGED + VW];
    local int terms[ROWS], from[RUNS], to[RUNS], live[RUNS];
    const Window win = WINDOW;
    const Slots slots = {apart, slot_count, pitch};
    const int g = get_global_id(2), groups = get_global_size(2);
    const int K = C*volume(win.filter), blocks = (O + MR - 1)/MR;
    const int block0 = get_global_id(1)*taken, block1 = min(block0 + taken, blocks);

    /* Windows [first, first + count) of image n. */
    const Place boxes = {(OD + box_d - 1)/box_d, (OH + box_h - 1)/box_h, (OW + box_w - 1)/box_w};
    const int id = get_global_id(0), n = id/volume(boxes);
    const Place nth = place_of(id % volume(boxes), boxes);
    const Place first = {nth.d*box_d, nth.h*box_h, nth.w*box_w};
    const Place count = {min(box_d, OD - first.d), min(box_h, OH - first.h),
                         min(box_w, OW - first.w)};
    const Place rows = {(count.d - 1)*win.stride.d + (win.filter.d - 1)*win.dilation.d + 1,
                        (count.h - 1)*win.stride.h + (win.filter.h - 1)*win.dilation.h + 1, 1};

    stage_slots(image, x + (size_t)(n*groups + g)*C*volume(win.in), win, corner_of(win, first), rows,
                slots, C);
    term_offsets(terms, win, rows, slots, C);
    int runs = 0;
    for (int d = 0; d < count.d; d++)
        for (int h = 0; h < count.h; h++)
            for (int i = 0; i < count.w; i += VW, runs++) {
                const Place at = {first.d + d, first.h + h, first.w + i};
                from[runs] = (d*win.stride.d*rows.h + h*win.stride.h)*slot_count*pitch + i;
                to[runs] = flat(at, win.out);
                live[runs] = min(VW, count.w - i);
            }
    for (int i = runs; i < runs + NV - 1; i++) { /* summed like the last one, but not kept */
        from[i] = from[runs - 1];
        live[i] = 0;
    }

    for (int block = block0; block < block1; block++) {
        const int o0 = block*MR, channels = min(MR, O - o0);
        global const REAL *a[MR];
#pragma unroll
        for (int i = 0; i < MR; i++)
            a[i] = w + (size_t)(g*O + min(o0 + i, O - 1))*K;
        for (int run = 0; run < runs; run += NV) {
            VEC acc[MR][NV];
#pragma unroll
            for (int i = 0; i < MR; i++) {
                const REAL start = has_bias ? bias[g*O + min(o0 + i, O - 1)] : (REAL)0;
#pragma unroll
                for (int j = 0; j < NV; j++)
                    acc[i][j] = (VEC)(start);
            }
            local const REAL *b[NV];
#pragma unroll
            for (int j = 0; j < NV; j++)
                b[j] = image + from[run + j];
            for (int k = 0; k < K; k++) {
                const int term = terms[k];
                VEC bv[NV];
#pragma unroll
                for (int j = 0; j < NV; j++)
                    bv[j] = LOAD_VEC(b[j] + term);
#pragma unroll
                for (int i = 0; i < MR; i++) {
                    const VEC av = (VEC)(a[i][k]);
#pragma unroll
                    for (int j = 0; j < NV; j++)
                        acc[i][j] = fma(av, bv[j], acc[i][j]);
                }
            }
#pragma unroll
            for (int i = 0; i < MR; i++) {
                if (i >= channels)
                    continue;
                global REAL *plane = y + ((size_t)(n*groups + g)*O + o0 + i)*volume(win.out);
#pragma unroll
                for (int j = 0; j < NV; j++) {
                    if (live[run + j] == 0)
                        continue;
                    global REAL *at = plane + to[run + j];
                    const VEC old = ACCUMULATE ? load_row(at, 0, 1, live[run + j]) : (VEC)(0);
                    store_row(FINISH(VEC, acc[i][j], old), at, live[run + j]);
                }
            }
        }
    }
}
