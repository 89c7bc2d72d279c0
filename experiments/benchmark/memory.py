"""Peak memory of this process and its device, and the default memory limit of a measurement."""

import os
import resource
import sys

import jax


def peak_bytes() -> dict[str, int | None]:
    """Returns the peak memory of the process on the host and, where it reports one, on the device, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    statistics = jax.local_devices()[0].memory_stats() or {}
    return {
        "host": unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "device": statistics.get("peak_bytes_in_use"),
    }


def default_limit() -> int:
    """Returns half the memory of the device, or of this machine where the device reports none, in bytes."""
    statistics = jax.local_devices()[0].memory_stats() or {}
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return int(statistics.get("bytes_limit", machine)) // 2
