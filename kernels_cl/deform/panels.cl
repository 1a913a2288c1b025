/* deform_columns, deform_rows: sample images at displaced taps, straight into GEMM panels.
 *
 *   X-hat[k, n] = mask[b, o, t, l] * sum over corners of  weight * src[b, c, corner]
 *   k = c*taps + t  in [0, C*taps),   n = b*positions + l  in [0, batch*positions)
 *
 * with the corners and weights of sampling.clh for offset[b, o, t, :, l], o the offset group of
 * channel c. Outside the image are zeros, which no weight multiplies: 0*NaN is none there. The
 * panels are those of im2col/panels.cl: NR columns, k inside, for the forward product; NR rows k,
 * n inside, for the weight gradient. Each sample is one chain of fma over the corners.
 *
 * Launch  global (ceil(count/NR), ceil(C/block), groups), local (1, 1, 1); one work-item samples
 *         `block` channels of NR columns; C is the channels of one group.
 * Macros  REAL: element type. NR: width of a panel. MASK: 0 for a mask of ones, which is not read.
 *         RANK: sampling.clh. Window: common/window.clh.
 * Source  Dai et al., "Deformable convolutional networks", 2017; Zhu et al., "Deformable ConvNets
 *         v2", 2019.
 */
#include "common/lone.clh"
#include "common/window.clh"
#include "deform/sampling.clh"

/* The samples of one tap in NR columns, of all channels that share an offset. */
typedef struct {
    int at[CORNERS][NR], live[CORNERS][NR]; /* in src, from channel 0 of the group on */
    REAL weight[CORNERS][NR], mask[NR];
} Samples;

/* Which columns a work-item has: [first, first + count) of X-hat, the panel-th NR of them. */
typedef struct {
    Place corner[NR];
    int image[NR], l[NR];
} Columns;

static inline void columns_of(Columns *columns, Window win, int first, int count, int panel)
{
    const int positions = volume(win.out);
    for (int r = 0; r < NR; r++) {
        const int n = first + min(panel*NR + r, count - 1); /* clamped: its sample is not used */
        columns->image[r] = n/positions;
        columns->l[r] = n % positions;
        columns->corner[r] = corner_of(win, place_of(columns->l[r], win.out));
    }
}

/* `number` is that of offset group o and tap t among all of an image, of which there are `all`. */
static inline void locate(Samples *samples, const Columns *columns, Window win, Place tap,
                          global const REAL *offset, global const REAL *mask, int number, int all,
                          int image_pixels)
{
    const int positions = volume(win.out);
    for (int r = 0; r < NR; r++) {
        const int index = columns->image[r]*all + number;
        const Cell cell = cell_of(pixel_of(win, columns->corner[r], tap),
                                  offset + index*RANK*positions + columns->l[r], positions);
#pragma unroll
        for (int k = 0; k < CORNERS; k++) {
            const int at = corner_at(&cell, k, win.in);
            samples->live[k][r] = at >= 0;
            samples->at[k][r] = columns->image[r]*image_pixels + max(at, 0);
            samples->weight[k][r] = corner_weight(&cell, k, -1);
        }
#if MASK
        samples->mask[r] = mask[index*positions + columns->l[r]];
#endif
    }
}

static inline void take(REAL v[NR], const Samples *samples, global const REAL *from)
{
#pragma unroll
    for (int r = 0; r < NR; r++)
        v[r] = 0;
#pragma unroll
    for (int k = 0; k < CORNERS; k++) {
#pragma unroll
        for (int r = 0; r < NR; r++) {
            const REAL pixel = from[samples->at[k][r]];
            v[r] = fma(samples->weight[k][r], samples->live[k][r] ? pixel : (REAL)0, v[r]);
        }
    }
#if MASK
#pragma unroll
    for (int r = 0; r < NR; r++)
        v[r] *= samples->mask[r];
#endif
}

/* `rows`: which of the two layouts; a constant wherever it is called. */
static inline void sample_panels(global const REAL *src, global const REAL *offset,
                                 global const REAL *mask, global REAL *dst, int C, int groups,
                                 int offset_groups, int first, int count, int block, Window win,
                                 int rows)
{
    const int taps = volume(win.filter), pixels = volume(win.in), K = C*taps;
    const int shared = C*groups/offset_groups, padded = (K + NR - 1)/NR*NR;
    const int panel = get_global_id(0), c0 = get_global_id(1)*block, g = get_global_id(2);
    const int c1 = min(c0 + block, C), live = min(NR, count - panel*NR);
    Columns columns;
    columns_of(&columns, win, first, count, panel);
    dst += rows ? (size_t)g*padded*count : ((size_t)g*get_global_size(0) + panel)*K*NR;

    for (int t = 0; t < taps; t++) {
        const Place tap = place_of(t, win.filter);
        for (int c = c0; c < c1;) { /* a turn for each offset group */
            Samples samples;
            const int o = (g*C + c)/shared, end = min(c1, (o + 1)*shared - g*C);
            locate(&samples, &columns, win, tap, offset, mask, o*taps + t, offset_groups*taps,
                   groups*C*pixels);
            for (; c < end; c++) {
                const int k = c*taps + t;
                REAL v[NR];
                take(v, &samples, src + (g*C + c)*pixels);
                if (rows) {
                    global REAL *to = dst + ((size_t)(k/NR)*count + panel*NR)*NR + k % NR;
                    for (int r = 0; r < live; r++)
                        to[r*NR] = v[r];
                } else {
#pragma unroll
                    for (int r = 0; r < NR; r++)
                        dst[k*NR + r] = v[r];
                }
            }
        }
    }
    if (rows && c1 == C)
        for (int r = 0; r < live; r++)
            for (int k = K; k < padded; k++)
                dst[((size_t)(k/NR)*count + panel*NR + r)*NR + k % NR] = 0;
}

LONE_KERNEL void deform_columns(global const REAL *src, global const REAL *offset,
                                global const REAL *mask, global REAL *dst, int C, int groups,
                                int offset_groups, int first, int count, int block,
                                WINDOW_ARGUMENTS)
{
    const Window win = WINDOW;
    sample_panels(src, offset, mask, dst, C, groups, offset_groups, first, count, block, win, 0);
}

LONE_KERNEL void deform_rows(global const REAL *src, global const REAL *offset,
                             global const REAL *mask, global REAL *dst, int C, int groups,
                             int offset_groups, int first, int count, int block,
                             WINDOW_ARGUMENTS)
{
    const Window win = WINDOW;
    sample_panels(src, offset, mask, dst, C, groups, offset_groups, first, count, block, win, 1);
}
