"""What a fresh process pays before its first call."""

from __future__ import annotations


class Import:
    """Seconds of an import in a process of its own."""

    version = "1"  # raised by hand when what is timed changes

    def timeraw_import(self):
        return "import clconv"

    def timeraw_import_conv(self):
        """With pyopencl, which the first use of a name loads."""
        return "from clconv import conv"
