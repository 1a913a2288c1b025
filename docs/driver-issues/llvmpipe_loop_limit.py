"""rusticl on llvmpipe (Mesa 22.3.6): a work-item's loops end after 65536 turns in all.

A turn is each test of a loop's condition: a loop inside another that goes round once takes two
turns each time, so that 21845 rounds of both are all. Here one work-item counts to n. On llvmpipe
the count stops short and nothing reports an error: a long sum is silently wrong. Needs pyopencl and
numpy alone:

    RUSTICL_ENABLE=llvmpipe python llvmpipe_loop_limit.py
"""

import numpy as np
import pyopencl as cl

SOURCE = """
kernel void count(global int *out, global const int *step, int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++)
        sum += step[i % 4];  /* from memory, so that the loop cannot be folded away */
    out[0] = sum;
}
"""

for platform in cl.get_platforms():
    try:
        found = platform.get_devices()
    except cl.Error:
        continue
    for device in found:
        context = cl.Context([device])
        queue = cl.CommandQueue(context)
        kernel = cl.Kernel(cl.Program(context, SOURCE).build(), "count")
        steps, counted = np.ones(4, np.int32), np.zeros(1, np.int32)
        flags = cl.mem_flags
        step_buffer = cl.Buffer(context, flags.READ_ONLY | flags.COPY_HOST_PTR, hostbuf=steps)
        out_buffer = cl.Buffer(context, flags.READ_WRITE, counted.nbytes)
        for n in (65000, 70000, 1000000):
            kernel(queue, (1,), (1,), out_buffer, step_buffer, np.int32(n))
            cl.enqueue_copy(queue, counted, out_buffer)
            verdict = "right" if counted[0] == n else "WRONG"
            print(f"{platform.name}: {n} iterations counted as {counted[0]}: {verdict}")
