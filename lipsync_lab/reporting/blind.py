"""A blind comparison: a page that shows two clips with the same voice and asks which is better, and its answers.

The page shows every pair once. On which side each method is, and the order of the pairs, are random by a seed; either
method is on the left equally often. The page knows neither the methods nor which clip is whose: that is in a key beside
it, `KEY`, which is not for the person who answers. The page needs no network, keeps the answers until they are
downloaded as a CSV, and asks before it is closed with answers that are not.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lipsync_lab import files, limits
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.files import write_text
from lipsync_lab.reporting import viewer
from lipsync_lab.runs import Run

if TYPE_CHECKING:
    import pandas

#: Files of the folder: the page, what it must not tell, and the clips.
PAGE, KEY, MEDIA = "ab.html", "ab_key.json", "media"
QUESTION = "Which of the two speaks these words more convincingly?"
#: Answers at or above which an interval is given.
LEAST = 8
#: Columns of the answers that the page saves.
COLUMNS = ("study", "participant", "trial", "choice", "seconds")
_SIDES = ("left", "right")
_HOME = Path(__file__).parent


@dataclass(frozen=True)
class Pair:
    """Two clips of one source and voice, one of each method.

    Attributes
    ----------
    name : str
        Of the source, for the table of answers.
    clips : tuple of Path
        MP4 files, the first method's and the second's.
    """

    name: str
    clips: tuple[Path, Path]


@dataclass(frozen=True)
class Preference:
    """How often a method was preferred.

    Attributes
    ----------
    method, other : str
    answers, preferred : int
        All answers, and those for `method`.
    share : float
        NaN without answers.
    low, high : float
        Exact 95 % interval of the share (Clopper and Pearson 1934); NaN with fewer than `LEAST` answers. It takes the
        answers for independent: where several people answer on the same pairs it is too narrow.
    p : float
        Of the exact two-sided binomial test against 0.5; NaN with fewer than `LEAST` answers.
    """

    method: str
    other: str
    answers: int
    preferred: int
    share: float
    low: float
    high: float
    p: float


def pairs_of_runs(first: Sequence[Run], second: Sequence[Run]) -> list[Pair]:
    """Pairs of the runs of two methods, in the same order.

    Raises
    ------
    ParameterError
        There are not as many of either, or two that belong together have another source or another voice.
    """
    if len(first) != len(second):
        raise ParameterError(f"{len(first)} runs of the first method and {len(second)} of the second make no pairs")
    pairs = []
    for former, other in zip(first, second, strict=True):
        for what in ("clip", "voice"):
            if former.info[what]["sha256"] != other.info[what]["sha256"]:
                name = {"clip": "source", "voice": "voice"}[what]
                raise ParameterError(f"{former.folder} and {other.folder} have another {name}; a pair has the same")
        pairs.append(Pair(Path(former.info["clip"]["file"]).stem, (former.output, other.output)))
    return pairs


def write_page(
    folder: str | Path, pairs: Sequence[Pair], methods: tuple[str, str], *, seed: int = 0, question: str = QUESTION
) -> Path:
    """Write the page, its clips and its key.

    Parameters
    ----------
    folder : path
        Made complete or not at all; an earlier page there is replaced.
    pairs : sequence of Pair
    methods : (str, str)
        Names of the first and the second method of every pair.
    seed : int
        Of the order and the sides; give each participant another one.
    question : str

    Returns
    -------
    Path
        The page.

    Raises
    ------
    ParameterError
        There is no pair, the methods have one name, or a clip is not MP4, which browsers play.
    MediaError
        A clip is not there.
    """
    if not pairs or methods[0] == methods[1]:
        raise ParameterError("a blind comparison needs a pair at least, and two methods with different names")
    for clip in (clip for pair in pairs for clip in pair.clips):
        if not Path(clip).is_file():
            raise MediaError(f"{clip}: there is no such file")
        if Path(clip).suffix.lower() != ".mp4":
            raise ParameterError(f"{clip}: browsers play MP4; dub it with the codec h264")
    order, swapped = _arranged(len(pairs), seed)
    trials, key = [], []
    with files.atomic_folder(folder, _is_page, "blind comparison") as part:
        (part / MEDIA).mkdir()
        for trial, (number, swap) in enumerate(zip(order, swapped, strict=True), 1):
            sides = (1, 0) if swap else (0, 1)
            names = [f"{MEDIA}/{trial:03d}_{side}.mp4" for side in _SIDES]
            for name, side in zip(names, sides, strict=True):
                shutil.copyfile(pairs[number].clips[side], part / name)
            trials.append(names)
            key.append({"pair": pairs[number].name} | {s: methods[m] for s, m in zip(_SIDES, sides, strict=True)})
        about = {"schema": 1, "methods": list(methods), "seed": seed, "question": question, "trials": key}
        study = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:12]
        (part / KEY).write_text(json.dumps({"study": study} | about, indent=1) + "\n", encoding="utf-8")
        script = (_HOME / "blind.js").read_text(encoding="utf-8")
        data = json.dumps({"study": study, "columns": COLUMNS, "trials": trials}).replace("<", "\\u003c")
        html = viewer.template("blind.html.j2").render(
            policy=viewer.policy(script), script=script, question=question, count=len(trials), data=data
        )
        write_text(part / PAGE, html)
    return Path(folder) / PAGE


def read_answers(answers: Sequence[str | Path], key: str | Path) -> pandas.DataFrame:
    """The answers of one or several people, with what they were about.

    Parameters
    ----------
    answers : sequence of path
        CSV files that the page saved.
    key : path
        `KEY` of the page.

    Returns
    -------
    DataFrame
        One row an answer: participant, trial, pair, preferred and other (methods), left (the method that was on the
        left), seconds.

    Raises
    ------
    MediaError
        A file is not there, has other columns, answers a trial twice, or belongs to another page.
    """
    import pandas as pd

    try:
        about = json.loads(limits.checked(key).read_text(encoding="utf-8"))
        tables = [pd.read_csv(limits.checked(path), dtype=str, keep_default_na=False) for path in answers]
    except (OSError, ValueError) as error:
        raise MediaError(f"the answers cannot be read: {error}") from error
    rows = []
    for path, table in zip(answers, tables, strict=True):
        if tuple(table.columns) != COLUMNS or (table["study"] != about["study"]).any():
            raise MediaError(f"{path}: these are no answers to the page of {key}")
        if table.duplicated(["participant", "trial"]).any() or not table["choice"].isin(_SIDES).all():
            raise MediaError(f"{path}: a trial is answered twice, or by something else than left or right")
        for row in table.itertuples():
            trial = about["trials"][int(row.trial) - 1]
            other = trial[_SIDES[row.choice == "left"]]
            rows.append((row.participant, int(row.trial), trial["pair"], trial[row.choice], other, trial["left"],
                         float(row.seconds)))  # fmt: skip
    return pd.DataFrame(rows, columns=["participant", "trial", "pair", "preferred", "other", "left", "seconds"])


def preference(answers: pandas.DataFrame, method: str) -> Preference:
    """The share of answers that prefer a method, of `read_answers`.

    Raises
    ------
    ParameterError
        No answer is about the method.
    """
    from scipy.stats import binomtest

    about = answers[(answers["preferred"] == method) | (answers["other"] == method)]
    if about.empty:
        raise ParameterError(f"no answer is about {method}")
    preferred, count = int((about["preferred"] == method).sum()), len(about)
    first = about.iloc[0]
    other = first["other"] if first["preferred"] == method else first["preferred"]
    low = high = p = float("nan")
    if count >= LEAST:
        test = binomtest(preferred, count)
        (low, high), p = test.proportion_ci(method="exact"), test.pvalue
    return Preference(method, other, count, preferred, preferred / count, float(low), float(high), float(p))


def interval_text(result: Preference) -> str:
    """The interval in words, or why there is none."""
    if result.answers < LEAST:
        return f"; no interval with fewer than {LEAST} answers"
    return f", exact 95 % interval {result.low:.0%} to {result.high:.0%}, p = {result.p:.2g}"


def _is_page(folder: Path) -> bool:
    """Whether a folder holds an earlier page and nothing else: no answers, above all."""
    return {path.name for path in folder.iterdir()} == {PAGE, KEY, MEDIA}


def _arranged(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Order of the pairs, and where the second method is on the left: in half of them, to within one."""
    rng = np.random.default_rng([seed, 0xAB])
    swapped = np.arange(count) % 2 == rng.integers(2)
    return rng.permutation(count), rng.permutation(swapped)
