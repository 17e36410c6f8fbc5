"""The three models of Wav2Lip and the judge of its metric, as plain modules.

Nothing here reads a file. At ``width=1.0`` every parameter has the published name and shape, so that published
weights load as they are; a smaller width scales the inner channels and keeps what goes in and comes out.
"""
