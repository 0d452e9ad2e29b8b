"""How much memory this process has."""

import gc
import os
from pathlib import Path


def resident(*, tidy: bool = True) -> int:
    """Bytes of memory this process has, without garbage if it is to be ``tidy``, which takes a while."""
    if tidy:
        gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
