"""Synthetic clips of faces that speak, with exact ground truth for each frame.

`speech` synthesises a voice with known phoneme times, `visemes` turns phonemes into mouth shapes, `animation` draws
characters and `portrait` animates a photograph, `film` writes clips, and `samples` holds the recipes of the bundled
ones.
"""
