"""Whole-number facts about convolution problems: no arrays, no OpenCL."""
