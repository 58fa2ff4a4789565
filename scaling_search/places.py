"""Where files lie: in a folder of this machine, or on any file system that fsspec knows, such as s3://BUCKET/FOLDER.

A `Remote` has those methods of `pathlib.Path` that a run needs, so that whoever has a `Place` need not know which of
the two it is. What differs is what an object store lacks: folders are nothing but parts of names, an object appears
whole as it is (there is nothing to rename), and there are no locks (see `lease`).

Every call that fails for a reason that may pass is repeated a few times. What is raised in the end is what a file would
raise where something is missing, or is there already, and else an UnreachableError, whatever the file system raises.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from functools import partial
from glob import glob
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias, TypeVar

from scaling_search.errors import UserError, in_one_line, printable

T = TypeVar("T")

PAUSES = (1.0, 3.0, 9.0)
"""Seconds before a call is made again, on top of what a file system tries by itself."""
AT_ONCE = 256
"""Objects that are asked for together."""
_OF_FILES = (FileNotFoundError, FileExistsError, IsADirectoryError)
_SETTLED = (*_OF_FILES, PermissionError, NotImplementedError, ValueError, TypeError)
"""What would be raised again."""


class UnreachableError(UserError, OSError):
    """Something elsewhere can be neither read nor written: the network, credentials, rights or the bucket are missing.

    A UserError, as there is nothing that a program can do about it, and an OSError, as it would be for a file.
    """

    def __init__(self, place: "Remote", reason: str):
        super().__init__(f"cannot reach {place}: {reason}", hint="run the same command again once it can be reached")


@dataclass(frozen=True)
class Status:
    """What is known of an object."""

    st_size: int
    """Bytes."""
    st_mtime: float
    """When it was written, in seconds since 1970; 0 where the file system does not say."""

    @property
    def st_mtime_ns(self) -> int:
        """The same in nanoseconds."""
        return int(self.st_mtime * 1e9)


@dataclass(frozen=True, order=True)
class Remote:
    """An object, or a folder of objects, by its URL. Goes to other processes, which reach it by themselves."""

    url: str
    _listed: dict[str, Any] | None = field(default=None, compare=False, repr=False)
    """What a listing said of it."""
    patient: bool = field(default=True, compare=False, repr=False)
    """Whether calls that fail are repeated."""

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: "str | Path") -> "Remote":
        return Remote(f"{self.url.rstrip('/')}/{name}", patient=self.patient)

    @property
    def name(self) -> str:
        """The last part of its name."""
        return self.url.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """Its name without the ending."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """How its name ends, with the dot."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> "Remote":
        """The folder it lies in."""
        return Remote(self.url.rpartition("/")[0])

    def with_name(self, name: str) -> "Remote":
        """What lies beside it under another name."""
        return self.parent / name

    def hasty(self) -> "Remote":
        """The same, whose calls are made once."""
        return replace(self, patient=False)

    def resolve(self) -> "Remote":
        """Itself: a URL means the same everywhere."""
        return self

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Does nothing: a folder is there as soon as something is in it."""

    def rmdir(self) -> None:
        """Does nothing: a folder is gone as soon as nothing is in it."""

    def exists(self) -> bool:
        """Whether there is such an object or folder."""
        return self._try(lambda files, path: bool(files.exists(path)))

    def is_file(self) -> bool:
        """Whether it is an object."""
        if self._listed is not None:
            return bool(self._listed["type"] == "file")
        return self._try(lambda files, path: bool(files.isfile(path)))

    def is_dir(self) -> bool:
        """Whether something lies in it."""
        return self._try(lambda files, path: bool(files.isdir(path)))

    def read_bytes(self) -> bytes:
        """The object's content."""
        return self._try(lambda files, path: bytes(files.cat_file(path)))

    def read_text(self, encoding: str = "utf-8") -> str:
        """The object's content as text."""
        return self.read_bytes().decode(encoding)

    def write_bytes(self, content: bytes) -> None:
        """Writes or replaces the object, which appears whole."""
        self._try(lambda files, path: files.pipe_file(path, content))

    def create(self, content: bytes) -> None:
        """Writes the object where there is none. Raises FileExistsError, if the file system can tell in one step."""
        tries: list[None] = []

        def once(files: Any, path: str) -> None:
            tries.append(None)
            try:
                files.pipe_file(path, content, mode="create")
            except FileExistsError:
                # A first try may have come through although its answer did not.
                if len(tries) == 1 or files.cat_file(path) != content:
                    raise
            except (TypeError, ValueError, NotImplementedError):
                files.pipe_file(path, content)

        self._try(once)

    def unlink(self, missing_ok: bool = False) -> None:
        """Removes the object."""
        try:
            self._try(lambda files, path: files.rm_file(path))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def copy_to(self, name: str) -> None:
        """Copies the object beside itself, over what has that name."""
        target = self.with_name(name)._path
        self._try(lambda files, path: files.cp_file(path, target))

    def iterdir(self) -> "Iterator[Remote]":
        """What lies in the folder; nothing where there is no such folder."""
        return iter(self._listing(lambda files, path: files.ls(path, detail=True)))

    def glob(self, pattern: str) -> "Iterator[Remote]":
        """What lies in the folder under names that match, such as `*.json`."""
        return (one for one in self.iterdir() if fnmatch(one.name, pattern))

    def rglob(self, pattern: str) -> "Iterator[Remote]":
        """Objects in the folder, and in folders of it, whose names match."""
        found = self._listing(lambda files, path: [*files.find(path, detail=True).values()])
        return (one for one in found if fnmatch(one.name, pattern))

    def matches(self) -> "list[Remote]":
        """What there is under names that match this one, a pattern."""
        scheme = self.url.partition("://")[0]
        found = self._try(lambda files, path: sorted(map(str, files.glob(path))))
        return [Remote(f"{scheme}://{name.lstrip('/')}") for name in found]

    def stat(self) -> Status:
        """Its size and age, as they were when it was listed, if it was."""
        about = self._listed or self._try(lambda files, path: dict(files.info(path)))
        times = (about.get(name) for name in ("LastModified", "mtime", "updated", "last_modified", "created"))
        written: Any = next((one for one in times if one is not None), 0.0)
        return Status(
            int(about.get("size") or 0),
            float(written.timestamp() if hasattr(written, "timestamp") else written),
        )

    def read_each(self, names: Sequence[str]) -> Iterator[bytes | OSError]:
        """The content of each object in the folder, in order, many at a time."""
        for begin in range(0, len(names), AT_ONCE):
            paths = [f"{self._path}/{name}" for name in names[begin : begin + AT_ONCE]]
            found = self._try(partial(_all_of, paths))
            for path in paths:
                content = found.get(path, FileNotFoundError(path))
                yield content if isinstance(content, bytes) else FileNotFoundError(f"{self.url}: there is no {path}")

    @property
    def _path(self) -> str:
        return _reached(self.url)[1]

    def _listing(self, list_: Callable[[Any, str], Iterable[dict[str, Any]]]) -> "list[Remote]":
        def listed(files: Any, path: str) -> list[Remote]:
            try:
                found = [(about["name"].rstrip("/"), about) for about in list_(files, path)]
            except FileNotFoundError as error:
                if _no_bucket(error):
                    raise
                return []
            # A folder's own name is listed where somebody has made an empty object of it.
            own = path.strip("/")
            within = [((name.partition(own)[2] if own else name).lstrip("/"), about) for name, about in found]
            return sorted(Remote(f"{self.url.rstrip('/')}/{name}", about) for name, about in within if name)

        return self._try(listed)

    def _try(self, call: Callable[[Any, str], T]) -> T:
        files, path = _reached(self.url)
        for pause in (*(PAUSES if self.patient else ()), None):
            try:
                return call(files, path)
            except Exception as error:  # Each file system has errors of its own.
                if isinstance(error, _OF_FILES) and not _no_bucket(error):
                    raise
                if pause is None or isinstance(error, _SETTLED) or _lacks_credentials(error):
                    raise UnreachableError(self, _reason(error)) from error
            time.sleep(pause)
        raise AssertionError


Place: TypeAlias = Path | Remote
"""A file or a folder, here or elsewhere."""


def place_of(name: "str | Place") -> Place:
    """What a name or a URL stands for. Raises UserError for a URL of a file system that is not known or installed."""
    if isinstance(name, Remote):
        return name
    if not is_url(name):
        return Path(name).expanduser()
    scheme, _, path = str(name).partition("://")
    if scheme == "file":
        return Path(path)
    if scheme != "memory" and not path.partition("/")[0]:
        raise UserError(f"{str(name)!r} given: it names no bucket", f"as in {scheme}://BUCKET/FOLDER")
    url = str(name).rstrip("/")
    _reached(url)
    return Remote(url)


def is_url(name: "str | Place") -> bool:
    """Whether a name says on which file system it is, such as s3://."""
    scheme, colon, _ = str(name).partition("://")
    return isinstance(name, str | Remote) and bool(colon) and scheme.isalnum()


def matching(pattern: str) -> list[Place]:
    """What there is under names that match a pattern, such as "runs/*", sorted."""
    place = place_of(pattern)
    if isinstance(place, Remote):
        return [*place.matches()]
    return [Path(name) for name in sorted(glob(str(place), recursive=True))]  # noqa: PTH207


def inside(folder: Place, pattern: str = "*") -> list[Place]:
    """What lies in a folder under names that match, sorted; nothing where there is no such folder."""
    found: list[Any] = sorted(folder.glob(pattern))
    return found


def rename(file: Place, name: str) -> None:
    """Gives a file another name in its folder, over what has it."""
    if isinstance(file, Remote):
        if file.name != name:
            file.copy_to(name)
            file.unlink(missing_ok=True)
    else:
        file.replace(file.with_name(name))


def contents(files: Sequence[Place]) -> Iterator[bytes | OSError]:
    """What is in each of some files of one folder, in order; what keeps one from being read stands in its place."""
    first = files[0] if files else None
    if isinstance(first, Remote):
        yield from first.parent.read_each([file.name for file in files])
        return
    for file in files:
        try:
            yield file.read_bytes()
        except OSError as error:
            yield error


def _no_bucket(error: Exception) -> bool:
    """Whether it is the bucket that was not found, and not something in it."""
    return "bucket does not exist" in str(error)


def _all_of(paths: list[str], files: Any, _: str) -> dict[str, bytes | Exception]:
    found: dict[str, Any] = files.cat(paths, on_error="return")
    for content in found.values():
        # One that has gone since it was listed is no reason to ask for the others again.
        if isinstance(content, Exception) and not isinstance(content, FileNotFoundError):
            raise content
    return found


def _reached(url: str) -> tuple[Any, str]:
    """The file system of a URL, and what the URL is called there. Raises UserError where there is none."""
    import fsspec

    try:
        # Listings are not kept: other processes write too.
        files, path = fsspec.url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        raise UserError(f"{url!r} given: {printable(str(error))}", hint=f"try pip install {_package(url)}") from None
    except Exception as error:  # What is no URL raises one or the other.
        raise UserError(
            f"{printable(url)!r} given: {in_one_line(error).removeprefix('ValueError: ')}",
            "a folder, or a URL such as s3://BUCKET/FOLDER or gs://BUCKET/FOLDER",
        ) from None
    return files, path


def _package(url: str) -> str:
    scheme = url.partition("://")[0]
    packages = {"s3": "'scaling-search[s3]'", "s3a": "'scaling-search[s3]'", "gs": "gcsfs", "gcs": "gcsfs"}
    return packages.get(scheme, f"what fsspec needs for {scheme}://")


def _lacks_credentials(error: BaseException) -> bool:
    return "Credential" in type(error).__name__


def _reason(error: BaseException) -> str:
    text = " ".join(printable(str(error)).split())[:300]
    if _lacks_credentials(error):
        return f"there are no credentials for it: {text}"
    return text or type(error).__name__
