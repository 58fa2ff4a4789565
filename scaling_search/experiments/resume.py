"""Continuing a run where it stopped, by the config in its manifest."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from scaling_search.config import Kind, Workers
from scaling_search.errors import UserError
from scaling_search.experiments import baseline, given_networks, method
from scaling_search.experiments.study import Study, carry_out
from scaling_search.family import Family
from scaling_search.places import Place
from scaling_search.runners.display import ProgressSetting
from scaling_search.runners.progress import Watcher
from scaling_search.store import RunDirectory, open_run

if TYPE_CHECKING:
    from scaling_search.analysis.of_run import Findings
    from scaling_search.data import ImageData

_SET_UP: dict[Kind, Callable[..., Study]] = {
    "method": method.set_up,
    "sweep": given_networks.set_up_sweep,
    "train": given_networks.set_up_training,
    "nas": baseline.set_up,
}


def resume(
    run: str | Place,
    *,
    family: Family | None = None,
    data: "ImageData | str | None" = None,
    workers: Workers | None = None,
    progress: ProgressSetting = "auto",
    watchers: Sequence[Watcher] = (),
) -> "Findings":
    """Continues any kind of run where it stopped, in its current folder.

    It does the steps that it was started for and no others. Finished trials are not trained again.

    Args:
        run: Folder of the run.
        family: The network family again, if the run was started with a Python object.
        data: The images again, if the run was started with arrays; or where they are now, such as "folder:NEW", if they
            have moved.
        workers: Where trials run.
        progress: "auto" shows a bar in a notebook and a line on a terminal; None shows nothing.
        watchers: Told of every trial as it ends.

    Returns:
        What the run has found.

    Raises:
        UserError: There is no such run, or what it needs is missing; the message says what.

    Examples:
        >>> from scaling_search import SweepConfig, replay_config, resume, sweep
        >>> findings = sweep(replay_config("tables/fashion_mnist.parquet", SweepConfig), progress=None)
        >>> again = resume(findings.run.path, progress=None)
        >>> again.sweep.equals(findings.sweep)
        True

    """
    directory = open_run(run)
    config: Any = directory.config()
    _check_given(directory, family, data)
    if isinstance(data, str):
        config, data = replace(config, data=data), None
    objects = {"data": data} if config.kind == "nas" else {"family": family, "data": data}
    return carry_out(
        config,
        partial(_SET_UP[config.kind], config, **objects),
        directory=directory,
        workers=workers,
        progress=progress,
        watchers=watchers,
    )


def _check_given(directory: RunDirectory, family: Family | None, data: Any) -> None:
    """Raises UserError where the run was started with an object that is not given again."""
    for name, thing in (("family", family), ("data", data)):
        if thing is None and name in directory.manifest().get("given", ()):
            raise UserError(
                f"{directory.path} was started from Python with {name}=",
                "a manifest cannot hold an object",
                f"continue it with scaling_search.resume({str(directory.path)!r}, {name}=...)",
            )
