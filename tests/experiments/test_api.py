"""What `from scaling_search import ...` gives: documented, typed, and its examples run."""

import ast
import dataclasses
import doctest
import inspect
from dataclasses import replace

import pytest

import scaling_search
from scaling_search import RunConfig, SweepConfig, UserError, findings_of, load_run, replay_config, resume, run, sweep

pytestmark = pytest.mark.usefixtures("drawn_at_once")
FUNCTIONS = [name for name in scaling_search.__all__ if inspect.isfunction(getattr(scaling_search, name))]
EXPERIMENTS = ("run", "sweep", "train", "nas", "resume", "record", "costs", "fit")


def test_every_public_name_is_there_documented_and_typed_where_a_checker_looks():
    tree = ast.parse(inspect.getsource(scaling_search))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {alias.name for node in block.body for alias in node.names}
    assert typed | {"__version__"} == set(scaling_search.__all__)
    assert not [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    for name in scaling_search.__all__:
        assert getattr(scaling_search, name).__doc__
    assert dir(scaling_search) == sorted(scaling_search.__all__)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_function_says_what_it_takes_gives_and_raises(name):
    text = inspect.getdoc(getattr(scaling_search, name))
    for part in ("Args:", "Returns:", "Raises:", "Examples:"):
        assert f"\n{part}\n" in text
    for parameter in inspect.signature(getattr(scaling_search, name)).parameters:
        assert f"\n    {parameter}: " in text


@pytest.mark.parametrize("name", [*EXPERIMENTS, "replay_config"])
def test_its_example_runs(name, here):
    (example,) = doctest.DocTestFinder(recurse=False).find(getattr(scaling_search, name), name)
    example.globs |= vars(scaling_search) | {"replace": replace, "RunConfig": RunConfig}
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    assert runner.run(example).attempted and not runner.failures


def test_a_run_is_judged_written_down_and_drawn(here):
    findings = run(replay_config("tables/fashion_mnist.parquet", RunConfig), progress=None)
    assert findings.winner.val_accuracy == findings.step1.query("leads")["val_accuracy"].iloc[0]
    assert set(findings.step2["model"]) == {f"B{index}" for index in range(8)}
    assert findings.frontier["on_frontier"].any()
    assert findings.figure("frontier").axes and findings.figure("grid").axes
    page = findings.report("report.html")
    assert page.read_bytes().endswith(b"</html>\n")
    again = findings_of(load_run(findings.run.path))
    assert again.winner == findings.winner
    names = {file.name for file in findings.run.path.iterdir()}
    assert {"step1.csv", "step2.csv", "frontier.parquet", "accuracy_against_multiply_adds.svg"} <= names


def test_without_progress_nothing_is_printed(here, capfd):
    config = replace(replay_config("tables/fashion_mnist.parquet", SweepConfig), dims=("w",), name="quiet")
    sweep(config, progress=None)
    assert capfd.readouterr() == ("", "")
    sweep(config)
    printed = capfd.readouterr()
    assert printed.out == "" and "trials done" in printed.err


def test_an_output_that_cannot_be_written_costs_neither_the_others_nor_the_run(here):
    config = replay_config("tables/fashion_mnist.parquet", SweepConfig)
    folder = here / "runs" / config.run_name / "accuracy_against_multiply_adds.png"
    folder.mkdir(parents=True)
    with pytest.warns(UserWarning, match=r"accuracy_against_multiply_adds.png could not be written"):
        findings = sweep(config, progress=None)
    assert findings.frontier is not None
    assert (folder.parent / "accuracy_against_multiply_adds.svg").is_file()


@dataclasses.dataclass(frozen=True)
class Unknown:
    """A family that no name leads to."""

    name: str = "mine"
    resolution: int = 8

    def build(self, scale, num_classes, *, rngs):
        from examples.plain_cnn import PlainCNNFamily

        return PlainCNNFamily().build(scale, num_classes, rngs=rngs)


@pytest.mark.slow
def test_a_family_and_images_of_one_s_own_train_on_ray_s_workers_and_are_asked_for_again(here):
    import numpy as np

    from scaling_search import Recipe, Split, TrainConfig, from_arrays, train

    @dataclasses.dataclass(frozen=True)
    class Mine(Unknown):
        """Defined in a function, so that it cannot be imported anywhere."""

    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    images = rng.integers(0, 255, (120, 8, 8)).astype(np.uint8)
    images[np.arange(120), labels] = 255
    mine, arrays = Mine(), from_arrays(images, labels, name="mine")
    config = TrainConfig(
        split=Split(validation=0.3, test=0.2), recipe=Recipe(epochs=1, batch_size=16, learning_rate=4.0)
    )
    findings = train(config, family=mine, data=arrays, progress=None)
    assert (findings.run.trials["status"] == "ok").all() and set(findings.run.sweep["network"]) == {"mine"}
    with pytest.raises(UserError, match=r"started from Python with family="):
        resume(findings.run.path, progress=None)
    with pytest.raises(UserError, match=r"started from Python with data="):
        resume(findings.run.path, family=mine, progress=None)
    again = resume(findings.run.path, family=mine, data=arrays, progress=None)
    assert again.sweep.equals(findings.sweep)
