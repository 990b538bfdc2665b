"""Measure 5: whether every word does what it says, alone and together with others."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from training.evaluate.classifier import MediumNet, classifier, probabilities
from training.evaluate.colours import JUST_VISIBLE, moved
from training.evaluate.drawn import CLASSES
from training.evaluate.photographs import photographs
from training.evaluate.setting import Data, Pixels, Setting, table, verdict
from training.grading import PALETTES as PALETTE_NAMES
from training.light import LIGHTS as LIGHT_NAMES
from training.pictures import COLOURLESS, UNLIT
from training.vocabulary import LIGHTS, MEDIA, PALETTES

STRENGTH = 0.7
SIZE_PX = 256
COMBINATIONS, FEWER_COMBINATIONS = 50, 25
FEWER_WAYS = 2  # to say a name, in a sample: the plainest and another
LIKELIER = 0.1  # by how much a medium's probability must rise, unless it is the likeliest anyway
PLAIN = "photograph"  # what lights and palettes are tried on


@dataclass(frozen=True, slots=True)
class Combination:
    """A medium, a light and a palette on a photograph."""

    photograph: str
    medium: str
    light: str
    palette: str
    seed: int

    def prompt(self, *, without: str = "") -> str:
        """The plainest words, one of them left out."""
        words = {
            "medium": MEDIA[self.medium],
            "light": LIGHTS[self.light],
            "palette": PALETTES[self.palette],
        }
        return ", ".join(ways[0] for kind, ways in words.items() if kind != without)


def measure(setting: Setting) -> Data:
    """What each attribute of random combinations does, and each word alone, at 256².

    Returns:
        `combinations` (their words, and for each attribute how far the picture moved, and whether enough) and `words`
        (kind, name, words, how far, whether enough).
    """
    net, _ = classifier()
    sources = photographs(SIZE_PX)
    chosen = combinations(list(sources), COMBINATIONS if setting.thorough else FEWER_COMBINATIONS)
    return {
        "combinations": [one_combination(setting, net, sources, one) for one in chosen],
        "words": [*medium_words(setting, net, sources), *colour_words(setting, sources)],
    }


def combinations(names: Sequence[str], count: int) -> list[Combination]:
    """Random ones; a medium without colours can only be toned in sepia, and shows no neon."""
    rng = random.Random(5)
    media = [medium for medium in MEDIA if medium not in UNLIT]
    chosen = []
    for seed in range(count):
        medium = rng.choice(media)
        grey = medium in COLOURLESS
        lights = [light for light in LIGHT_NAMES[1:] if not (grey and light == "neon")]
        palette = "sepia" if grey else rng.choice(PALETTE_NAMES[1:])
        chosen.append(Combination(rng.choice(names), medium, rng.choice(lights), palette, seed))
    return chosen


def one_combination(
    setting: Setting, net: MediumNet, sources: dict[str, Pixels], one: Combination
) -> Data:
    """How far each word moves the picture, against the render that differs in lacking it."""

    def paint(prompt: str) -> Pixels:
        return setting.paint(sources[one.photograph], prompt, strength=STRENGTH, seed=one.seed)

    whole = paint(one.prompt())
    found: Data = {"prompt": one.prompt(), "photograph": one.photograph}
    found["medium"] = likelier(net, one.medium, paint(one.prompt(without="medium")), whole)
    for kind, name in (("light", one.light), ("palette", one.palette)):
        by = moved(name, paint(one.prompt(without=kind)), whole)
        found[kind] = {"name": name, "by": by, "moved": by >= JUST_VISIBLE}
    return found


def likelier(net: MediumNet, medium: str, before: Pixels, after: Pixels) -> Data:
    """How much likelier a medium became, and whether by enough or so much that nothing is likelier."""
    chances = probabilities(net, after)
    place = CLASSES.index(medium)
    by = float(chances[place] - probabilities(net, before)[place])
    return {"name": medium, "by": by, "moved": by >= LIKELIER or int(chances.argmax()) == place}


def medium_words(setting: Setting, net: MediumNet, sources: dict[str, Pixels]) -> list[Data]:
    """Each way to say a medium: whether the render is called by its name."""
    found: list[Data] = []
    for medium, ways in MEDIA.items():
        for i, words in enumerate(sample(setting, ways)):
            source = sources[list(sources)[i % len(sources)]]
            chances = probabilities(net, setting.paint(source, words, strength=STRENGTH))
            by, known = (
                float(chances[CLASSES.index(medium)]),
                CLASSES[int(chances.argmax())] == medium,
            )
            found.append(
                {"kind": "medium", "name": medium, "words": words, "by": by, "moved": known}
            )
    return found


def colour_words(setting: Setting, sources: dict[str, Pixels]) -> list[Data]:
    """Each way to say a light or a palette: whether a photograph moves as it should."""
    plain = {
        name: setting.paint(source, PLAIN, strength=STRENGTH) for name, source in sources.items()
    }
    found: list[Data] = []
    for kind, names in (("light", LIGHTS), ("palette", PALETTES)):
        for name, ways in list(names.items())[1:]:  # the first is what a picture has anyway
            for i, words in enumerate(sample(setting, ways)):
                photograph = list(sources)[i % len(sources)]
                made = setting.paint(sources[photograph], f"{PLAIN}, {words}", strength=STRENGTH)
                by = moved(name, plain[photograph], made)
                found.append(
                    {
                        "kind": kind,
                        "name": name,
                        "words": words,
                        "by": by,
                        "moved": by >= JUST_VISIBLE,
                    }
                )
    return found


def sample(setting: Setting, ways: Sequence[str]) -> Sequence[str]:
    """All ways to say a name, or the first and the last few."""
    return ways if setting.thorough else [ways[0], *ways[1:][-(FEWER_WAYS - 1) :]]


def lines(found: Data) -> list[str]:
    """The figures, to read."""
    written, everything = [], []
    rows = []
    for kind in ("medium", "light", "palette"):
        passed = [one[kind]["moved"] for one in found["combinations"]]
        everything += passed
        failed = sorted(
            {one[kind]["name"] for one in found["combinations"] if not one[kind]["moved"]}
        )
        rows.append([kind, f"{sum(passed)} of {len(passed)}", ", ".join(failed)])
    written += table(["in combinations", "moved", "sometimes not"], rows)
    written.append(
        verdict(
            "attributes that the picture moves towards", sum(everything) / len(everything), 0.85
        )
    )
    known = [one for one in found["words"] if one["moved"]]
    written += [
        "",
        f"Words that do what they say, alone on a photograph: {len(known)} of {len(found['words'])}",
        "",
    ]
    names = dict.fromkeys((one["kind"], one["name"]) for one in found["words"])
    return [
        *written,
        *table(["kind", "name", "known", "not known"], [word_row(found, *key) for key in names]),
    ]


def word_row(found: Data, kind: str, name: str) -> list[str]:
    """A name and which of its words work."""
    ones = [one for one in found["words"] if (one["kind"], one["name"]) == (kind, name)]
    said = [
        ", ".join(one["words"] for one in ones if one["moved"] == known) for known in (True, False)
    ]
    return [kind, name, *said]
