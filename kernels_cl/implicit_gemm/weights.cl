/* implicit_weights: dW = start + dY X-hat^T, the unfolded image X-hat being read in place (tile.clh).
 *
 *   dw[o, c, tap] = start + sum over (n, p) of dy[n, o, p]*X-hat[(c, tap), (n, p)]
 *
 *   dy  (groups, ceil(O/NR), images*positions, NR)   incoming adjoint in panels of lanes (gemm/pack.cl)
 *
 * Launch  global (ceil(C*taps/`share`), panels/`taken`, groups), local (1, 1, 1).
 * Macros  REAL, VW: common/types.clh. ACTIVATION, ACCUMULATE: common/epilogue.clh. The rest: tile.clh.
 */
#define PANELS global
#include "common/lone.clh"
#include "common/types.clh"
#include "common/epilogue.clh"
#include "common/rows.clh"
#include "common/transpose.clh"
#include "common/window.clh"
#include "common/staged.clh"
#include "implicit_gemm/tile.clh"

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
            write_tile(acc, dw + panel*NR*C*taps, results + t*MR, live - t*MR,
                       min(NR, O - panel*NR), C*taps, (REAL)0);
        }
}
