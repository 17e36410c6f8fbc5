"""Training of the bundled small models, also on clips of one's own.

Material lies in packed shards: `render` generates synthetic clips, `preprocess` and `clips` convert recorded ones.
`recipes` has the hyperparameters, `loop` trains the tasks of `detector`, `expert`, `generator`, `discriminator`,
`restorer`, `mouth_openness` and others, `benchmark` measures models on held-out characters, voices and sentences,
`export` writes weights and model cards, and `tasks` has the steps as functions, which `cli.training` calls.

Tasks and losses are those of the published repositories (Wav2Lip: Prajwal et al. 2020, arXiv 2008.10010; S3FD: Zhang et
al. 2017, arXiv 1708.05237); differences for small models are described in the modules.
"""
