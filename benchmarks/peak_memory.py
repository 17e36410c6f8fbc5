"""Peak memory of a process; imported by the scripts that measure it."""

from __future__ import annotations

import resource
from pathlib import Path


def peak_memory() -> float:
    """Largest memory of this process so far, MB.

    On Linux from the kernel's own account of the process: `getrusage` begins with what the parent had at the fork.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
