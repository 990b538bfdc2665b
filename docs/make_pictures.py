"""Renders the pictures that README shows, with the shipped model: ``python -m docs.make_pictures``."""

from pathlib import Path

from underpaint import Engine, Request

ROOT = Path(__file__).parent.parent
SKETCH = ROOT / "examples" / "sketch.png"
PICTURES = ROOT / "docs" / "pictures"
PROMPT = "oil painting, dramatic side light"
STRENGTHS = (0.45, 0.6, 0.75)
MEDIA = ("photograph", "watercolour", "pencil drawing")


def main() -> None:
    """The sketch at three strengths, and in the other media."""
    PICTURES.mkdir(exist_ok=True)
    engine = Engine()
    for strength in STRENGTHS:
        request = Request(source=SKETCH, prompt=PROMPT, strength=strength, seed=7)
        name = f"readme-{round(100 * strength)}.png"
        engine.render(request).save(PICTURES / name, overwrite=True)
    for medium in MEDIA:
        request = Request(source=SKETCH, prompt=medium, strength=0.6, seed=7)
        name = f"readme-{medium.split()[0]}.png"
        engine.render(request).save(PICTURES / name, overwrite=True)


if __name__ == "__main__":
    main()
