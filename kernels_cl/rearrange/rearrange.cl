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
 * Launch  to_plain: an element of plain a work-item; from_plain: an element of given;
 *         global (elements of a plane, G*C, N), rounded up to local in its first axis.
 * Macros  REAL: element type. MODE: see above.
 */

#define GIVEN_ARGUMENTS \
    int C, int ID, int IH, int IW, int QD, int QH, int QW, \
    int stride_n, int stride_g, int stride_c, int stride_d, int stride_h, int stride_w, \
    int spread_d, int spread_h, int spread_w, int low_d, int low_h, int low_w

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

kernel void to_plain(global const REAL *given, global REAL *plain, GIVEN_ARGUMENTS)
{
    const int q = get_global_id(0), channel = get_global_id(1), n = get_global_id(2);
    if (q >= QD*QH*QW)
        return;
    const int d = pixel_on(q/(QH*QW) - low_d, ID, spread_d);
    const int h = pixel_on(q/QW % QH - low_h, IH, spread_h);
    const int w = pixel_on(q % QW - low_w, IW, spread_w);
    REAL value = 0;
    if (d >= 0 && h >= 0 && w >= 0)
        value = given[n*stride_n + channel/C*stride_g + channel % C*stride_c
                      + d*stride_d + h*stride_h + w*stride_w];
    plain[(n*(int)get_global_size(1) + channel)*(QD*QH*QW) + q] = value;
}

kernel void from_plain(global const REAL *plain, global REAL *given, GIVEN_ARGUMENTS)
{
    const int i = get_global_id(0), channel = get_global_id(1), n = get_global_id(2);
    if (i >= ID*IH*IW)
        return;
    const int d = i/(IH*IW), h = i/IW % IH, w = i % IW;
    /* Zeros that were added have no pixel, so only a pixel's own place counts. */
    const int copies_d = MODE ? QD - ID : 0, copies_h = MODE ? QH - IH : 0;
    const int copies_w = MODE ? QW - IW : 0;
    plain += (n*(int)get_global_size(1) + channel)*(QD*QH*QW);
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
    given[n*stride_n + channel/C*stride_g + channel % C*stride_c
          + d*stride_d + h*stride_h + w*stride_w] = sum;
}
