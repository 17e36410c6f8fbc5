"""Measures of what a run did to a clip: arrays in, tables out, never a file.

Every measure of a fault is 0 where the output is the source, rises with the fault, and is undefined (NaN), not 0, where
there was nothing to measure; `summary` of each room says what share of the frames it covers.
"""
