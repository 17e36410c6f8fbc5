"""Spoken lines for training, and lines that are held out by construction.

The seed of a line determines words, language, voice, rate and pitch. Held out are seeds (and thus characters, since a
scene has the seed of its line), voices, and sentences, the latter by a hash of their text, so that no sentence is in
both splits.
"""

from __future__ import annotations

import zlib
from functools import cache
from pathlib import Path

import numpy as np

from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.media import audio
from lipsync_lab.synthesis.speech import LANGUAGES, SAMPLE_RATE, VARIANTS, Phoneme, Speech, join, silence, speak

SPLITS = ("train", "validation")
#: Smaller seeds are for training, seeds from here on for validation.
FIRST_HELD_OUT = 1_000_000_000
#: Voice variants for validation only, in all languages.
HELD_OUT_VARIANTS = ("m4", "f5", "Annie", "Lee", "boris", "grandpa", "linda")
_TRAIN_VARIANTS = tuple(variant for variant in VARIANTS if variant not in HELD_OUT_VARIANTS)
#: One sentence in this number is held out.
_HELD_OUT_SENTENCES = 8
#: Ticks a second in GRID's alignments.
_TICKS = 25_000

# words that cover the mouth shapes: closures, rounded, spread and open vowels, teeth on lip
_WORDS = {
    "en": """
        a about above after again all and another apple arm ask autumn away baby back balloon banana bath bear beautiful
        before begin behind below best better big bird blue boat book both bottom bowl boy branch bread bridge bring
        brother brown build butter button by call camera carpet castle catch chair cheese child church city clear climb
        cloud coffee cold come cousin cow dance daughter day deep did dinner dog door down draw dream drive eat egg
        evening every eye face fall family farm father feather feel few field find finger fire fish five floor flower
        fly follow food foot forest forget four fox friend from fruit garden ghost give glass go gold good grandma great
        green happy harbour have he hear heavy help her hill home honey hope horse house how hundred I ice imagine in
        island it jam join jump just keep kitchen kitten know ladder lamp large laugh leaf left lemon letter light lion
        listen little long look loud love lovely low machine mama make man many map market maybe me meadow milk minute
        mirror money moon more morning mother mountain mouse move much music my name never new next night no noise nose
        not nothing now number ocean of off often old on once one only open orange other our out over owl paper park
        people perhaps piano picture pink place play please pocket pond poor possible potato pretty problem purple push
        put quick quiet rabbit rain read ready red remember rice right river road room rope round run sail salt same
        sand saw say school sea see seven shadow she sheep ship shoe shop show shoulder silver simple sing sister six
        sky sleep slow small smile snow so soft some song soon soup south speak spoon spring square stand star start
        stone story street strong summer sun surprise swim table take talk tall tea teacher tell that the their them
        there these they thing think this thousand three through thumb time to today together tomorrow too town tree
        trouble true turn twelve two umbrella under until up us valley very village violin voice wait walk wall want
        warm was watch water way we weather week well were what when where which white who why wide wife will wind
        window winter with woman wonder wood word work world would yellow yes you young your zebra
    """,
    "de": """
        Abend aber alle alt Apfel auch auf Auge Baum Berg Bild bitte blau Blume Boot Brot Brücke Bruder Buch da danke
        das dein der die doch drei du Ei ein Eis Fenster Feuer Fisch Fluss Frau Freund früh fünf für Garten geht gelb
        Geschichte gestern groß grün gut Haus Hemd heute hier Himmel Hof Hund ich immer jetzt Junge kalt Katze kein Kind
        klein komm König Kuchen lachen Lampe langsam laut leben Licht lieb Löffel Maus mein Mensch Milch mit Mond morgen
        Mutter Nacht nein neu nicht noch nur oben oft Papa Pferd Platz rot rufen Schiff schlafen Schnee schnell schön
        Schule schwarz sehr sieben sie singen Sommer Sonne Spiel Stadt Stein Straße Stuhl süß Tag tanzen Tisch tief Topf
        traurig über Uhr und unten Vater viel vier Vogel von vor warum Wasser weiß Welt wenn wer Wetter wie wir wo Woche
        Wolke wollen Zeit Zimmer Zug zwei zwölf
    """,
    "fr": """
        ami animal après arbre argent assez aujourd'hui autre avec avion beau beaucoup bien blanc bleu boire bois bon
        bonjour bouche bras café campagne chambre chanson chat chaud chemin cheval chien ciel cinq clé coeur coin
        comment content côté couleur cuisine dame dans demain deux dire donner dormir eau école encore enfant ensemble
        entrer été étoile facile famille femme fenêtre fête feu fille fleur forêt frère froid fromage garçon gâteau
        grand gris heureux heure hiver homme huit ici image île jamais jardin jaune jeune jour joli jouer lait lampe
        livre loin lune lune main maison malade maman manger marché matin mer merci midi monde montagne mot musique
        nager neige noir nom non nouveau nuage nuit oeuf oiseau orange oui ouvrir pain papa papier parler partir petit
        peur pied place plage pluie poisson pomme pont porte pour premier printemps quand quatre qui quoi regarder rire
        robe rouge route rue sable salle sel sept soeur soir soleil sous souvent table temps tête thé toujours train
        travail trois trop vache vent venir verre vert vieux ville vin vingt voir voiture voix vouloir vrai
    """,
    "es": """
        abrir abuelo agua ahora alegre algo alto amarillo amigo animal año aquí árbol arriba arroz azul bailar bajo
        barco beber bien blanco boca bonito bosque brazo bueno buscar caballo cabeza calle cama camino campo cantar cara
        casa cerca cielo cinco ciudad claro coche cocina color comer cómo correr cosa cuatro cuerpo día dinero dormir
        dos dulce empezar encima escuela esperar estrella familia feliz fiesta flor frío fuego fuente fuerte gato gente
        grande guitarra hablar hacer hermano hijo hola hombre hoja huevo isla jardín joven jugar lago largo leche lejos
        libro limón lluvia luna luz llamar madre mañana mano manzana mar mesa mirar mucho mujer mundo música nada negro
        nieve niño noche nombre nosotros nube nueve nuevo ojo otoño pájaro palabra pan papel pelo pequeño perro pez
        playa poco pueblo puente puerta querer queso reír río rojo ropa saber sal seis señor siempre siete silla sol
        sombra sueño tarde té tiempo tierra todo tomar trabajo tres triste uno vaca valle vaso ventana verano verde
        viejo viento vino vivir volver voz zapato
    """,
    "it": """
        acqua albero allegro alto amico anche ancora animale anno aprire arancia aria azzurro bambino bello bene bere
        bianco bocca bosco braccio buono caffè caldo camera campo cane cantare capire cappello casa cavallo cena
        chiamare chiaro chiave cielo cinque città colore come correre cosa cuore dare dieci dire dolce domani donna
        dormire dove due erba estate facile famiglia fare felice festa figlio finestra fiore fiume foglia forse forte
        fratello freddo fuoco gatto gente giallo giardino giorno giovane grande grazie guardare ieri insieme inverno
        isola lago latte leggere letto libro lontano luce lungo luna madre mai mangiare mano mare mattina mela mese
        mettere mondo montagna molto musica nave nebbia neve niente nome notte nove nuovo nuvola occhio oggi ombra ora
        otto padre pane parlare parola paura pesce piazza piccolo piede pioggia pizza poco ponte porta presto primo
        quattro ragazzo ridere rosso sabbia sale scarpa scuola sedia sempre sera sette sole sopra sorella spiaggia
        stella strada tavola tempo terra testa treno tre triste tutto uovo uomo vecchio vedere vento verde vero vetro
        via vino vita voce volare zio zucchero
    """,
}


def seeds(part: str, start: int, count: int) -> range:
    """Return seeds of a split.

    Raises
    ------
    ParameterError
        There is no such split, or the seeds are out of its range.
    """
    if part not in SPLITS:
        raise ParameterError(f"there is no split {part!r}; take {' or '.join(SPLITS)}")
    if not 0 <= start <= start + count <= FIRST_HELD_OUT:
        raise ParameterError(f"seeds {start} to {start + count} are not 0 to {FIRST_HELD_OUT}")
    first = start + (FIRST_HELD_OUT if part == "validation" else 0)
    return range(first, first + count)


def is_held_out(seed: int) -> bool:
    """Return whether a seed is for validation."""
    return seed >= FIRST_HELD_OUT


def sentence(rng: np.random.Generator, language: str, held_out: bool) -> str:
    """Return a random sentence of five to nine words that is held out or not; a hash of the words decides that."""
    words = _WORDS[language[:2]].split()
    while True:
        chosen = [words[index] for index in rng.integers(len(words), size=rng.integers(5, 10))]
        if len(chosen) > 6:
            chosen[3] += ","  # a pause
        text = " ".join(chosen).capitalize() + "."
        if sentence_is_held_out(text) == held_out:
            return text


def sentence_is_held_out(text: str) -> bool:
    """Return whether a sentence is for validation."""
    return zlib.crc32(text.encode()) % _HELD_OUT_SENTENCES == 0


def line(seed: int) -> Speech:
    """Return the line of a seed, with silence before and after it."""
    rng = np.random.default_rng([seed, 0x11E])
    held_out = is_held_out(seed)
    # half of the lines are English, which has most phonemes of the other languages
    language = str(rng.choice(LANGUAGES, p=(0.3, 0.2, 0.15, 0.15, 0.1, 0.1)))
    text = sentence(rng, language, held_out)
    variants = HELD_OUT_VARIANTS if held_out else _TRAIN_VARIANTS
    variant = str(variants[rng.integers(len(variants))])
    rate, pitch = int(rng.integers(125, 195)), int(rng.integers(25, 80))
    before, after = rng.uniform(0.1, 0.7), rng.uniform(0.1, 0.7)
    spoken = speak(text, voice=language, variant=variant, rate=rate, pitch=pitch)
    return join(silence(before), spoken, silence(after))


def as_recorded(rng: np.random.Generator, wave: np.ndarray) -> np.ndarray:
    """Return a synthetic voice at a random level, in half of the cases with noise.

    The silence of a synthetic voice is exactly zero, which does not occur in recordings.
    """
    wave = wave * rng.uniform(0.25, 1.0) / max(float(np.abs(wave).max()), 1e-3)
    if rng.random() < 0.5:
        noise = rng.standard_normal(len(wave))
        if rng.random() < 0.5:
            noise = np.convolve(noise, np.ones(8) / 8**0.5, mode="same")  # low-pass
        wave = wave + noise * 10 ** rng.uniform(-3.6, -2.2)
    return np.clip(wave, -1, 1).astype(np.float32)


def aligned(sound: str | Path, alignment: str | Path, voice: str = "film") -> Speech:
    """Return a recording with word alignments as a `Speech`.

    Parameters
    ----------
    sound : path
        English, any file with sound.
    alignment : path
        Lines of ``start end word`` in 25,000 ticks a second, as in the GRID corpus; "sil" and "sp" are silence.
    voice : str
        Name of the speaker.

    Returns
    -------
    Speech
        The phonemes of each word are those of espeak-ng, with the same relative durations.

    Raises
    ------
    MediaError
        One of the files cannot be read.
    """
    wave = audio.load(sound)
    try:
        rows = [row.split() for row in Path(alignment).read_text(encoding="utf-8").splitlines() if row.strip()]
        words = [(int(start) / _TICKS, int(end) / _TICKS, word) for start, end, word in rows]
    except (OSError, ValueError) as error:
        raise MediaError(
            f"{alignment}: is no alignment of lines 'start end word' ({error}); give GRID's .align"
        ) from None
    duration, phonemes, now = len(wave) / SAMPLE_RATE, [], 0.0
    for start, end, word in words:
        start, end = max(start, now), min(end, duration)
        if word in ("sil", "sp") or end <= start:
            continue
        if start > now:
            phonemes.append(Phoneme("", now, start))
        phonemes += [
            Phoneme(sound.symbol, start + a * (end - start), start + b * (end - start), sound.stress)
            for sound, a, b in _spread(word)
        ]
        now = end
    if now < duration:
        phonemes.append(Phoneme("", now, duration))
    return Speech(wave, tuple(phonemes), " ".join(word for *_, word in words if word not in ("sil", "sp")), voice)


@cache
def _spread(word: str) -> tuple[tuple[Phoneme, float, float], ...]:
    """Return the phonemes of a word, with start and end as shares of its duration."""
    # GRID contains single letters: in lower case "a" is the article
    spoken = speak(word.upper() if len(word) == 1 else word)
    sounds = [phoneme for phoneme in spoken.phonemes if phoneme.symbol]
    lengths = np.array([sound.end - sound.start for sound in sounds])
    edges = np.concatenate([[0.0], np.cumsum(lengths / lengths.sum())]).tolist()
    return tuple(zip(sounds, edges[:-1], edges[1:], strict=True))
