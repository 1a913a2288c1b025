"""The exceptions clconv raises on purpose; TypeError is used as it stands for wrong types."""

from __future__ import annotations


class GeometryError(ValueError):
    """Sizes that do not fit together: the caller's slip. The message names both."""


class UnsupportedError(NotImplementedError):
    """Valid arguments that this library, algorithm or device does not serve: our limit."""


class NoDeviceError(RuntimeError):
    """No OpenCL device is usable, or none matches what was asked for."""


class BuildError(RuntimeError):
    """A kernel did not compile; the message carries the file, the options and the build log."""
