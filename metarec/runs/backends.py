"""What starts the processes of a run: joblib's own, or a cluster's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import joblib

from metarec.errors import MetarecError


@contextmanager
def spread(backend: str, jobs: int, scheduler: str | None) -> Iterator[None]:
    """Route joblib to loky, Dask or Ray. Dask uses `scheduler` (an address) or starts a local cluster.

    `MetarecError` if nothing answers at that address.
    """
    if backend == "dask":
        from dask.distributed import Client, LocalCluster

        if scheduler:
            try:
                client = Client(scheduler)
            except (OSError, ValueError) as error:
                raise MetarecError(
                    f"no Dask scheduler answers at {scheduler!r} ({error}); start one there, or leave "
                    "--scheduler out for a local cluster."
                ) from None
            with client, joblib.parallel_config(backend="dask"):
                yield
        else:
            with (
                LocalCluster(
                    n_workers=jobs, threads_per_worker=1, processes=True, dashboard_address=None
                ) as local,
                Client(local),
                joblib.parallel_config(backend="dask"),
            ):
                yield
    elif backend == "ray":
        from ray.util.joblib import register_ray

        register_ray()
        with joblib.parallel_config(backend="ray"):
            yield
    else:
        with joblib.parallel_config(backend=backend):
            yield
