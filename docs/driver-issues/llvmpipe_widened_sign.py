"""rusticl on llvmpipe (Mesa 22.3.6): an int widened to long is never below 0.

`(long)i < 0` is false for every int i, and so is `(long)i < -2`. Right are `i < 0`, a long that was
read as one, and a comparison with a variable. Needs pyopencl and numpy alone:

    RUSTICL_ENABLE=llvmpipe python llvmpipe_widened_sign.py
"""

import numpy as np
import pyopencl as cl

SOURCE = """
kernel void compare(global const int *ints, global const long *longs, global int *out)
{
    const int i = get_global_id(0);
    const long wide = ints[i];
    out[5*i] = ints[i] < 0;
    out[5*i + 1] = longs[i] < 0;
    out[5*i + 2] = wide < 0;
    out[5*i + 3] = wide < -2;
    out[5*i + 4] = wide < longs[0];
}
"""
COMPARISONS = ("i < 0", "l < 0", "(long)i < 0", "(long)i < -2", "(long)i < l")

for platform in cl.get_platforms():
    try:
        found = platform.get_devices()
    except cl.Error:
        continue
    for device in found:
        context = cl.Context([device])
        queue = cl.CommandQueue(context)
        ints = np.array([-1, -7, 0, 7], np.int32)
        longs = ints.astype(np.int64)
        expected = np.stack([ints < 0, ints < 0, ints < 0, ints < -2, ints < ints[0]], 1)
        out = np.zeros(expected.shape, np.int32)
        flags = cl.mem_flags
        operands = [
            cl.Buffer(context, flags.READ_ONLY | flags.COPY_HOST_PTR, hostbuf=array)
            for array in (ints, longs)
        ]
        out_buffer = cl.Buffer(context, flags.READ_WRITE, out.nbytes)
        kernel = cl.Kernel(cl.Program(context, SOURCE).build(), "compare")
        kernel(queue, ints.shape, (1,), *operands, out_buffer)
        cl.enqueue_copy(queue, out, out_buffer)
        for name, got, wanted in zip(COMPARISONS, out.T, expected.T, strict=True):
            verdict = "right" if (got == wanted).all() else f"WRONG: {got} for {ints}"
            print(f"{platform.name}: {name}: {verdict}")
