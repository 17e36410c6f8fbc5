"""Published models: bundled measurements of 28 outputs that lip-sync models made with their published weights.

``data/published`` holds the numbers and the addresses of the videos; its README says where they come from, and
`benchmarks/published.py` makes the numbers again. Here they are read, with no pixel and no network.

The unit is the footage that a model was given, not the output: two outputs of one source by one model count once, by
their mean.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from lipsync_lab import bundled
from lipsync_lab.evaluation import comparison, resampling
from lipsync_lab.metrics import failures, registry

if TYPE_CHECKING:
    import pandas

    from lipsync_lab.evaluation.result import Evaluation

HOME = bundled.folder("published")
#: How the picture of a source was made -> the domain it counts to; airbrushed portraits count to none.
KINDS = {
    "line drawing": "animation",
    "painting": "animation",
    "3D": "animation",
    "airbrushed": "",
    "filmed": "live_action",
    "synthetic photo": "synthetic_photo",
}
#: The family of models that most outputs are of; any other model is a family of its own.
WAV2LIP = "Wav2Lip"
#: The metrics that the comparison of animation and live action was planned for: sharpness, line art, colour.
ASKED = ("sharpness_loss", "line_art_loss", "colour_shift")
#: Permutations of `sync_agreement`.
_PERMUTATIONS = 9999
#: Columns of `of_sources` before its metrics.
SOURCE = ("footage", "family", "domain", "kind", "motion", "outputs")
#: Groups of `fault_counts`: the name, and whether a source's family and domain belong to it.
GROUPS = {
    "Wav2Lip on animation": lambda table: (table["family"] == WAV2LIP) & (table["domain"] == "animation"),
    "Wav2Lip on live action": lambda table: (table["family"] == WAV2LIP) & (table["domain"] == "live_action"),
    "other models on live action": lambda table: (table["family"] != WAV2LIP) & (table["domain"] == "live_action"),
}


def pairs() -> pandas.DataFrame:
    """The pairs of a source and an output.

    Returns
    -------
    DataFrame
        One row per pair, in a fixed order: ``pair``, its name; ``footage``, the name of what was dubbed, which several
        pairs may share; ``model``; ``gan``, whether its weights were trained with a discriminator ("yes", "no", empty
        where unknown); ``restoration`` applied afterwards; ``model_stated`` and ``how_known``, the model as its
        repository gives it; ``kind``, one of `KINDS`, and its ``domain``, one of
        `samples.CLIP_DOMAINS` or empty; ``about``; ``motion`` ("still", "moving"); ``source`` and
        ``output``, names for `samples.path`; ``repository``, ``commit``, ``path`` of the output; ``licence``;
        ``by_eye``, what one person noted on looking at the output.
    """
    return _table("pairs")


def metrics() -> pandas.DataFrame:
    """Every metric of every pair.

    Returns
    -------
    DataFrame
        One row per pair and metric: ``pair``, and the columns of `Evaluation.metrics`: ``metric``; ``value``, the
        median over frames (of a rate the mean, of a score its value); ``low``, ``high``, the quartiles; ``noise``, what
        the encode alone makes of the metric, NaN where that is unknown; ``unit``; ``n_frames`` in which the metric is
        defined; ``coverage``, their share; ``threshold``; ``failed``, frames beyond it by more than the noise;
        ``reason``, why there is no value, or what limits it.
    """
    return _table("metrics")


def scores() -> pandas.DataFrame:
    """Every score of the sound with its controls: ``pair``, and the columns of `Evaluation.scores`."""
    return _table("scores")


def evaluations() -> pandas.DataFrame:
    """What the metrics of a pair rest on.

    Returns
    -------
    DataFrame
        One row per pair: ``pair``; ``status``, "measured" or "failed", and ``reason``; ``frames`` measured and their
        ``fps``; ``offset``, ``loop``, ``scale``, ``start``, ``end``, ``confidence`` and ``contrast`` of the alignment
        (`alignment.Alignment`); the edited region: ``region`` ("rectangle", "mask", "none"), ``region_contrast``, and
        its median box ``region_x1`` to ``region_y2``; the median box of the detected face, ``face_x1`` to ``face_y2``
        (both in pixels of the output); ``box_source``, where the boxes of the metrics come from (`boxes.SOURCES`);
        ``encode_noise`` in grey levels, and ``background_change_noise``, the background change in units of it;
        ``dark_source`` and ``dark_output``, the share of the lips' box that is darker than 40 grey
        levels, 90th percentile over frames: a description of dark mouths, and no validated metric.
    """
    return _table("evaluations")


def about() -> dict[str, Any]:
    """Version, seconds of each output that were measured, and the networks with their SHA-256."""
    return json.loads((HOME / "about.json").read_text(encoding="utf-8"))


def of_sources(raw: bool = False) -> pandas.DataFrame:
    """One row per source and family of models.

    Parameters
    ----------
    raw : bool
        Leave in each metric what the encode alone makes of it. It is taken away otherwise, down to 0, since the makers
        encoded some outputs more strongly; where it is unknown, the value stays as it is.

    Returns
    -------
    DataFrame
        ``footage``; ``family``, `WAV2LIP` or another model; ``domain``: "animation", "live_action" or empty, where the
        one generated photorealistic head counts as live action; ``kind``; ``motion``; ``outputs``, their number; and a
        column for each metric and score: the mean of its value over the outputs, NaN where it has none.
    """
    about = pairs().assign(family=lambda table: table["model"].map(family), domain=_counted)
    values = _values(raw)
    table = about.join(values, on="pair")
    first = {column: (column, "first") for column in ("domain", "kind", "motion")}
    means = {name: (name, "mean") for name in values.columns}
    out = table.groupby(["footage", "family"], sort=False).agg(**first, outputs=("pair", "size"), **means)
    return out.reset_index()


def of_wav2lip(raw: bool = False) -> pandas.DataFrame:
    """`of_sources` of Wav2Lip, both domains, without the sources that lie between them."""
    table = of_sources(raw)
    return table[(table["family"] == WAV2LIP) & (table["domain"] != "")].reset_index(drop=True)


def family(model: str) -> str:
    """The family of a model: its name, but one for all copies of Wav2Lip."""
    return WAV2LIP if model.lower().startswith(WAV2LIP.lower()) else model


def domain_effects(asked: tuple[str, ...] = ASKED, raw: bool = False) -> pandas.DataFrame:
    """Wav2Lip on animation against Wav2Lip on live action.

    Parameters
    ----------
    asked : tuple of str
        Metrics that are tested together: Holm's correction is over these.
    raw : bool
        As of `of_sources`.

    Returns
    -------
    DataFrame
        Of `comparison.independent`, by source.
    """
    return comparison.independent(of_wav2lip(raw), by="footage", metrics=asked)


def sync_margins() -> pandas.DataFrame:
    """By how much a sync expert prefers the output's own sound to the same sound shuffled.

    Returns
    -------
    DataFrame
        As `of_sources`, with the columns ``dubbed`` and ``shuffled``, the SyncNet distance at the best offset with
        either sound, and ``margin``, the second less the first: positive where the expert prefers the own sound.
    """
    table = scores()
    table = table[table["score"] == "syncnet_distance"].pivot(index="pair", columns="input", values="value")
    table = table.rename(columns={"shuffled_audio": "shuffled"})[["dubbed", "shuffled"]]
    means = _families().join(table, on="pair").groupby(["footage", "family"], sort=False)[["dubbed", "shuffled"]].mean()
    out = of_sources()[list(SOURCE)].join(means, on=["footage", "family"])
    return out.assign(margin=out["shuffled"] - out["dubbed"])


def detector_agreement() -> pandas.DataFrame:
    """Whether the box of the face detector lies where the model changed the picture.

    Returns
    -------
    DataFrame
        One row per pair: ``pair``; ``domain`` and ``family``, as in `of_sources`; ``region``, the kind of the edited
        region; ``iou`` of the median boxes of region and face; ``inside``, the share of the region that lies inside the
        face's box; ``missed_share``, the share of frames without a detection.
    """
    rows, given = evaluations().set_index("pair"), pairs().set_index("pair")
    missed = metrics().query("metric == 'missed_detection'").set_index("pair")["value"]
    out = given[["domain"]].assign(domain=_counted, family=given["model"].map(family), region=rows["region"])
    edges = [f"{side}_{edge}" for side in ("region", "face") for edge in ("x1", "y1", "x2", "y2")]
    x1, y1, x2, y2, u1, v1, u2, v2 = rows[edges].reindex(out.index).to_numpy(float).T
    common = np.maximum(np.minimum(x2, u2) - np.maximum(x1, u1), 0) * np.maximum(
        np.minimum(y2, v2) - np.maximum(y1, v1), 0
    )
    region, face = (x2 - x1) * (y2 - y1), (u2 - u1) * (v2 - v1)
    out = out.assign(iou=common / (region + face - common), inside=common / region, missed_share=missed)
    return out.reset_index()


def fault_counts() -> pandas.DataFrame:
    """How many sources have each kind of failure, by group of models.

    Returns
    -------
    DataFrame
        One row a kind of failure of the picture and group of `GROUPS`: ``kind``; ``metric``; ``threshold``; ``group``;
        ``sources`` in which the metric is defined; ``failing``, those in which at least half of the frames are beyond
        the threshold by more than the noise of the encode; ``median`` and ``values`` (tuple of float), over sources;
        ``edited`` (tuple of bool), whether `evaluate` sees an edit in a source: one without never fails.
    """
    import pandas as pd

    table, share, edited = of_sources(), _failing_shares(), _edited()
    rows = []
    for kind in failures.kinds():
        if kind.stage != "picture" or kind.name not in table:
            continue
        for group, belongs in GROUPS.items():
            chosen = table[belongs(table)].set_index(["footage", "family"])
            values = chosen[kind.name].dropna()
            failing = int((share[kind.name].reindex(values.index) >= 0.5).sum())
            numbers = len(values), failing, values.median(), tuple(values), tuple(edited.reindex(values.index))
            rows.append((kind.failure, kind.name, kind.threshold, group, *numbers))
    columns = ["kind", "metric", "threshold", "group", "sources", "failing", "median", "values", "edited"]
    return pd.DataFrame(rows, columns=columns)


def regions() -> pandas.DataFrame:
    """What the models changed, by group of models: the shape of the edited region, and how dark the mouth became.

    Returns
    -------
    DataFrame, index ``group`` (`GROUPS`)
        ``sources``; ``rectangle``, those of whose outputs at least half have a rectangle for an edited region;
        ``darker``, the median over sources of ``dark_output`` less ``dark_source`` (`evaluations`), and ``values``
        (tuple of float), one per source.
    """
    import pandas as pd

    table = evaluations().assign(darker=lambda rows: rows["dark_output"] - rows["dark_source"])
    table["rectangle"] = (table["region"] == "rectangle").where(table["status"] == "measured").astype(float)
    given = _families().join(table.set_index("pair")[["rectangle", "darker"]], on="pair")
    means = given.groupby(["footage", "family"])[["rectangle", "darker"]].mean()
    wide, rows = of_sources()[list(SOURCE)].join(means, on=["footage", "family"]), {}
    for group, belongs in GROUPS.items():
        of_group = wide[belongs(wide)]
        darker = of_group["darker"].dropna()
        rectangles = int((of_group["rectangle"] >= 0.5).sum())
        rows[group] = (len(of_group), rectangles, darker.median(), tuple(darker))
    columns = ["sources", "rectangle", "darker", "values"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("group")


def by_gan() -> pandas.DataFrame:
    """Wav2Lip on live action with and without a discriminator in its training, output by output.

    Returns
    -------
    DataFrame, index ``pair``
        ``gan`` ("yes" or "no"; outputs where it is unknown are left out), ``restoration``, and a column each of `ASKED`
        and of "out_of_palette", "temporal_flicker" and "realism_loss", as in `of_sources`. There are too few for
        intervals.
    """
    given = pairs().assign(domain=_counted)
    chosen = given[(given["domain"] == "live_action") & (given["gan"] != "") & (given["model"].map(family) == WAV2LIP)]
    names = [*ASKED, "out_of_palette", "temporal_flicker", "realism_loss"]
    table = chosen.set_index("pair")[["gan", "restoration"]].join(_values()[names])
    return table.sort_values("gan", kind="stable")


def sync_agreement() -> pandas.DataFrame:
    """Whether the sync distance ranks the sources of Wav2Lip as the metrics of the picture do.

    Returns
    -------
    DataFrame
        One row each of `ASKED`: ``metric``; ``n``, sources; ``rho``, Spearman's rank correlation with the SyncNet
        distance at the best offset; ``p``, by permutation; ``p_adjusted``, by Holm's method. A sync score that told of
        these artifacts would have a large positive ``rho``.
    """
    import pandas as pd
    from scipy import stats

    table, rows, random = of_wav2lip(), [], np.random.default_rng(0)
    for name in ASKED:
        known = stats.rankdata(table[[name, "syncnet_distance"]].dropna().to_numpy(float), axis=0)
        first, second = (known - known.mean(axis=0)).T / known.std(axis=0)[:, None]
        shuffled = random.permuted(np.tile(first, (_PERMUTATIONS, 1)), axis=1)
        rho = np.r_[first @ second, shuffled @ second] / len(first)
        rows.append((name, len(first), rho[0], float((np.abs(rho) >= abs(rho[0]) - 1e-12).mean())))
    out = pd.DataFrame(rows, columns=["metric", "n", "rho", "p"])
    return out.assign(p_adjusted=resampling.holm(out["p"].to_numpy()))


def findings() -> tuple[str, str, str]:
    """Three sentences, computed from the bundled numbers: the domains, the models, the sync score."""
    return _of_domains(), " ".join(_of_models()), _of_sync()


def points() -> list[str]:
    """`findings` as the points of a list, the one on the models a point for each group of faults."""
    return [_of_domains(), *_of_models(), _of_sync()]


def _of_domains() -> str:
    effects = domain_effects()
    worse = effects[(effects["p_adjusted"] <= comparison.ALPHA) & (effects["difference"] > 0)]
    parts = []
    for row in effects.itertuples():
        interval = f"difference {row.difference:.2f}, 95 % CI {row.low:.2f} to {row.high:.2f}, p = {row.p_adjusted:.2g}"
        numbers = f"{row.animation:.2f} against {row.other:.2f} ({interval if row.low == row.low else row.reason})"
        parts.append(f"{_name(row.metric)} {numbers}")
    how = "does worse" if len(worse) == len(effects) else f"does worse in {len(worse)} of {len(effects)} metrics"
    n, other = effects["n"].iloc[0], effects["n_other"].iloc[0]
    return (
        f"With published weights, Wav2Lip {how if len(worse) else 'is not shown to do worse'} on animation than on "
        f"live action (means over {n} and {other} sources, p adjusted for {len(effects)} metrics): {'; '.join(parts)}."
    )


def _of_models() -> list[str]:
    """How the faults are counted, the faults by where they occur, and the shape of the changed region."""
    animation, live, other = GROUPS
    lists: dict[str, list[str]] = {"animation": [], "alone": [], "shared": []}
    for kind, rows in fault_counts().groupby("kind", sort=False):
        by = rows.set_index("group")
        if by["failing"].any():
            each = ", ".join(f"{by.loc[group, 'failing']} of {by.loc[group, 'sources']}" for group in GROUPS)
            where = "shared" if by.loc[other, "failing"] else "alone" if by.loc[live, "failing"] else "animation"
            lists[where].append(f"{kind} ({each})")
    texts = {where: "; ".join(kinds) or "none" for where, kinds in lists.items()}
    shapes = regions()
    pasted = ", ".join(f"{row.rectangle} of {row.sources}" for row in shapes.itertuples())
    return [
        f"Faults in at least half of a source's frames are counted in this order: {animation}, {live}, {other}. A "
        "count is of the sources in which the metric is defined, so that its total differs from metric to metric; one "
        "source can have several outputs.",
        f"On animation alone, where no other model was run: {texts['animation']}.",
        f"On live action with Wav2Lip alone: {texts['alone']}.",
        f"With other models too: {texts['shared']}.",
        f"The changed region is a pasted rectangle in {pasted} sources.",
    ]


def _of_sync() -> str:
    margins, ranks = sync_margins(), sync_agreement()
    known = margins.loc[(margins["family"] == WAV2LIP) & margins["margin"].notna(), "margin"].to_numpy(float)
    tested = comparison.infer(known[:, None])
    low, high = (float(tested[side][0]) for side in ("low", "high"))
    interval = f", 95 % CI {low:.3f} to {high:.3f}" if low == low else ""
    agree = ranks[(ranks["p_adjusted"] <= comparison.ALPHA) & (ranks["rho"] > 0)]
    rho = ", ".join(f"{row.rho:+.2f} with {_name(row.metric)}" for row in ranks.itertuples())
    return (
        f"The bundled sync expert prefers the voice to its shuffled sound in {int((known > 0).sum())} of {len(known)} "
        f"sources of Wav2Lip (mean difference in SyncNet distance {known.mean():.3f}{interval}), and its distance "
        f"{'rises' if len(agree) else 'is not shown to rise'} with the artifacts (rank correlation over "
        f"{ranks['n'].min()} sources: {rho})."
    )


def _name(metric: str) -> str:
    """A metric in a sentence: its readable name without the unit."""
    return registry.label(metric).split(" (")[0]


def _failing_shares() -> pandas.DataFrame:
    """Share of the frames beyond each threshold, by footage and family: the mean over outputs."""
    table = metrics()
    table["share"] = table["failed"] / table["n_frames"].where(table["n_frames"] > 0)
    wide = _families().join(table.pivot(index="pair", columns="metric", values="share"), on="pair")
    return wide.drop(columns="pair").groupby(["footage", "family"]).mean()


def _edited() -> pandas.Series:
    """Whether an edit is seen in any output, by footage and family."""
    edit = evaluations().set_index("pair")["region"].isin(["mask", "rectangle"])
    return _families().join(edit, on="pair").groupby(["footage", "family"])["region"].any()


def metric_rows(pair: str, evaluation: Evaluation) -> pandas.DataFrame:
    """The rows of a pair in `metrics`."""
    table = evaluation.metrics
    levels = {"background_change": evaluation.metric("encode_noise"), **(evaluation.region or {}).get("levels", {})}
    table.insert(4, "noise", table["metric"].map(levels).astype(float))
    table.insert(0, "pair", pair)
    return table


def score_rows(pair: str, evaluation: Evaluation) -> pandas.DataFrame:
    """The rows of a pair in `scores`."""
    return evaluation.scores.assign(pair=pair)[["pair", *evaluation.scores.columns]]


def evaluation_row(pair: str, evaluation: Evaluation) -> dict[str, Any]:
    """What an evaluation has of the row of a pair in `evaluations`."""
    alignment, region = evaluation.alignment or {}, evaluation.region or {}
    timing = ("fps", "offset", "loop", "start", "end", "confidence", "contrast")
    return {
        **{"pair": pair, "status": "measured", "reason": "", "frames": len(evaluation.frames)},
        **{key: alignment.get(key) for key in timing},
        "scale": alignment.get("scale", [None])[0],
        **{"region": region.get("kind"), "region_contrast": region.get("contrast")},
        **edges("region", region.get("box") or [None] * 4),
        "box_source": evaluation.facts.get("box_source"),
        **{name: evaluation.metric(name) for name in ("encode_noise", "background_change_noise")},
    }


def edges(side: str, box) -> dict[str, float]:
    """A box in columns: `side` and the edge's name."""
    return dict(zip((f"{side}_{edge}" for edge in ("x1", "y1", "x2", "y2")), box, strict=True))


def _families() -> pandas.DataFrame:
    """The columns ``pair``, ``footage`` and ``family``."""
    return pairs().assign(family=lambda rows: rows["model"].map(family))[["pair", "footage", "family"]]


def _values(raw: bool = False) -> pandas.DataFrame:
    """Value of each metric (columns) and pair (rows); see `of_sources`."""
    table = metrics()
    if not raw:
        beyond = (table["value"] - table["noise"]).clip(lower=0)
        table["value"] = beyond.fillna(table["value"])
    return table.pivot(index="pair", columns="metric", values="value")


def _counted(table: pandas.DataFrame) -> pandas.Series:
    return table["domain"].replace("synthetic_photo", "live_action")


def _table(name: str) -> pandas.DataFrame:
    import pandas as pd

    texts = ("reason", "loop", "region", "gan", "restoration", "domain", "unit")
    table = pd.read_csv(HOME / f"{name}.csv", encoding="utf-8", dtype=dict.fromkeys(texts, str))
    return table.fillna({column: "" for column in texts if column in table})
