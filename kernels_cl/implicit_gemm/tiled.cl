/* tiled: a product with the unfolded image X-hat by work-groups, for GPUs.
 *
 *   OVER_WINDOWS 0   c[n, m, p] = start + sum over (ch, tap) of a[m, (ch, tap)]*X-hat[(ch, tap), (n, p)]
 *   OVER_WINDOWS 1   c[m, (ch, tap)] = sum over (n, p) of a[m, (n, p)]*X-hat[(ch, tap), (n, p)]
 *
 * An entry of X-hat is the pixel at the sum of two places, a window's corner and a tap's distance
 * from it, or 0 where that lies in the padding. So one side, taps or windows, goes along the
 * columns of the product and the other along its terms, and a table for each in local memory is all
 * the arithmetic of indices: a work-group writes that of its columns once, and that of each BK
 * terms while it multiplies the BK before. Neither operand is packed.
 *
 * Each side knows one more place: a tap where its weight is stored, a window where its result is.
 * For one it is where `a` is read, for the other where `c` is written:
 *
 *   of a tap      filter_first + ch*filter_channel + tap.(filter_d, filter_h, filter_w)
 *   of a window   n*result_image + the flat index of first + p*step in a plane of result_size
 *
 * which serves forward (a = w), one phase of a data gradient (axes.py; a = w, X-hat that of dy) and,
 * with the sides exchanged, a gradient of weights (a = dy), of which a work-group sums `share`
 * terms; the parts are added by reduce/partial_sums.cl.
 *
 * Every element is one chain of fma over its terms in their order, or over those of its share: bits
 * do not depend on the tile. A data gradient has no product where the padding is; a chain that ended
 * infinite or NaN is taken again without these (`anew`).
 *
 * Launch  global (ceil(columns/BN)*ITEMS, ceil(M/BM), groups*shares), local (ITEMS, 1, 1).
 * Macros  REAL, VW: common/types.clh. ACTIVATION, ACCUMULATE: common/epilogue.clh. TM, TN: tile of a
 *         work-item, multiples of VW = 4. WM, WN: work-items along M and along columns; BM = WM*TM,
 *         BN = WN*TN, ITEMS = WM*WN. BK: terms in local memory at once. ALONG_M: 1 where
 *         neighbours of `a` lie along M. VOLUME: 1 where d counts. ANEW: see above.
 * Source  Chetlur et al., "cuDNN: efficient primitives for deep learning", 2014 (lowering tile by
 *         tile); Tan et al., "Fast implementation of DGEMM on Fermi GPU", 2011 (double buffering).
 */
#include "common/types.clh"
#include "common/epilogue.clh"
#include "common/window.clh"

#define BM (WM*TM)
#define BN (WN*TN)
#define ITEMS (WM*WN)
#define OUTSIDE (-(1 << 30)) /* of every image, whatever is added to it */

/* One index of X-hat: its share of a pixel's place and offset, and its other place, or -1. */
typedef struct {
    Place at;
    int pixel, other;
} Side;

typedef struct { int first, channel, d, h, w; } Filters;
typedef struct { Place size, first, step; int image; } Results;

static inline Side no_side(void)
{
    const Side side = {{OUTSIDE, OUTSIDE, OUTSIDE}, 0, -1};
    return side;
}

static inline Side tap_side(int i, int channels, Window win, Filters filters)
{
    const int taps = volume(win.filter), ch = i/taps;
    if (ch >= channels)
        return no_side();
    const Place tap = place_of(i - ch*taps, win.filter);
    const Place away = {tap.d*win.dilation.d, tap.h*win.dilation.h, tap.w*win.dilation.w};
    const Side side = {away, ch*volume(win.in) + flat(away, win.in),
                       filters.first + ch*filters.channel + tap.d*filters.d + tap.h*filters.h
                           + tap.w*filters.w};
    return side;
}

static inline Side window_side(int i, int batch, int image, Window win, Results results)
{
    const int positions = volume(win.out), n = i/positions;
    if (n >= batch)
        return no_side();
    const Place position = place_of(i - n*positions, win.out), corner = corner_of(win, position);
    const Place result = {results.first.d + position.d*results.step.d,
                          results.first.h + position.h*results.step.h,
                          results.first.w + position.w*results.step.w};
    const Side side = {corner, n*image + flat(corner, win.in),
                       n*results.image + flat(result, results.size)};
    return side;
}

#if OVER_WINDOWS
#define TERM(i) window_side(i, batch, image_step, win, results)
#define COLUMN(i) tap_side(i, C, win, filters)
#else
#define TERM(i) tap_side(i, C, win, filters)
#define COLUMN(i) window_side(i, batch, image_step, win, results)
#endif

/* A table of sides in local memory. */
typedef struct {
    local int4 *flat; /* h, w, pixel, other */
    local int *d;
} Table;

static inline void put(Table to, int i, Side side)
{
    to.flat[i] = (int4)(side.at.h, side.at.w, side.pixel, side.other);
#if VOLUME
    to.d[i] = side.at.d;
#endif
}

/* The entry of X-hat where a term and a column meet. */
static inline REAL entry(global const REAL *image, Window win, Table terms, int t, Table columns, int n)
{
    const int4 term = terms.flat[t], column = columns.flat[n];
    bool in = (uint)(term.s0 + column.s0) < (uint)win.in.h
           && (uint)(term.s1 + column.s1) < (uint)win.in.w;
#if VOLUME
    in = in && (uint)(terms.d[t] + columns.d[n]) < (uint)win.in.d;
#endif
    return in ? image[term.s2 + column.s2] : (REAL)0;
}

/* Lane i, known when this is compiled, of a vector of four. */
#define LANE(v, i) ((i) % 4 == 0 ? (v).s0 : (i) % 4 == 1 ? (v).s1 : (i) % 4 == 2 ? (v).s2 : (v).s3)

/* Row i of a work-item's tile, and its columns likewise: VW neighbours at a time, so that what the
 * work-items of a group read together lies together. */
#define SPREAD(i, item, items) ((i)/VW*(items)*VW + (item)*VW + (i) % VW)

/* Which element of a panel work-item `lid` moves in turn j: neighbours along k, or along m or n. */
#define ALONG_K(j, k, at)                     \
    const int k = lid % BK, at = lid/BK + (j)*(ITEMS/BK)
#define ACROSS_K(j, k, at, width)             \
    const int at = lid % (width), k = lid/(width) + (j)*(ITEMS/(width))
#if ALONG_M
#define OF_A(j, k, m) ACROSS_K(j, k, m, BM)
#else
#define OF_A(j, k, m) ALONG_K(j, k, m)
#endif
#if OVER_WINDOWS
#define OF_B(j, k, n) ALONG_K(j, k, n)
#else
#define OF_B(j, k, n) ACROSS_K(j, k, n, BN)
#endif
#define MOVED_A (BM*BK/ITEMS)
#define MOVED_B (BN*BK/ITEMS)

kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void tiled(global const REAL *image, global const REAL *a, global const REAL *bias, global REAL *c,
           int batch, int C, int M, int has_bias, REAL beta, int groups, int share,
           int a_group, int a_row, int c_group, int c_row, int c_share,
           int filter_first, int filter_channel, int filter_d, int filter_h, int filter_w,
           int result_image, int result_d, int result_h, int result_w, int first_d, int first_h,
           int first_w, int step_d, int step_h, int step_w, WINDOW_ARGUMENTS)
{
    /* Panels of a and of X-hat, two of each: one is filled while the other is multiplied. A row is
     * one vector longer than the tile, so that moves along k spread over the banks. */
    local VEC as[2][BK][BM/VW + 1], bs[2][BK][BN/VW + 1];
    local int4 column_table[BN], term_table[2][BK];
    local int column_d[VOLUME ? BN : 1], term_d[2][VOLUME ? BK : 1];
    const Window win = WINDOW;
    const Filters filters = {filter_first, filter_channel, filter_d, filter_h, filter_w};
    const Results results = {{result_d, result_h, result_w}, {first_d, first_h, first_w},
                             {step_d, step_h, step_w}, result_image};
    const int lid = get_local_id(0), item_n = lid % WN, item_m = lid/WN;
    const int g = get_group_id(2) % groups, part = get_group_id(2)/groups;
    const int m0 = get_group_id(1)*BM, n0 = get_group_id(0)*BN;
    const int image_step = groups*C*volume(win.in);
    const int all = OVER_WINDOWS ? batch*volume(win.out) : C*volume(win.filter);
    const int k0 = part*share, K = min(share, all - k0);
    const Table columns = {column_table, column_d};
    image += (size_t)g*C*volume(win.in);
    a += (size_t)g*a_group;
    c += (size_t)g*c_group + (size_t)part*c_share;

    for (int i = lid; i < BN; i += ITEMS)
        put(columns, i, COLUMN(n0 + i));
    for (int i = lid; i < BK; i += ITEMS) {
        const Table terms = {term_table[0], term_d[0]};
        put(terms, i, i < K ? TERM(k0 + i) : no_side());
    }
    barrier(CLK_LOCAL_MEM_FENCE);

    VEC acc[TM][TN/VW];
#pragma unroll
    for (int i = 0; i < TM; i++) {
        const int m = m0 + SPREAD(i, item_m, WM);
        const REAL from = has_bias && m < M ? bias[g*M + m] : (REAL)0;
#pragma unroll
        for (int j = 0; j < TN/VW; j++)
            acc[i][j] = (VEC)(from);
    }

    /* Turn -1 only fetches the first panels, the last one only multiplies. */
    for (int k = -BK; k < K; k += BK) {
        const int now = k/BK & 1, next = now ^ 1;
        const bool more = k + BK < K;
        const Table terms = {term_table[next], term_d[next]};
        REAL moved_a[MOVED_A], moved_b[MOVED_B];
        if (more) {
#pragma unroll
            for (int j = 0; j < MOVED_A; j++) {
                OF_A(j, t, m);
                const int at = terms.flat[t].s3;
                moved_a[j] = at >= 0 && m0 + m < M ? a[(m0 + m)*a_row + at] : (REAL)0;
            }
#pragma unroll
            for (int j = 0; j < MOVED_B; j++) {
                OF_B(j, t, n);
                moved_b[j] = entry(image, win, terms, t, columns, n);
            }
        }
        if (k >= 0) {
#pragma unroll
            for (int t = 0; t < BK; t++) {
                VEC av[TM/VW], bv[TN/VW];
#pragma unroll
                for (int i = 0; i < TM/VW; i++)
                    av[i] = as[now][t][i*WM + item_m];
#pragma unroll
                for (int j = 0; j < TN/VW; j++)
                    bv[j] = bs[now][t][j*WN + item_n];
#pragma unroll
                for (int i = 0; i < TM; i++)
#pragma unroll
                    for (int j = 0; j < TN/VW; j++)
                        acc[i][j] = fma((VEC)(LANE(av[i/VW], i)), bv[j], acc[i][j]);
            }
        }
        if (more) {
#pragma unroll
            for (int j = 0; j < MOVED_A; j++) {
                OF_A(j, t, m);
                ((local REAL *)as[next][t])[m] = moved_a[j];
            }
#pragma unroll
            for (int j = 0; j < MOVED_B; j++) {
                OF_B(j, t, n);
                ((local REAL *)bs[next][t])[n] = moved_b[j];
            }
            const Table later = {term_table[now], term_d[now]};
            for (int i = lid; i < BK; i += ITEMS)
                put(later, i, k + 2*BK + i < K ? TERM(k0 + k + 2*BK + i) : no_side());
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }

    bool odd = false;
#pragma unroll
    for (int i = 0; i < TM; i++) {
        const int m = m0 + SPREAD(i, item_m, WM);
#pragma unroll
        for (int j = 0; j < TN/VW; j++) {
            const int n = SPREAD(j*VW, item_n, WN);
            const int first = column_table[n].s3, last = column_table[n + VW - 1].s3;
            if (m >= M || first < 0)
                continue;
            global REAL *row = c + m*c_row;
            /* Sides come in order but for flipped filters, whose runs go down. */
            const bool run = last - first == VW - 1 && column_table[n + 1].s3 == first + 1;
            REAL old[VW], done[VW];
            for (int l = 0; ACCUMULATE && l < VW; l++)
                old[l] = column_table[n + l].s3 >= 0 ? row[column_table[n + l].s3] : (REAL)0;
            const VEC value = FINISH(VEC, acc[i][j], LOAD_VEC(old));
            if (run) {
                STORE_VEC(value, row + first);
            } else {
                STORE_VEC(value, done);
                for (int l = 0; l < VW; l++)
                    if (column_table[n + l].s3 >= 0)
                        row[column_table[n + l].s3] = done[l];
            }
#if ANEW
            odd = odd || any(!isfinite(value));
#endif
        }
    }
#if ANEW
    for (int e = 0; odd && e < TM*TN; e++) {
        const int m = m0 + SPREAD(e/TN, item_m, WM), n = SPREAD(e % TN, item_n, WN);
        const int at = column_table[n].s3;
        if (m >= M || at < 0 || isfinite(c[m*c_row + at]))
            continue;
        const Side column = COLUMN(n0 + n);
        REAL sum = has_bias ? bias[g*M + m] : (REAL)0;
        for (int k = 0; k < K; k++) {
            const Side term = TERM(k);
            const Place pixel = {term.at.d + column.at.d, term.at.h + column.at.h,
                                 term.at.w + column.at.w};
            if (inside(pixel, win.in))
                sum = fma(a[m*a_row + term.other], image[term.pixel + column.pixel], sum);
        }
        c[m*c_row + at] = sum;
    }
#endif
}
