"""Metrics of an output against its source: functions of arrays that return tables and touch no file.

Every metric of an artifact is 0 where the output is the source, rises with the artifact, and is undefined (NaN), not 0,
where there is nothing to measure. `registry` lists the metrics, `collect` computes all of them in one pass.
"""
