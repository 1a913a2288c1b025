/* to_plain, from_plain: between an array as the user has it and the plain one that kernels know.
 *
 *   plain[n, g*C + c, q...] = given[n, g, c, i...]  where pixel i lies on q,  0 where none does
 *   given[n, g, c, i...]    = sum over q = 0, 1, ... on which i lies of plain[n, g*C + c, q...]
 *
 * given may have its axes in any order (strides), its batch in groups (g), its pixels apart
 * (`spread`: zeros go between them) and too many or too few of them (`low`, high: what is added
 * on a side; negative: cut off). MODE says what an added pixel is:
 *
 *   0 zeros      a zero
 *   1 reflect    the pixel as far inside the edge          c b | a b c d | c b
 *   2 replicate  the pixel at the edge                     a a | a b c d | d d
 *   3 circular   the image begins again                    c d | a b c d | a b
 *
 * The two are adjoints of each other. Both gather: no atomics, same bits every run.
 *
 * On the way elements change their type (common/element.clh), less a zero point where ZERO says so:
 *
 *   0 none   1 zero[0]   2 zero[n]: one for each filter
 *
 * and complex numbers become real ones as PARTS says: with r the real part, i the imaginary one,
 *
 *   0 no complex numbers
 *   1 beside    channel 2*k of plain is r, channel 2*k + 1 is i
 *   2 matrix    rows 2*n, 2*n + 1 and channels 2*k, 2*k + 1 of plain are ((r, -i), (i, r)), whose
 *               adjoint adds up r = (0,0) + (1,1), i = (1,0) - (0,1)
 *   3 that of the complex conjugate
 *
 * Launch  to_plain: an element of plain a work-item; from_plain: an element of given;
 *         global (elements of a plane, G*C, N), rounded up to local in its first axis; to_plain's
 *         G*C and N are those of plain, with parts as channels and rows.
 * Macros  REAL: element type of plain, a part of a complex number. STORED, STORAGE: see
 *         common/element.clh. MODE, ZERO, PARTS: see above.
 */
#include "common/element.clh"

#define GIVEN_ARGUMENTS \
    int C, int ID, int IH, int IW, int QD, int QH, int QW, \
    int stride_n, int stride_g, int stride_c, int stride_d, int stride_h, int stride_w, \
    int spread_d, int spread_h, int spread_w, int low_d, int low_h, int low_w

#define GIVEN C, ID, IH, IW, QD, QH, QW, stride_n, stride_g, stride_c, stride_d, stride_h, \
    stride_w, spread_d, spread_h, spread_w, low_d, low_h, low_w

/* The pixel that lies on place `q`, counted from pixel 0; -1 where none does. */
static inline int pixel_on(int q, int size, int spread)
{
#if MODE == 1
    return q < 0 ? -q : q < size ? q : 2*(size - 1) - q;
#elif MODE == 2
    return clamp(q, 0, size - 1);
#elif MODE == 3
    return q < 0 ? q + size : q < size ? q : q - size;
#else
    return q >= 0 && q % spread == 0 && q/spread < size ? q/spread : -1;
#endif
}

/* The k-th place on which pixel i may lie: its own, then those below 0, then those behind. */
static inline int place_under(int k, int i, int size, int spread, int low)
{
    return k == 0 ? i*spread : k <= low ? -k : size + k - low - 1;
}

/* Where an element stands in given. */
#define AT(n, channel, d, h, w) \
    ((n)*stride_n + (channel)/C*stride_g + (channel) % C*stride_c \
     + (d)*stride_d + (h)*stride_h + (w)*stride_w)

kernel void to_plain(global const STORED *given, global const REAL *zero, global REAL *plain,
                     GIVEN_ARGUMENTS)
{
    const int q = get_global_id(0), channel = get_global_id(1), n = get_global_id(2);
    if (q >= QD*QH*QW)
        return;
    const int d = pixel_on(q/(QH*QW) - low_d, ID, spread_d);
    const int h = pixel_on(q/QW % QH - low_h, IH, spread_h);
    const int w = pixel_on(q % QW - low_w, IW, spread_w);
    REAL value = 0;
    if (d >= 0 && h >= 0 && w >= 0) {
#if PARTS == 0
        value = GET(given, AT(n, channel, d, h, w));
#elif PARTS == 1
        value = GET(given, 2*AT(n, channel/2, d, h, w) + channel % 2);
#else
        const int imaginary = n % 2 != channel % 2, row = n % 2;
        value = GET(given, 2*AT(n/2, channel/2, d, h, w) + imaginary);
        if (imaginary && row == (PARTS == 3))
            value = -value;
#endif
#if ZERO
        value -= zero[ZERO == 2 ? n : 0];
#endif
    }
    plain[(n*(int)get_global_size(1) + channel)*(QD*QH*QW) + q] = value;
}

/* The sum over all places of plain, from one channel of it on, on which pixel (d, h, w) lies. */
static inline REAL gathered(global const REAL *plain, int d, int h, int w, GIVEN_ARGUMENTS)
{
    /* Zeros that were added have no pixel, so only a pixel's own place counts. */
    const int copies_d = MODE ? QD - ID : 0, copies_h = MODE ? QH - IH : 0;
    const int copies_w = MODE ? QW - IW : 0;
    REAL sum = 0;
    for (int a = 0; a <= copies_d; a++) {
        const int pd = place_under(a, d, ID, spread_d, low_d);
        if (pixel_on(pd, ID, spread_d) != d || pd + low_d < 0 || pd + low_d >= QD)
            continue;
        for (int b = 0; b <= copies_h; b++) {
            const int ph = place_under(b, h, IH, spread_h, low_h);
            if (pixel_on(ph, IH, spread_h) != h || ph + low_h < 0 || ph + low_h >= QH)
                continue;
            for (int c = 0; c <= copies_w; c++) {
                const int pw = place_under(c, w, IW, spread_w, low_w);
                if (pixel_on(pw, IW, spread_w) == w && pw + low_w >= 0 && pw + low_w < QW)
                    sum += plain[((pd + low_d)*QH + ph + low_h)*QW + pw + low_w];
            }
        }
    }
    return sum;
}

kernel void from_plain(global const REAL *plain, global STORED *given, GIVEN_ARGUMENTS)
{
    const int i = get_global_id(0), channel = get_global_id(1), n = get_global_id(2);
    if (i >= ID*IH*IW)
        return;
    const int d = i/(IH*IW), h = i/IW % IH, w = i % IW;
    const int channels = get_global_size(1), plane = QD*QH*QW;
    const int at = AT(n, channel, d, h, w);
#define GATHERED(row, column) gathered(plain + ((row)*ROW + (column))*plane, d, h, w, GIVEN)
#if PARTS == 0
#define ROW channels
    PUT(GATHERED(n, channel), at, given);
#elif PARTS == 1
#define ROW (2*channels)
    PUT(GATHERED(n, 2*channel), 2*at, given);
    PUT(GATHERED(n, 2*channel + 1), 2*at + 1, given);
#else
#define ROW (2*channels)
    const REAL imaginary = GATHERED(2*n + 1, 2*channel) - GATHERED(2*n, 2*channel + 1);
    PUT(GATHERED(2*n, 2*channel) + GATHERED(2*n + 1, 2*channel + 1), 2*at, given);
    PUT(PARTS == 3 ? -imaginary : imaginary, 2*at + 1, given);
#endif
}
