"""OpenCL itself: drivers, devices, sources, builds, plans and the contexts that run them."""
