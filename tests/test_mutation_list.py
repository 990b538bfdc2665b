"""The list of ``mutation_check`` keeps up with the code that it breaks."""

from tests.mutation_check import MUTATIONS, ROOT, TESTS


def test_every_mutation_finds_its_place_once() -> None:
    for mutation in MUTATIONS:
        module = ROOT / "src" / "underpaint" / f"{mutation.module}.py"
        found = module.read_text("utf-8").count(mutation.old)
        assert (found, mutation.module in TESTS) == (1, True), mutation
