"""Old spellings of the command line, which still work for one release: commands, flags, and values of flags."""

from __future__ import annotations

from collections.abc import Sequence

from lipsync_lab import renamed
from lipsync_lab.cli import training
from lipsync_lab.renamed import COMMANDS, MODELS, PRESETS, SETTING_VALUES, SETTINGS
from lipsync_lab.training.tasks import TRAINED


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


_SETTINGS = {_flag(old): _flag(new) for old, new in SETTINGS.items()}

#: Command -> old flag -> new flag.
FLAGS = renamed.FLAGS | {command: _SETTINGS | renamed.FLAGS[command] for command in ("dub", "detect")}

#: New flag -> old value -> new value.
VALUES = {_flag(name): values for name, values in SETTING_VALUES.items()} | {"--preset": PRESETS}


def translate(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return a command line in the present spelling, and a sentence for every old spelling in it."""
    words, notes = list(words), []
    if words[:1] == ["train"] and len(words) > 1 and words[1] not in (*training.COMMANDS, "-h", "--help"):
        _replace(words, 1, ("train", "fit"), notes)
    elif words[:1] == ["evaluate"] and "--source" not in words and set(words) & {*TRAINED, *MODELS}:
        _replace(words, 1, ("train", "benchmark"), notes)
    elif words and words[0] in COMMANDS:
        _replace(words, 1, COMMANDS[words[0]], notes)
    for at in range(2, len(words)):
        is_kind = words[0] == "train" and not words[at - 1].startswith("-")
        if words[at] in MODELS and (is_kind or words[at].endswith("-lab")):
            notes.append(f"{words[at]} is now {MODELS[words[at]]}")
            words[at] = MODELS[words[at]]
    flags = FLAGS.get(words[0], {}) if words else {}
    end = words.index("--") if "--" in words else len(words)
    for at in range(1, end):
        flag, sign, value = words[at].partition("=")
        if flag in flags:
            notes.append(f"{flag} is now {flags[flag]}")
            flag = flags[flag]
            words[at] = f"{flag}{sign}{value}"
        renamed = VALUES.get(flag, {})
        if not sign and at + 1 < end:
            value = words[at + 1]
        if flags and value in renamed:
            notes.append(f"{flag} {value} is now {flag} {renamed[value]}")
            if sign:
                words[at] = f"{flag}={renamed[value]}"
            else:
                words[at + 1] = renamed[value]
    return words, notes


def _replace(words: list[str], count: int, new: Sequence[str], notes: list[str]) -> None:
    notes.append(f"`{' '.join(words[:count])}` is now `{' '.join(new)}`")
    words[:count] = new
