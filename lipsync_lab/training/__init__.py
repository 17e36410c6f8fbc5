"""How the bundled small models were made, and how to train on one's own clips.

Material lies in packed shards: `drawn` renders them without end, `preprocess` and `data` bring anyone's clips into
them. `recipes` holds the numbers, `loop` trains any of the tasks (`detector`, `expert`, `generator`, `quality`,
`reader`), `evaluate` measures on characters, voices and sentences that were never trained on, `export` writes weights
and model cards, and `command` is all of that from the command line.

What is trained, and on which losses, is that of the published repositories (Wav2Lip: Prajwal et al. 2020, arXiv
2008.10010; S3FD: Zhang et al. 2017, arXiv 1708.05237); where a small model needs something else, the module says so.
"""
