"""Where does Wav2Lip break on 2D animation, compared with live action, and what mends it?

The way through the house: `video` and `audio` read a clip and a voice, `detection` finds every candidate face,
`tracking` makes one track of them, `generation` draws the mouths, `compositing` puts them back, and `pipeline`
does all of it in one call. `python -m lipsync_lab --help` is the same from a shell.
"""

__version__ = "0.1.0"
