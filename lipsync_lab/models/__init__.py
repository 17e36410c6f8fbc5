"""The networks as plain modules: S3FD, Wav2Lip, SyncNet and the mouth-openness regressor.

`inference` makes them ready to run, and `fast` runs them by OpenVINO, `fast_s3fd` S3FD by ncnn. These modules read no
files. At ``width=1.0`` the parameters have the published names and shapes, so that published weights can be loaded; a
smaller width scales the inner channels and leaves inputs and outputs as they are.
"""
