"""Where runs and batches lie: a mesh of all devices with the axes `run` and `data`, in one process or several."""

import os
import re
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from macsgr_jax.errors import InputError

RUN, DATA = "run", "data"
# What JAX needs of SLURM, and what shows that another of the clusters that it knows started this process.
SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")
CLUSTERS = ("OMPI_MCA_orte_hnp_uri", "KUBERNETES_SERVICE_HOST", "TPU_WORKER_HOSTNAMES", "TPU_PROCESS_ADDRESSES")


def start_processes(where: str) -> None:
    """Join the other processes; call it before anything else of JAX.

    Args:
        where: "auto" asks SLURM, Open MPI, Kubernetes or the TPU pod; otherwise HOST:PORT,COUNT,RANK.

    Raises:
        InputError: `where` is of neither form, or JAX refuses it.
    """
    explicit = re.fullmatch(r"([^,]+:\d+),(\d+),(\d+)", where)
    advice = "write auto under SLURM, Kubernetes or on a TPU pod, or HOST:PORT,COUNT,RANK with RANK below COUNT"
    if where != "auto" and not (explicit and int(explicit[3]) < int(explicit[2])):
        raise InputError(f"--distributed {where}: {advice}")
    try:
        if explicit:
            jax.distributed.initialize(explicit[1], num_processes=int(explicit[2]), process_id=int(explicit[3]))
        else:
            jax.distributed.initialize()
    except (ValueError, RuntimeError, KeyError) as error:
        reason = "" if explicit else describe_cluster()
        reason = reason or str(error).splitlines()[0].rstrip(".")
        raise InputError(f"--distributed {where}: {reason}: {advice}") from None


def describe_cluster() -> str:
    """Returns why JAX recognises no cluster from the environment; empty where it may recognise one."""
    missing = [name for name in SLURM if name not in os.environ]
    if 0 < len(missing) < len(SLURM):
        return f"of SLURM's variables {', '.join(missing)} are not set, as inside srun they are"
    if missing and not any(name in os.environ for name in CLUSTERS):
        return "this process was not started by SLURM, Kubernetes, Open MPI or on a TPU pod"
    return ""


def is_writer() -> bool:
    """Whether this process is the one that prints and writes results."""
    return jax.process_index() == 0


def make_mesh(split_batch: int = 1) -> Mesh:
    """All devices of all processes, as `run` x `data`.

    Args:
        split_batch: devices that share each batch.

    Returns:
        A mesh of devices / split_batch x split_batch.

    Raises:
        InputError: the devices cannot be divided so.
    """
    devices = np.array(jax.devices())
    if split_batch < 1 or devices.size % split_batch:
        raise InputError(f"--split-batch {split_batch} does not divide the {devices.size} devices: choose a divisor")
    return Mesh(devices.reshape(-1, split_batch), (RUN, DATA))


def place_runs(tree: Any, mesh: Mesh) -> Any:
    """Arrays with the runs in front, divided among the devices of the axis `run`."""
    return _place(tree, NamedSharding(mesh, PartitionSpec(RUN)))


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Arrays that every device holds as a whole."""
    return _place(tree, NamedSharding(mesh, PartitionSpec()))


def _place(tree: Any, sharding: NamedSharding) -> Any:
    def place(leaf: Any) -> jax.Array:
        host = np.asarray(leaf)
        return jax.make_array_from_callback(host.shape, sharding, lambda part: host[part])

    return jax.tree.map(place, tree)


def fetch(tree: Any) -> Any:
    """Every array as a whole, on the host of every process; all processes have to call it."""
    if jax.process_count() == 1:
        return jax.tree.map(np.asarray, tree)
    return multihost_utils.process_allgather(tree, tiled=True)


def agree(flag: bool) -> bool:
    """Whether the flag is set in any of the processes; all of them have to call it."""
    if jax.process_count() == 1:
        return flag
    return bool(np.any(multihost_utils.process_allgather(np.array(flag))))


def wait_for_all(place: str) -> None:
    """Wait until every process has come here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(place)
