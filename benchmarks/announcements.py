"""Recordings of people with their texts from packages of Debian, for the viseme network.

    cd FOLDER && apt-get download asterisk-core-sounds-{en,it,ru} asterisk-core-sounds-{en,it,ru}-g722
    python benchmarks/announcements.py FOLDER      # texts.csv for the training, and the test set as WAV files

`texts.csv` is for ``train render --what voices --texts``: the announcements in Italian and Russian, which are under CC
BY. The English announcements of `allison_smith_30.txt` (CC BY-SA) go to ``FOLDER/english``, for ``benchmarks/visemes.py
--transcripts FOLDER/english/transcripts.csv``. They are by one speaker, who speaks the Spanish ones too: neither
language is trained on.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from scipy.io import wavfile

RATE = 16000
#: Language of the announcements, and voice of espeak-ng.
ANNOUNCED = {"ru": "ru", "it": "it"}
TEST = Path(__file__).with_name("allison_smith_30.txt")
#: A text with one of these is not what is said, or espeak-ng may say it otherwise.
_UNSURE = re.compile(r"[][<>()%*0-9]")
#: Characters of a text that is taken at least, and seconds of its recording.
_FEWEST = 10
_SHORTEST, _LONGEST = 0.6, 25


def unpacked(folder: Path) -> Path:
    """Unpack the packages of a folder."""
    for package in sorted(folder.glob("*.deb")):
        subprocess.run(["dpkg", "-x", package, folder / "unpacked"], check=True)
    return folder / "unpacked" / "usr/share"


def announcements(root: Path, language: str) -> Iterator[tuple[Path, str]]:
    """Sound and text of each announcement of a language."""
    listed = root / f"doc/asterisk-core-sounds-{language}/core-sounds-{language}.txt.gz"
    (folder,) = root.glob(f"asterisk/sounds/{language}_*")
    for line in gzip.decompress(listed.read_bytes()).decode("utf-8-sig").splitlines():
        name, colon, text = line.strip().partition(":")
        if colon and not name.startswith(";") and (sound := folder / f"{name}.g722").is_file():
            yield sound, text.strip()


def decoded(sound: Path) -> np.ndarray:
    """Mono at 16 kHz, int16."""
    resampler = av.AudioResampler("s16", "mono", RATE)
    # a file of G.722 has no header
    with av.open(str(sound), format="g722" if sound.suffix == ".g722" else None) as container:
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    return np.concatenate([part.to_ndarray()[0] for part in frames + resampler.resample(None)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="with the packages")
    folder = parser.parse_args().folder
    root = unpacked(folder)
    rows = [(*each, voice) for language, voice in ANNOUNCED.items() for each in announcements(root, language)]
    with (folder / "texts.csv").open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["sound", "voice", "text"])
        for number, (sound, text, voice) in enumerate(rows):
            wave = np.zeros(0) if _UNSURE.search(text) or len(text) < _FEWEST else decoded(sound)
            if _SHORTEST * RATE < len(wave) < _LONGEST * RATE:
                wavfile.write(folder / f"{number:04}.wav", RATE, wave)
                table.writerow([f"{number:04}.wav", voice, text])
    english, spoken = folder / "english", dict(announcements(root, "en"))
    (sounds,) = root.glob("asterisk/sounds/en_*")
    english.mkdir(exist_ok=True)
    with (english / "transcripts.csv").open("w", encoding="utf-8") as transcripts:
        for name in TEST.read_text(encoding="utf-8").split():
            sound, written = sounds / f"{name}.g722", english / f"{name}.wav"
            written.parent.mkdir(exist_ok=True)
            wavfile.write(written, RATE, decoded(sound))
            transcripts.write(f"{name}||{spoken[sound]}\n")  # as in LJ Speech's metadata


if __name__ == "__main__":
    main()
