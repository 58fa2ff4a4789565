"""The same targets by Atheris, which follows what code an input reaches and goes on from those that reach more."""

import sys
import tempfile
import warnings
from pathlib import Path
from random import Random

import atheris


def fuzz(target: str, inputs: int, seed: int, out: Path | None) -> None:
    """Reads so many inputs, from those that our own mutations make. Ends the process, at the first finding with 77."""
    with atheris.instrument_imports(include=["scaling_search"]):
        import scaling_search.data.sources
        import scaling_search.recorded  # noqa: F401
        from tests.fuzz.targets import made

        read, mutate = made(target)
    warnings.simplefilter("ignore")

    def altered(content: bytes, most: int, number: int) -> bytes:
        rng = Random(number)
        found = mutate(rng) if rng.random() < 0.5 else atheris.Mutate(content, most)
        return found[:most]

    with tempfile.TemporaryDirectory() as corpus:
        for number in range(200):
            (Path(corpus) / str(number)).write_bytes(mutate(Random(number)))
        found = f"-artifact_prefix={out or Path.cwd()}/{target}-"
        options = [f"-runs={inputs}", f"-seed={seed + 1}", "-max_len=65536", "-rss_limit_mb=6000", "-timeout=60", found]
        atheris.Setup([sys.argv[0], *options, corpus], read, custom_mutator=altered)
        atheris.Fuzz()
