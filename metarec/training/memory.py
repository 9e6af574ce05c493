"""What the C library does with memory that a training step gives back."""

from __future__ import annotations

import ctypes

# Parameters of glibc's mallopt, and the most it takes for each.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
SETTINGS = {TRIM_THRESHOLD: 2**31 - 1, MMAP_THRESHOLD: 2**25}


def keep_freed() -> bool:
    """Let this process keep what it frees, up to its peak; returns whether the C library could be told.

    Every step of a training takes and gives back the same tens of megabytes. Left alone, glibc returns them
    to the system each time, and the system clears every page anew. Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(name, value) for name, value in SETTINGS.items())
