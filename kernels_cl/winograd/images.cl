/* images: V = B^T d B of every tile of a chunk of panels.
 *
 *   v[panel, group, (i, j), c, lane]   element (i, j) of plane c of tile (first_panel + panel)*NR
 *                                      + lane (segments.clh); anything behind the last tile
 *
 * Tiles are those of `planes` planes of the result, `depth` of each volume. Plane c of one is
 * what tap c % taps along the depth sees of channel c/taps, C/taps channels in all.
 *
 * Rows are transformed along h first, whole, as vectors of neighbouring pixels. So a tile's pixels
 * j = 0 .. M - 1 lie side by side for all tiles of a panel, and so, moved by a tile, do the others:
 * `near` and `far`. Vectors of tiles are those, taken apart.
 *
 * Launch  global (panels of the chunk, ceil(C/CHANNELS), groups), local (1, 1, 1).
 * Macros  REAL, VW: common/types.clh. M: transforms.clh. NV: vectors in a panel; NR = NV*VW.
 *         CHANNELS: planes of a work-item.
 */
#define NR (NV*VW)
#include "common/lone.clh"
#include "common/types.clh"
#include "common/window.clh"
#include "common/staged.clh"
#include "winograd/transforms.clh"
#include "common/segments.clh"

#define LINE (M*NR + VW) /* pixels of a row that are kept, with what vectors overhang */

/* Vectors of tiles out of a line of pixels: lane l of p[j] is line[M*l + j]. */
static inline void take_apart(VEC p[M], local const REAL *line)
{
#if M == 4
    const VEC v0 = LOAD_VEC(line), v1 = LOAD_VEC(line + VW), v2 = LOAD_VEC(line + 2*VW),
              v3 = LOAD_VEC(line + 3*VW);
    const VEC even_lo = (VEC)(v0.even, v1.even), odd_lo = (VEC)(v0.odd, v1.odd);
    const VEC even_hi = (VEC)(v2.even, v3.even), odd_hi = (VEC)(v2.odd, v3.odd);
    p[0] = (VEC)(even_lo.even, even_hi.even);
    p[1] = (VEC)(odd_lo.even, odd_hi.even);
    p[2] = (VEC)(even_lo.odd, even_hi.odd);
    p[3] = (VEC)(odd_lo.odd, odd_hi.odd);
#else
    const VEC v0 = LOAD_VEC(line), v1 = LOAD_VEC(line + VW);
    p[0] = (VEC)(v0.even, v1.even);
    p[1] = (VEC)(v0.odd, v1.odd);
#endif
}

/* A vector of pixels of all rows, `shift` from the segment's first one on, transformed along h. */
#define TRANSFORM_ROWS(to, p, shift)                                    \
    do {                                                                \
        VEC d[ALPHA], t[ALPHA];                                         \
        _Pragma("unroll") for (int i = 0; i < ALPHA; i++)               \
            d[i] = LOAD_VEC(rows[i] + (shift) + (p));                   \
        PIXELS_TO_FACTORS(VEC, MIXED, PIXEL);                           \
        _Pragma("unroll") for (int i = 0; i < ALPHA; i++)               \
            STORE_VEC(t[i], to[i] + M*lane + (p));                      \
    } while (0)
#define PIXEL(i) d[i]
#define MIXED(i) t[i]

LONE_KERNEL void images(global const REAL *x, global REAL *v, int first_panel, int planes, int C,
                        int taps, int depth, int D, int H, int W, int pad_d, int pad_h,
                        int pad_w, int tile_rows, int tile_columns)
{
    local REAL rows[ALPHA][2*LINE], near[ALPHA][LINE], far[ALPHA][LINE];
    const int panel = get_global_id(0), g = get_global_id(2), groups = get_global_size(2);
    const int c0 = get_global_id(1)*CHANNELS, c1 = min(c0 + CHANNELS, C);
    const int tiles = planes*tile_rows*tile_columns, first = (first_panel + panel)*NR;
    v += ((size_t)panel*groups + g)*ALPHA*ALPHA*C*NR;

    for (int i = 0; i < ALPHA; i++) {
        clear_pixels(rows[i], 2*LINE);
        clear_pixels(near[i], LINE);
        clear_pixels(far[i], LINE);
    }
    for (int c = c0; c < c1; c++) {
        Segment s;
        for (int lane = 0; lane < NR && first + lane < tiles; lane += s.count) {
            s = segment_at(first, lane, NR, tiles, tile_rows, tile_columns);
            const int n = s.image/depth, d = s.image - n*depth - pad_d + c % taps;
            global const REAL *plane = x + (((size_t)(n*groups + g)*(C/taps) + c/taps)*D + d)*H*W;
            const int column = M*s.column - pad_w, count = M*s.count + 2;
            const Span in = inside_row(column, 1, count, W);
            for (int i = 0; i < ALPHA; i++) {
                const int h = M*s.row - pad_h + i;
                if (d >= 0 && d < D && h >= 0 && h < H)
                    stage_row(rows[i], plane + (size_t)h*W, in, column, 1, count, W);
                else
                    clear_pixels(rows[i], count);
            }
            for (int p = 0; p < M*s.count; p += VW) {
                TRANSFORM_ROWS(near, p, 0);
                TRANSFORM_ROWS(far, p, M);
            }
        }
#pragma unroll
        for (int k = 0; k < NV; k++)
            for (int i = 0; i < ALPHA; i++) {
                VEC d[2*M], t[ALPHA];
                take_apart(d, near[i] + M*k*VW);
                take_apart(d + M, far[i] + M*k*VW);
                PIXELS_TO_FACTORS(VEC, MIXED, PIXEL);
#pragma unroll
                for (int j = 0; j < ALPHA; j++)
                    STORE_VEC(t[j], v + ((size_t)(i*ALPHA + j)*C + c)*NR + k*VW);
            }
    }
}
