"""rusticl on llvmpipe (Mesa 22.3.6): NaN and infinity times a zero that is a constant are zero.

Its compiler takes a*0 for 0 and fma(a, 0, b) for b, as if -cl-fast-relaxed-math had been asked for.
A zero out of memory is multiplied. Needs pyopencl and numpy alone:

    RUSTICL_ENABLE=llvmpipe python llvmpipe_times_zero.py
"""

import numpy as np
import pyopencl as cl

SOURCE = """
kernel void multiply(global const float *a, global const float *zero, global float *out)
{
    const int i = get_global_id(0);
    out[4*i] = a[i]*0.0f;
    out[4*i + 1] = fma(a[i], 0.0f, 1.0f);
    out[4*i + 2] = fma(a[i], zero[0], 1.0f);
    out[4*i + 3] = isfinite(a[i]) ? 0.0f : NAN;
}
"""
EXPRESSIONS = ("a*0.0f", "fma(a, 0.0f, 1)", "fma(a, zero, 1)", "isfinite(a)")

for platform in cl.get_platforms():
    try:
        found = platform.get_devices()
    except cl.Error:
        continue
    for device in found:
        context = cl.Context([device])
        queue = cl.CommandQueue(context)
        values = np.array([1, np.nan, np.inf, -np.inf], np.float32)
        zero, out = np.zeros(1, np.float32), np.zeros((4, 4), np.float32)
        flags = cl.mem_flags
        operands = [
            cl.Buffer(context, flags.READ_ONLY | flags.COPY_HOST_PTR, hostbuf=array)
            for array in (values, zero)
        ]
        out_buffer = cl.Buffer(context, flags.READ_WRITE, out.nbytes)
        kernel = cl.Kernel(cl.Program(context, SOURCE).build(), "multiply")
        kernel(queue, values.shape, (1,), *operands, out_buffer)
        cl.enqueue_copy(queue, out, out_buffer)
        for name, got in zip(EXPRESSIONS, out.T, strict=True):
            right = (np.isnan(got) == ~np.isfinite(values)).all()
            print(f"{platform.name}: {name}: {'right' if right else f'WRONG: {got} for {values}'}")
