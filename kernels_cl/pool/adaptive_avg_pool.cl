/* adaptive_avg_pool: the mean of each window (common/adaptive.clh); and its adjoint.
 *
 *   dx[b,c,i...] = sum over the windows p that touch i of dy[b,c,p...]/(their pixels)
 *
 * Launch  adaptive_avg_pool: global (positions, planes, 1); adaptive_avg_pool_backward: global
 *         (pixels, planes, 1); each rounded up to local in its first axis; one work-item writes
 *         one element.
 * Macros  REAL: element type. EXACT_DIVIDE: see common/divide.clh.
 */
#include "common/adaptive.clh"
#include "common/divide.clh"

kernel void adaptive_avg_pool(global const REAL *x, global REAL *y, SIZES)
{
    const int l = get_global_id(0), plane = get_global_id(1);
    if (l >= OD*OH*OW)
        return;
    const int p = l/(OH*OW), q = l/OW % OH, r = l % OW;
    const int d0 = first_of(p, ID, OD), d1 = behind_of(p, ID, OD);
    const int h0 = first_of(q, IH, OH), h1 = behind_of(q, IH, OH);
    const int w0 = first_of(r, IW, OW), w1 = behind_of(r, IW, OW);
    x += plane*ID*IH*IW;
    REAL sum = 0;
    for (int d = d0; d < d1; d++)
        for (int h = h0; h < h1; h++)
            for (int w = w0; w < w1; w++)
                sum += x[(d*IH + h)*IW + w];
    y[plane*OD*OH*OW + l] = divided(sum, (REAL)((d1 - d0)*(h1 - h0)*(w1 - w0)));
}

kernel void adaptive_avg_pool_backward(global const REAL *dy, global REAL *dx, SIZES)
{
    const int i = get_global_id(0), plane = get_global_id(1);
    if (i >= ID*IH*IW)
        return;
    const int d = i/(IH*IW), h = i/IW % IH, w = i % IW;
    dy += plane*OD*OH*OW;
    REAL sum = 0;
    /* Window p touches pixel i if p*I/O < i + 1 and (p + 1)*I/O > i: these are its neighbours. */
    for (int p = first_of(d, OD, ID); p < behind_of(d, OD, ID); p++)
        for (int q = first_of(h, OH, IH); q < behind_of(h, OH, IH); q++)
            for (int r = first_of(w, OW, IW); r < behind_of(w, OW, IW); r++) {
                const int pixels = (behind_of(p, ID, OD) - first_of(p, ID, OD))
                    *(behind_of(q, IH, OH) - first_of(q, IH, OH))
                    *(behind_of(r, IW, OW) - first_of(r, IW, OW));
                sum += divided(dy[(p*OH + q)*OW + r], (REAL)pixels);
            }
    dx[plane*ID*IH*IW + i] = sum;
}
