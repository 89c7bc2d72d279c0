"""How much memory this process and its device have held, and how much a measurement may take."""

import os
import resource
import sys

import jax


def peak_bytes() -> dict[str, int | None]:
    """The most that the process has held on the host so far, and on the device where that says so."""
    unit = 1 if sys.platform == "darwin" else 1024
    statistics = jax.local_devices()[0].memory_stats() or {}
    return {
        "host": unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "device": statistics.get("peak_bytes_in_use"),
    }


def default_limit() -> int:
    """Half the memory of the device, or of this machine where the device does not say, in bytes."""
    statistics = jax.local_devices()[0].memory_stats() or {}
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return int(statistics.get("bytes_limit", machine)) // 2
