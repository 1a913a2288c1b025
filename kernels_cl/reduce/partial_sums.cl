/* partial_sums: to[i] = the sum over s of from[s, i], in the order of s.
 *
 * Launch  global: elements, rounded up.
 * Macros  REAL: see common/types.clh.
 */
#include "common/types.clh"

kernel void partial_sums(global const REAL *from, global REAL *to, int elements, int shares)
{
    const int i = get_global_id(0);
    if (i >= elements)
        return;
    REAL sum = from[i];
    for (int s = 1; s < shares; s++)
        sum += from[(size_t)s*elements + i];
    to[i] = sum;
}
