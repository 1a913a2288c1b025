/* direct: convolution and its two adjoints by their definitions; any sizes, any groups.
 *
 *   forward           y[b,o,l]  = bias[o] + sum over c, t of x[b, c, pixel] * w[o, c, t]
 *   backward_data     dx[b,c,i] = bias[c] + sum over t, o of dy[b, o, l] * w[o, c, t],
 *                                 l the window whose tap t lies on pixel i
 *   backward_weights  dw[o,c,t] = sum over b, l of dy[b, o, l] * x[b, c, pixel]
 *
 * with c and o running over one group (Cg and Og channels) and pixel = tap t of window l. Pixels in
 * the padding are zeros that are multiplied, 0*inf = NaN, as reference/loops.py says. Terms are
 * added in the order written. flip: filters are stored reversed.
 *
 * Launch  forward: global (positions, O, batch); backward_data: global (pixels, C, batch);
 *         backward_weights: global (taps, Cg, O); each rounded up to local in its first axis; one
 *         work-item computes one element.
 * Macros  REAL: element type. ACTIVATION, ACCUMULATE: see common/epilogue.clh, forward only.
 *         Window: see common/window.clh; generic, one program for all.
 */
#include "common/epilogue.clh"
#include "common/window.clh"

kernel void direct_forward(global const REAL *x, global const REAL *w, global const REAL *bias,
                           global REAL *y, int Cg, int Og, int flip, int has_bias, REAL beta,
                           WINDOW_ARGUMENTS)
{
    const Window win = WINDOW;
    const int l = get_global_id(0), o = get_global_id(1), b = get_global_id(2);
    const int outputs = get_global_size(1), groups = outputs/Og;
    const int taps = volume(win.filter), pixels = volume(win.in), positions = volume(win.out);
    if (l >= positions)
        return;
    const Place corner = corner_of(win, place_of(l, win.out));
    x += (b*groups + o/Og)*Cg*pixels;
    w += o*Cg*taps;
    REAL sum = has_bias ? bias[o] : (REAL)0;
    for (int c = 0; c < Cg; c++)
        for (int t = 0; t < taps; t++) {
            const Place pixel = pixel_of(win, corner, place_of(t, win.filter));
            const REAL value = inside(pixel, win.in) ? x[c*pixels + flat(pixel, win.in)] : (REAL)0;
            sum = fma(value, w[c*taps + stored_tap(t, taps, flip)], sum);
        }
    y += (b*outputs + o)*positions + l;
    *y = FINISH(REAL, sum, *y);
}

kernel void direct_backward_data(global const REAL *dy, global const REAL *w,
                                 global const REAL *bias, global REAL *dx, int Cg, int Og,
                                 int flip, int has_bias, WINDOW_ARGUMENTS)
{
    const Window win = WINDOW;
    const int i = get_global_id(0), c = get_global_id(1), b = get_global_id(2);
    const int channels = get_global_size(1), groups = channels/Cg;
    const int taps = volume(win.filter), pixels = volume(win.in), positions = volume(win.out);
    if (i >= pixels)
        return;
    const Place pixel = place_of(i, win.in);
    dy += (b*groups + c/Cg)*Og*positions;
    w += (c/Cg*Og*Cg + c % Cg)*taps;
    REAL sum = has_bias ? bias[c] : (REAL)0;
    for (int t = 0; t < taps; t++) {
        Place window;
        if (!window_over(win, pixel, place_of(t, win.filter), &window))
            continue;
        for (int o = 0; o < Og; o++)
            sum = fma(dy[o*positions + flat(window, win.out)],
                      w[o*Cg*taps + stored_tap(t, taps, flip)], sum);
    }
    dx[(b*channels + c)*pixels + i] = sum;
}

kernel void direct_backward_weights(global const REAL *x, global const REAL *dy, global REAL *dw,
                                    int batch, int groups, int Og, int flip, WINDOW_ARGUMENTS)
{
    const Window win = WINDOW;
    const int t = get_global_id(0), c = get_global_id(1), o = get_global_id(2);
    const int Cg = get_global_size(1), outputs = get_global_size(2);
    const int taps = volume(win.filter), pixels = volume(win.in), positions = volume(win.out);
    if (t >= taps)
        return;
    const Place tap = place_of(t, win.filter);
    REAL sum = 0;
    for (int b = 0; b < batch; b++) {
        global const REAL *image = x + ((b*groups + o/Og)*Cg + c)*pixels;
        global const REAL *adjoint = dy + (b*outputs + o)*positions;
        for (int l = 0; l < positions; l++) {
            const Place pixel = pixel_of(win, corner_of(win, place_of(l, win.out)), tap);
            const REAL value = inside(pixel, win.in) ? image[flat(pixel, win.in)] : (REAL)0;
            sum = fma(adjoint[l], value, sum);
        }
    }
    dw[(o*Cg + c)*taps + stored_tap(t, taps, flip)] = sum;
}
