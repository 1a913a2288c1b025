/* im2col: unfold image patches into a matrix; col2im: its adjoint, which adds them back.
 *
 *   col[b, c*taps + t, l] = x[b, c, pixel of tap t in window l], or 0 outside the image
 *   x[b, c, pixel]        = bias[c] + sum over t = 0, 1, ... of col[b, c*taps + t, the window whose tap t
 *                           lies on pixel, where there is one]
 *
 * col2im gathers, so that no two work-items write one element: no atomics, same bits every run.
 * It serves the public operator and the backward-data product, whose matrix holds the batch
 * beside the positions and perhaps only some channels of each group: element (row, b, l) of
 * col stands at b*col_batch + row*col_row + l, and channel c of the `taken` channels of each
 * group is channel c/taken*group + skip + c % taken of x.
 *
 * Launch  im2col: global (positions, C*taps, batch); col2im: global (pixels, C, batch), with C
 *         the channels in col; each rounded up to local in its first axis; one work-item writes
 *         one element.
 * Macros  REAL: element type. Window: see common/window.clh.
 * Source  Chellapilla, Puri & Simard, "High performance convolutional neural networks", 2006.
 */
#include "common/window.clh"

kernel void im2col(global const REAL *x, global REAL *col, WINDOW_ARGUMENTS)
{
    const Window win = WINDOW;
    const int taps = volume(win.filter), pixels = volume(win.in), positions = volume(win.out);
    const int l = get_global_id(0), row = get_global_id(1), b = get_global_id(2);
    const int rows = get_global_size(1);
    if (l >= positions)
        return;
    const Place corner = corner_of(win, place_of(l, win.out));
    const Place pixel = pixel_of(win, corner, place_of(row % taps, win.filter));
    const int plane = b*(rows/taps) + row/taps;
    col[(b*rows + row)*positions + l] =
        inside(pixel, win.in) ? x[plane*pixels + flat(pixel, win.in)] : (REAL)0;
}

kernel void col2im(global const REAL *col, global const REAL *bias, global REAL *x, int first,
                   int channels, int taken, int group, int skip, int col_batch, int col_row,
                   int has_bias, WINDOW_ARGUMENTS)
{
    const Window win = WINDOW;
    const int taps = volume(win.filter), pixels = volume(win.in);
    const int i = get_global_id(0), c = get_global_id(1), b = get_global_id(2);
    if (i >= pixels)
        return;
    const Place pixel = place_of(i, win.in);
    const int channel = c/taken*group + skip + c % taken;
    REAL sum = has_bias ? bias[channel] : (REAL)0;
    for (int t = 0; t < taps; t++) {
        Place window;
        if (window_over(win, pixel, place_of(t, win.filter), &window))
            sum += col[b*col_batch + (c*taps + t)*col_row + flat(window, win.out)];
    }
    x[((first + b)*channels + channel)*pixels + i] = sum;
}
