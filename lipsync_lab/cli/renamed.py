"""Old spellings of the command line, which still work for one release: commands, flags, and values of flags."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

#: Old command -> the words that replace it.
COMMANDS = {
    "cartoon": ("synthesize",),
    "render": ("train", "render"),
    "preprocess": ("train", "preprocess"),
    "export": ("train", "export"),
}

_SETTINGS = {
    "--face-index": "--face-selection",
    "--analysis-size": "--detection-size",
    "--longest-gap": "--max-dropout",
    "--gap": "--dropouts",
    "--mel-lead": "--audio-offset",
    "--mouths": "--mouth-cadence",
    "--fill": "--extend",
}

#: Command -> old flag -> new flag.
FLAGS = {
    "dub": _SETTINGS,
    "detect": _SETTINGS,
    "synthesize": {"--photograph": "--portrait", "--on": "--exposure", "--mouth-on": "--mouth-exposure"},
}

#: New flag -> old value -> new value.
VALUES = {
    "--dropouts": {"pass": "passthrough", "abort": "error"},
    "--smoothing": {"upstream": "reference"},
    "--preset": {"upstream": "reference"},
    "--mouth-cadence": {"drawings": "holds", "frames": "every_frame"},
}


def translate(
    words: Sequence[str], training: Collection[str], networks: Collection[str]
) -> tuple[list[str], list[str]]:
    """Replace old spellings in a command line.

    Parameters
    ----------
    words : sequence of str
        The command line without the program's name.
    training : collection of str
        Commands of ``train``.
    networks : collection of str
        Networks that can be trained, by their names on the command line.

    Returns
    -------
    words : list of str
        The command line in the present spelling.
    notes : list of str
        One sentence for every old spelling.
    """
    words, notes = list(words), []
    if words[:1] == ["train"] and len(words) > 1 and words[1] not in (*training, "-h", "--help"):
        _replace(words, 1, ("train", "fit"), notes)
    elif words[:1] == ["evaluate"] and "--source" not in words and set(words) & set(networks):
        _replace(words, 1, ("train", "benchmark"), notes)
    elif words and words[0] in COMMANDS:
        _replace(words, 1, COMMANDS[words[0]], notes)
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


#: The names and values of `Settings` are still the old ones: name on the command line -> name of the setting.
_SETTING = {new[2:].replace("-", "_"): old[2:].replace("-", "_") for old, new in _SETTINGS.items()} | {
    "face_selection": "choose"
}


def present(flag: str, values: Iterable[str]) -> tuple[str, ...]:
    """Values of a setting as the command line spells them."""
    return tuple(VALUES[flag].get(value, value) for value in values)


def settings(given: Mapping[str, Any], preset: str | None) -> tuple[dict[str, Any], str | None]:
    """Names and values of a command line, and its preset, as `Settings` spells them."""

    def old(name: str, value: Any) -> Any:
        back = {new: old for old, new in VALUES.get("--" + name.replace("_", "-"), {}).items()}
        return back.get(value, value) if isinstance(value, str) else value

    return {_SETTING.get(name, name): old(name, value) for name, value in given.items()}, old("preset", preset)


def setting(name: str) -> str:
    """The present name of a setting."""
    return {old: new for new, old in _SETTING.items()}.get(name, name)
