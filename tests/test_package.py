"""What is built and installed, tried in an environment of its own, away from the checkout."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from scaling_search import __version__

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
BUILD_SDIST = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
# Reads a source with all that it includes, and compiles nothing: that takes longer than all else.
READS = """#!/bin/sh
set -e
case " $* " in *" -c "*)
  {0} "$@" -E
  for word; do [ "$before" = -o ] && object=$word; before=$word; done
  exec {0} -fPIC -x c++ -c /dev/null -o "$object" ;;
esac
exec {0} "$@"
"""


def ran(*words, **options):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def reading(folder):
    """The environment in which the compiler, if there is one, reads the sources and makes a library of nothing."""
    compiler = shutil.which("c++")
    if compiler is None:
        return dict(os.environ)
    quick = folder / "c++"
    quick.write_text(READS.format(compiler))
    quick.chmod(0o755)
    return {**os.environ, "CXX": str(quick), "CC": str(quick)}


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """Made from a copy of what is tracked, so that nothing else in the checkout comes in."""
    folder = tmp_path_factory.mktemp("sdist")
    tracked = ran("git", "-C", ROOT, "ls-files", "-z", "--", ":!tables", ":!docs", ":!notebooks", ":!tests").split("\0")
    for name in filter(None, tracked):
        if (ROOT / name).exists():
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "source" / name, follow_symlinks=False)
    ran(sys.executable, "-c", BUILD_SDIST, folder, cwd=folder / "source")
    (file,) = folder.glob("*.tar.gz")
    return file


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    """Made from the source distribution, as pip does it where there is no wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ("wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", folder, sdist)
    ran(*PIP, *build, cwd=folder, env=reading(folder))
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """An environment with the wheel in it, which borrows the packages it depends on from this one."""
    folder = tmp_path_factory.mktemp("installed")
    ran(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    ran(*PIP, "--python", python, "install", "--no-deps", "--no-index", wheel)
    place = Path(ran(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    # A line of a .pth file is a folder whose own .pth files, of this checkout for one, are not read.
    (place / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "venv" / "bin"


def away(folder, *words):
    """What a command prints in a folder that knows nothing of the checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return ran(*words, cwd=folder, env=environment)


def test_the_source_distribution_holds_files_and_no_links(sdist):
    with tarfile.open(sdist) as archive:
        members = {member.name.partition("/")[2]: member for member in archive.getmembers()}
    assert all(member.isfile() or member.isdir() for member in members.values())
    assert {"scaling_search/analysis/__init__.py", "scaling_search/baselines/resnet.py"} <= members.keys()
    for name in ("kernels.cc", "dense.cc", "ffi.cc", "amx.cc", "dense_ffi.cc", "kernels.h", "dense.h", "shapes.h"):
        assert members[f"scaling_search/native/{name}"].size > 0


def test_the_wheel_claims_no_name_but_its_own(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    top = {name.partition("/")[0] for name in names}
    assert top == {"scaling_search", f"scaling_search-{__version__}.dist-info"}


def test_the_wheel_holds_every_module_and_every_file_that_they_read(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert all(info.external_attr >> 28 in (0, 8) for info in archive.infolist()), "links"
    wanted = {"scaling_search/py.typed"}
    for package, ends in (("analysis", (".py", ".csv")), ("baselines", (".py",)), ("scaling_search", (".py",))):
        prefix = "" if package == "scaling_search" else "scaling_search/"
        files = (file for file in (ROOT / package).rglob("*") if file.suffix in ends)
        wanted |= {prefix + file.relative_to(ROOT).as_posix() for file in files}
    wanted |= {f"scaling_search/analysis/report/page/{file.name}" for file in ROOT.glob("analysis/report/page/*")}
    assert not wanted - names
    if shutil.which("c++"):
        assert [name for name in names if name.startswith("scaling_search/native/_kernels") and name.endswith(".so")]


def test_its_command_works_away_from_the_checkout(installed, tmp_path):
    program = installed / "scaling-search"
    assert "scaling-search run --phi 1" in away(tmp_path, program, "--help")
    rows = json.loads(away(tmp_path, program, "cost", "resnet50", "efficientnet_b0", "--format", "json"))
    assert [row["parameters"] for row in rows] == [25_557_032, 5_288_548]
    assert len(json.loads(away(tmp_path, program, "table", "published", "--format", "json"))) > 7


def test_its_python_works_away_from_the_checkout_and_reports_what_it_finds(installed, tmp_path):
    shutil.copy(ROOT / "tables" / "fashion_mnist.parquet", tmp_path)
    code = """
import scaling_search
from scaling_search import RunConfig, load_run, replay_config, sweep, SweepConfig
from scaling_search.analysis import load_run
from scaling_search.baselines.resnet import RESNET50
findings = sweep(replay_config("fashion_mnist.parquet", SweepConfig), progress=None)
print(findings.report(findings.run.path / "report.html"))
print(scaling_search.__file__)
"""
    page, package = away(tmp_path, installed / "python", "-c", code).split()
    assert (tmp_path / page).read_bytes().endswith(b"</html>\n")
    assert Path(package).is_relative_to(installed.parent)
