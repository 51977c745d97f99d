# SPDX-License-Identifier: MIT
"""A backend for joblib."""

from __future__ import annotations

from joblib import _parallel_backends as backends
from joblib import parallel

from ._pool import Pool


class _Backend(backends.PoolManagerMixin, backends.ParallelBackendBase):
    """Each batch of joblib's calls has a fresh process; a batch is one call, unless batch_size says otherwise."""

    supports_timeout = True

    def __init__(self, nesting_level=None, inner_max_num_threads=None, **options):
        super().__init__(nesting_level=nesting_level)
        self._options = options  # of forkserver.Pool

    def configure(self, n_jobs=1, parallel=None, **_):
        """joblib's own options are for memory that is mapped from files, which isn't needed here."""
        n_jobs = self.effective_n_jobs(n_jobs)
        self._pool = Pool(n_jobs, **self._options)
        self.parallel = parallel
        return n_jobs

    def terminate(self):
        pool = self._pool
        super().terminate()
        if pool is not None:
            pool.join()


def register() -> None:
    parallel.register_parallel_backend("forkserver", _Backend)
