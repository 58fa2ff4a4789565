import subprocess
import sys
from pathlib import Path

import pytest

from scaling_search import analysis

ROOT = Path(__file__).parents[2]


def loaded_after(code):
    """The modules that a fresh Python has loaded after `code`."""
    show = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True).stdout.split())


def test_importing_analysis_loads_nothing_heavy():
    loaded = loaded_after("import scaling_search.analysis")
    assert not loaded & {"pandas", "numpy", "scipy", "matplotlib", "rich", "jax", "ray"}


def test_no_part_of_analysis_imports_jax_or_ray():
    files = sorted(file.relative_to(ROOT) for file in (ROOT / "analysis").rglob("*.py") if file.stem != "__init__")
    parts = ["scaling_search." + ".".join(file.with_suffix("").parts) for file in files]
    loaded = loaded_after("import " + ", ".join(parts))
    assert {"scaling_search.analysis.findings.step1", "scaling_search.analysis.figures.style"} <= set(parts) <= loaded
    assert not loaded & {"jax", "flax", "ray", "optax", "matplotlib.pyplot"}


def test_analysis_takes_from_the_engine_only_what_runs_leave_the_rule_and_errors():
    for file in (ROOT / "analysis").rglob("*.py"):
        lines = [line.strip() for line in file.read_text().splitlines()]
        imported = {line.split()[1] for line in lines if line.startswith("from scaling_search")}
        engine = {name for name in imported if not name.startswith("scaling_search.analysis")}
        allowed = {f"scaling_search.{name}" for name in ("store", "recorded", "rule", "errors", "places", "plain")}
        assert engine <= allowed, file


@pytest.mark.parametrize("name", analysis.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert getattr(analysis, name).__doc__
    assert name in dir(analysis)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = analysis.nothing
