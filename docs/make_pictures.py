"""Renders the pictures that README shows, with the shipped model: ``python -m docs.make_pictures``."""

from pathlib import Path

from underpaint import Engine, Request

ROOT = Path(__file__).parent.parent
SKETCH = ROOT / "examples" / "sketch.png"
PICTURES = ROOT / "docs" / "pictures"
PROMPT = "gouache"
STRENGTHS = (0.3, 0.6, 0.75)
OTHERS = {
    "watercolour": "watercolour",
    "oil": "oil painting",
    "moonlight": "watercolour, moonlight",
}


def main() -> None:
    """The sketch at three strengths, and after other prompts."""
    PICTURES.mkdir(exist_ok=True)
    engine = Engine()
    for strength in STRENGTHS:
        request = Request(source=SKETCH, prompt=PROMPT, strength=strength, seed=7)
        name = f"readme-{round(100 * strength)}.png"
        engine.render(request).save(PICTURES / name, overwrite=True)
    for name, prompt in OTHERS.items():
        request = Request(source=SKETCH, prompt=prompt, strength=0.6, seed=7)
        engine.render(request).save(PICTURES / f"readme-{name}.png", overwrite=True)


if __name__ == "__main__":
    main()
