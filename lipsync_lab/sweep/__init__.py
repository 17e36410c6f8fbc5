"""Many runs: clips x voices x generators x detectors x settings, here or on a Dask cluster, resumed after any kill."""
