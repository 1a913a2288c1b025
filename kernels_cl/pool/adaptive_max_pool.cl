/* adaptive_max_pool: the maximum of each window (common/adaptive.clh) and where it lies.
 *
 * Which of equal ones and of NaN it is, see pool/max_pool.cl.
 *
 * Launch  global (positions, planes, 1), rounded up to local in its first axis; one work-item
 *         writes one element.
 * Macros  REAL: element type. LOWEST: below all of its numbers.
 */
#include "common/adaptive.clh"

kernel void adaptive_max_pool(global const REAL *x, global REAL *y, global long *index, SIZES)
{
    const int l = get_global_id(0), plane = get_global_id(1);
    if (l >= OD*OH*OW)
        return;
    const int p = l/(OH*OW), q = l/OW % OH, r = l % OW;
    x += plane*ID*IH*IW;
    REAL best = LOWEST;
    int where = -1;
    for (int d = first_of(p, ID, OD); d < behind_of(p, ID, OD); d++)
        for (int h = first_of(q, IH, OH); h < behind_of(q, IH, OH); h++)
            for (int w = first_of(r, IW, OW); w < behind_of(r, IW, OW); w++) {
                const int at = (d*IH + h)*IW + w;
                const REAL value = x[at];
                if (where < 0 || value > best || value != value) {
                    best = value;
                    where = at;
                }
            }
    y[plane*OD*OH*OW + l] = best;
    index[plane*OD*OH*OW + l] = where;
}
