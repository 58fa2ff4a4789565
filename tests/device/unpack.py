"""Makes a folder on PYTHONPATH hold zipped packages, and this checkout's metadata: `python unpack.py SITE ZIP...`."""

import configparser
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
RAYS_PROGRAMS = ("raylet/raylet", "gcs/gcs_server")


def unpack(archive: Path, site: Path) -> None:
    with zipfile.ZipFile(archive) as source:
        source.extractall(site)
    for program in RAYS_PROGRAMS:
        file = site / "ray" / "core" / "src" / "ray" / program
        if file.exists():
            # A zip file's members come out without their modes.
            file.chmod(0o755)


def write_metadata(site: Path) -> None:
    """What an installation would write: families are found through it."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    folder = site / "scaling_search-0.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: scaling-search\nVersion: 0\n")
    groups = setup["options.entry_points"]
    (folder / "entry_points.txt").write_text("".join(f"[{name}]\n{groups[name].strip()}\n\n" for name in groups))


if __name__ == "__main__":
    place, *archives = map(Path, sys.argv[1:])
    for archive in archives:
        if archive.exists():
            unpack(archive, place)
    write_metadata(place)
