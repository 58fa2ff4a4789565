"""The commands and their options, as dataclasses that tyro reads. Each calls one function."""

import dataclasses
import inspect
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import tyro

from scaling_search.cli.flags import replayed_config, taking
from scaling_search.config import QUICK, SHORT_RECIPE, NasConfig, Recipe, RunConfig, Split, Workers
from scaling_search.errors import UserError

Format = Literal["table", "json", "csv"]
FigureName = Literal["frontier", "1", "3", "4", "5", "8", "curves", "grid", "edf"]
Folder = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]


@dataclass(frozen=True)
class Command:
    """A command whose options are read."""

    def execute(self) -> None:
        """Does it and prints the result."""
        raise AssertionError("every command has its own")

    @classmethod
    def defaults(cls, options: list[str]) -> dict[str, Any]:
        """Where options start from, as keywords for tyro; without any, at the fields' own defaults."""
        return {}


@dataclass(frozen=True)
class Run(Command):
    """STEP 1 then STEP 2: search the grid, grow the winner to B0..B7, log the accuracy-FLOPS frontier.

    Example: scaling-search run --phi 1
    """

    config: Annotated[RunConfig, tyro.conf.arg(name="")] = field(default_factory=RunConfig)
    """What is computed."""
    workers: Annotated[Workers, tyro.conf.arg(name="")] = field(default_factory=Workers)
    """Where trials run."""
    baseline: str | None = None
    """Folder of a search by `scaling-search nas`, whose best architecture is the family to scale."""
    quick: bool = False
    """The same, smaller: under 90 seconds on two cores."""
    format: Format = "table"
    """How the tables are printed."""
    timings: bool = False
    """Say where the time went."""

    def execute(self) -> None:
        """Runs the whole method."""
        from scaling_search.cli.method import run

        run(self.chosen(), self.workers, self.format, steps=(1, 2), timings=self.timings)

    def chosen(self) -> RunConfig:
        """The config, with the baseline's family where one is given."""
        if self.baseline is None:
            return self.config
        from scaling_search.cli.nas import with_baseline

        return with_baseline(self.config, self.baseline)

    @classmethod
    def defaults(cls, options: list[str]) -> dict[str, Any]:
        """`--quick` and `--replay TABLE` bring another config to start from."""
        if (replayed := replayed_config(options)) is not None:
            if any(option.partition("=")[0] == "--baseline" for option in options):
                # The baseline brings all options of its family itself.
                replayed = dataclasses.replace(replayed, family_options=())
            return {"default": cls(config=replayed)}
        return {"default": cls(config=QUICK)} if "--quick" in options else {}


@dataclass(frozen=True)
class Step1(Run):
    """STEP 1 alone: which (alpha, beta, gamma) is best at phi?

    Example: scaling-search step1 --quick
    """

    def execute(self) -> None:
        """Runs STEP 1."""
        from scaling_search.cli.method import run

        run(self.chosen(), self.workers, self.format, steps=(1,), timings=self.timings)


@dataclass(frozen=True)
class Step2(Run):
    """STEP 2 alone: grow the baseline to B0..B7 by the coefficients given, or by the winner of the run's STEP 1.

    Example: scaling-search step2 --quick --coefficients 1.2 1.1 1.15
    """

    coefficients: tuple[float, float, float] | None = None
    """Alpha, beta and gamma. Without them, the run's own STEP 1 is judged."""

    def execute(self) -> None:
        """Runs STEP 2."""
        from scaling_search.cli.method import run
        from scaling_search.rule import CompoundRule

        rule = None if self.coefficients is None else CompoundRule(*self.coefficients)
        run(self.chosen(), self.workers, self.format, steps=(2,), rule=rule, timings=self.timings)


@dataclass(frozen=True)
class Cost(Command):
    """Parameters, multiply-adds, activations and memory of networks, without running them.

    Example: scaling-search cost efficientnet_b0 efficientnet_b7 --resolution 320 --format json
    """

    networks: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="NETWORK...")]
    """Families by their registered names or import paths, at their baseline scale."""
    resolution: int | None = None
    """Input side in pixels; by default each network's own."""
    depth: float = 1.0
    """Depth multiplier on each network."""
    width: float = 1.0
    """Width multiplier on each network."""
    num_classes: int = 1000
    """Classes of the head."""
    batch_size: int = 32
    """Images a training step, for the memory it takes."""
    format: Format = "table"
    """How the table is printed."""

    def execute(self) -> None:
        """Prints a row a network."""
        from scaling_search.cli.costs import print_costs

        print_costs(self)


@dataclass(frozen=True)
class Fit(Command):
    """Equation 2 turned round: the largest phi whose network fits a budget, and that network.

    Example: scaling-search fit --flops 1e9 --memory 8GiB --params 10M
    """

    flops: str | None = None
    """Multiply-adds for one image at the most, such as 1e9 or 400M."""
    memory: str | None = None
    """Bytes of a training step at the most, such as 8GiB."""
    params: str | None = None
    """Parameters at the most, such as 10M."""
    family: str = "efficientnet"
    """The family to grow."""
    coefficients: tuple[float, float, float] = (1.2, 1.1, 1.15)
    """Alpha, beta and gamma; the paper's by default."""
    num_classes: int = 1000
    """Classes of the head."""
    batch_size: int = 32
    """Images a training step, for the memory it takes."""
    format: Format = "table"
    """How the table is printed."""

    def execute(self) -> None:
        """Prints the network."""
        from scaling_search.cli.costs import print_fit

        print_fit(self)


@dataclass(frozen=True)
class Resume(Command):
    """Goes on with a run where it stopped, by the config that it was started with.

    Example: scaling-search resume runs/digits
    """

    run: Folder
    """Folder of the run."""
    workers: Annotated[Workers, tyro.conf.arg(name="")] = field(default_factory=Workers)
    """Where trials run."""
    format: Format = "table"
    """How the tables are printed."""
    timings: bool = False
    """Say where the time went."""

    def execute(self) -> None:
        """Runs what is missing."""
        from scaling_search.cli.method import resume

        resume(self.run, self.workers, self.format, timings=self.timings)


@dataclass(frozen=True)
class Record(Command):
    """Writes the finished trials of runs into one file, which --replay then takes trainings from in no time.

    Example: scaling-search record runs/digits runs/digits-sweep -o digits.parquet
    """

    runs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN...")]
    """Folders of runs on the same images, or recorded tables. The first brings the config that a replay starts from."""
    output: Annotated[str, tyro.conf.arg(aliases=["-o"])]
    """The .parquet file to write."""

    def execute(self) -> None:
        """Writes the table and says what is in it."""
        from scaling_search.cli.record import record

        record(self.runs, self.output)


@dataclass(frozen=True)
class Table(Command):
    """The tables of a run as they stand, the published models beside equation 3, or the paper's Table 2.

    Example: scaling-search table runs/digits, or scaling-search table published, or scaling-search table 2
    """

    what: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Folder of a run, the word published, or 2 for the paper's Table 2 beside the same networks as built."""
    format: Format = "table"
    """How the table is printed."""

    def execute(self) -> None:
        """Prints the tables."""
        from scaling_search.cli.show import print_tables

        print_tables(self.what, self.format)


@dataclass(frozen=True)
class Trainings(Command):
    """What commands share that train networks as they are given."""

    family: str = "efficientnet"
    """Network family: a registered name, or an import path such as my_package.nets:MyFamily."""
    family_options: tuple[str, ...] = ()
    """Fields of the family to set, as NAME=VALUE, such as resolution=64."""
    name: str | None = None
    """Name of the run, whose records lie in RUNS/NAME; by default it is named after its images."""
    split: Split = field(default_factory=Split)
    """How the images are divided."""
    seeds: int = 3
    """Trainings of each network, each from its own seed."""
    seed: int = 0
    """The first seed."""
    recipe: Recipe = SHORT_RECIPE
    """How a network is trained."""
    runs: str = "runs"
    """Folder that holds the runs."""
    reuse: tuple[str, ...] = ()
    """Other runs, or recorded tables, whose finished trials count as done here."""
    replay: str | None = None
    """A recorded table to take every training from, its config too where none is given here; nothing is trained."""
    workers: Annotated[Workers, tyro.conf.arg(name="")] = field(default_factory=Workers)
    """Where trials run."""
    format: Format = "table"
    """How the table is printed."""
    timings: bool = False
    """Say where the time went."""

    @classmethod
    def defaults(cls, options: list[str]) -> dict[str, Any]:
        """`--replay TABLE` brings its config to start from."""
        replayed = replayed_config(options)
        return {} if replayed is None else {"default": taking(cls, replayed)}


@dataclass(frozen=True)
class Train(Trainings):
    """Trains one network from several seeds, from given weights if you like.

    Example: scaling-search train --family efficientnet_lite0 --init lite0.safetensors --data idx:fashion-mnist
    """

    data: str = "digits"
    """Images: digits, idx:DIR (IDX files as Fashion-MNIST's) or folder:DIR (one folder of images a class)."""
    depth: float = 1.0
    """Depth multiplier."""
    width: float = 1.0
    """Width multiplier."""
    resolution: float = 1.0
    """Resolution multiplier."""
    init: str | None = None
    """Weights to start from, a .safetensors or .npz file: all but the head, which is new."""
    trained: Literal["all", "head"] = "all"
    """With --init: train the whole network, or its head alone."""

    def execute(self) -> None:
        """Trains it."""
        from scaling_search.cli.training import train

        train(self)


@dataclass(frozen=True)
class Sweep(Trainings):
    """One dimension at a time, and all together, beside the paper's Tables 3 and 7; with --data they are trained.

    Example: scaling-search sweep --family mobilenet_v2 --dims d w r --compound
    """

    data: str | None = None
    """Images to train on: digits, idx:DIR or folder:DIR. Without, networks are costed and nothing is trained."""
    dims: tuple[str, ...] = ("d", "w", "r")
    """Dimensions to scale alone: d, w, r."""
    depths: tuple[float, ...] = (4.0,)
    """Factors of depth alone, as in the paper."""
    widths: tuple[float, ...] = (2.0,)
    """Factors of width alone, as in the paper."""
    resolutions: tuple[float, ...] = (2.0,)
    """Factors of resolution alone, as in the paper."""
    compound: bool = False
    """All three together as well."""
    compound_scale: tuple[float, float, float] = (1.4, 1.2, 1.3)
    """Depth, width and resolution of the compound row; the paper's for MobileNetV1 and EfficientNet-B0."""
    scales: tuple[str, ...] = ()
    """Further networks, each as DEPTH,WIDTH,RESOLUTION, such as 2,1,1.3."""
    num_classes: int = 1000
    """Classes of the head, where nothing is trained."""

    def execute(self) -> None:
        """Prints a row a network."""
        from scaling_search.cli.training import sweep

        sweep(self)


@dataclass(frozen=True)
class Nas(Command):
    """Searches for a baseline in MnasNet's space, or your own, by the reward ACC * [FLOPS / T]^-0.07 of the paper.

    Example: scaling-search nas --target-flops 1M --strategy evolution --trials 48
    """

    config: Annotated[NasConfig, tyro.conf.arg(name="")] = field(default_factory=NasConfig)
    """What is searched, and how."""
    workers: Annotated[Workers, tyro.conf.arg(name="")] = field(default_factory=Workers)
    """Where trials run."""
    format: Format = "table"
    """How the tables are printed."""
    timings: bool = False
    """Say where the time went."""

    @classmethod
    def defaults(cls, options: list[str]) -> dict[str, Any]:
        """`--replay TABLE` brings its images, split and recipe to start from."""
        replayed = replayed_config(options)
        return {} if replayed is None else {"default": cls(config=taking(NasConfig, replayed, but=("family_options",)))}

    def execute(self) -> None:
        """Searches."""
        from scaling_search.cli.nas import search

        search(self.config, self.workers, self.format, timings=self.timings)


@dataclass(frozen=True)
class Latency(Command):
    """How well a table of what layers take here predicts what whole networks take, on random architectures.

    Example: scaling-search latency --space mnasnet --networks 5
    """

    space: str = "mnasnet_tiny"
    """What the architectures are drawn from: mnasnet or mnasnet_tiny."""
    family_options: tuple[str, ...] = ()
    """Fields of the space's family to set, as NAME=VALUE, such as resolution=32."""
    networks: int = 10
    """How many architectures to measure."""
    seed: int = 0
    """Seed of the draw."""
    num_classes: int = 10
    """Classes of the head."""
    format: Format = "table"
    """How the table is printed."""

    def execute(self) -> None:
        """Prints a row a network."""
        from scaling_search.cli.nas import print_latencies

        print_latencies(self)


@dataclass(frozen=True)
class Weights(Command):
    """Reads weights of other implementations into a network and writes them back: import, export or convert.

    Example: scaling-search weights import resnet50.safetensors --network resnet50 --output own.safetensors
    """

    action: Annotated[Literal["import", "export", "convert"], tyro.conf.Positional]
    """import: into the network's own names; export: into another implementation's; convert: a PyTorch checkpoint
    into safetensors, by PyTorch's loader of weights alone, names as they are."""
    file: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """A .safetensors or .npz file; a .pth file for convert."""
    network: str | None = None
    """The network that the weights are for."""
    family_options: tuple[str, ...] = ()
    """Fields of the network to set, as NAME=VALUE, such as padding=SYMMETRIC batch_norm_epsilon=1e-5."""
    naming: str | None = None
    """For export: timm, torchvision or another naming that the network knows; by default its first."""
    averaged: bool = False
    """Take the averaged copy of the weights where a file has one, such as model_ema or state_dict_ema."""
    output: Annotated[str | None, tyro.conf.arg(aliases=["-o"])] = None
    """The .safetensors file to write. Without one, import only checks."""
    format: Format = "table"
    """How the table is printed."""

    def execute(self) -> None:
        """Does it and prints what was found."""
        from scaling_search.cli.weights import run_weights

        run_weights(self)


@dataclass(frozen=True)
class Cam(Command):
    """Where in a picture a network sees a class: the class activation map, as in the paper's Figure 7.

    Example: scaling-search cam cat.png --network efficientnet_lite0 --weights lite0.npz --pixels lite -o cam.png
    """

    image: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE")]
    """A picture."""
    network: str
    """The network."""
    weights: str
    """Its weights, a .safetensors or .npz file in any naming that the network knows."""
    output: Annotated[str, tyro.conf.arg(aliases=["-o"])]
    """File to write, .png, .svg or .pdf."""
    family_options: tuple[str, ...] = ()
    """Fields of the network to set, as NAME=VALUE, such as padding=SYMMETRIC batch_norm_epsilon=1e-5."""
    class_index: int | None = None
    """Class to look for; by default the likeliest."""
    pixels: Literal["imagenet", "half", "lite"] = "imagenet"
    """How the weights want pixels: by ImageNet's mean and deviation, as (x - 0.5) / 0.5, or as EfficientNet-Lite."""
    resolution: int | None = None
    """Input side in pixels; by default the network's own."""
    format: Format = "table"
    """How the table of the likeliest classes is printed."""

    def execute(self) -> None:
        """Writes the map and prints the likeliest classes."""
        from scaling_search.cli.cam import print_cam

        print_cam(self)


@dataclass(frozen=True)
class Plot(Command):
    """Draws a figure of a run, of several runs, or of the paper's own tables.

    Example: scaling-search plot runs/digits, or scaling-search plot paper --figure 5 -o figure_5.pdf
    """

    run: Folder
    """Folder of a run, a pattern of several in quotes such as "runs/*", or the word paper."""
    figure: FigureName = "frontier"
    """frontier: accuracy against multiply-adds. By the paper's numbers: 1 and 5, Table 2 by parameters and by
    multiply-adds; 3, one dimension scaled alone; 4, width under other depths and resolutions; 8, one dimension beside
    all three. curves: learning curves. grid: STEP 1. edf: distributions of error."""
    output: Annotated[str | None, tyro.conf.arg(aliases=["-o"])] = None
    """File to write, .png, .svg or .pdf; by default PNG and SVG beside the run's tables."""

    def execute(self) -> None:
        """Writes the figure and prints where it lies."""
        from scaling_search.cli.plots import write_plot

        write_plot(self.run, self.figure, self.output)


@dataclass(frozen=True)
class Report(Command):
    """A run as one HTML page that opens without a network: its answer, tables and plots, and how to make it again.

    Example: scaling-search report runs/digits, or scaling-search report runs/digits --watch
    """

    run: Folder
    """Folder of the run, finished or not."""
    output: Annotated[str | None, tyro.conf.arg(aliases=["-o"])] = None
    """File to write, .html; by default report.html beside the run's tables."""
    watch: bool = False
    """Write no file but serve a page, to this machine alone, that follows the run while it goes on."""
    port: int | None = None
    """With --watch: the port to serve at; by default any free one."""

    def execute(self) -> None:
        """Writes the page and prints where it lies, or serves it and prints its address."""
        from scaling_search.cli.report import watch_report, write_report

        if self.watch and self.output is not None:
            raise UserError("--watch and --output given", "--watch writes no file", "give one of them")
        if self.port is not None and not self.watch:
            raise UserError("--port given without --watch", "a file needs no port", "try --watch")
        if self.watch:
            watch_report(self.run, self.port or 0)
        else:
            write_report(self.run, self.output)


@dataclass(frozen=True)
class Doctor(Command):
    """What this machine is to a run: versions, cores, devices, native kernels, where compiled programs lie.

    Example: scaling-search doctor
    """

    format: Format = "table"
    """How the table is printed."""

    def execute(self) -> None:
        """Prints a line for each."""
        from scaling_search.cli.doctor import print_report

        print_report(self.format)


COMMANDS: dict[str, type[Command]] = {
    "run": Run,
    "step1": Step1,
    "step2": Step2,
    "cost": Cost,
    "fit": Fit,
    "nas": Nas,
    "latency": Latency,
    "train": Train,
    "resume": Resume,
    "record": Record,
    "table": Table,
    "sweep": Sweep,
    "plot": Plot,
    "report": Report,
    "weights": Weights,
    "cam": Cam,
    "doctor": Doctor,
}


def overview() -> str:
    """The help of `scaling-search` itself."""
    lines = [f"  {name:<8}{inspect.getdoc(command).splitlines()[0]}" for name, command in COMMANDS.items()]  # type: ignore[union-attr]
    return "\n".join(
        [
            "usage: scaling-search COMMAND [OPTIONS]",
            "",
            "Compound scaling and neural architecture search with JAX and Flax.",
            "",
            *lines,
            "",
            "Options of a command:  scaling-search COMMAND --help",
            "Example:               scaling-search run --phi 1",
        ]
    )
