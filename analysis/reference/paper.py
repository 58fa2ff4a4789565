"""The paper's own tables as frames, and beside them what the same networks cost as built."""

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

BUILT = {
    **{f"EfficientNet-B{number}": f"efficientnet_b{number}" for number in range(8)},
    "ResNet-50": "resnet50",
    "ResNet-152": "resnet152",
    "DenseNet-169": "densenet169",
    "DenseNet-264": "densenet264",
    "Inception-v3": "inception_v3",
    "Xception": "xception",
    "Inception-v4": "inception_v4",
    "Inception-resnet-v2": "inception_resnet_v2",
    "ResNeXt-101": "resnext101_64x4d",
    "PolyNet": "polynet",
    "SENet": "senet154",
    "NASNet-A": "nasnet_a",
    "AmoebaNet-A": "amoebanet_a",
    "PNASNet": "pnasnet5",
    "AmoebaNet-C": "amoebanet_c",
    "GPipe": "gpipe_amoebanet_b",
}
"""Our families by the names that Table 2 has for them."""

NOT_BUILT = dict.fromkeys(("parameters", "multiply_adds"), float("nan")) | {"input_resolution": None}
SCALED = {
    "mobilenet_v1": "MobileNetV1",
    "mobilenet_v2": "MobileNetV2",
    "resnet50": "ResNet-50",
    "efficientnet": "EfficientNet-B0",
    "efficientnet_b0": "EfficientNet-B0",
}
"""The names that Tables 3 and 7 have for our families."""


def table1() -> "pd.DataFrame":
    """Table 1, EfficientNet-B0: one row a stage.

    Columns: `stage` (1..9), `operator`, `expansion` (of MBConv), `kernel` (pixels a side), `stride` (of the stage's
    first layer), `input_resolution` (pixels a side), `input_resolution_in_slides`, `channels` (of the output),
    `layers`. The authors' slides give stage 6 an input of 28 pixels; with the published strides it is 14, and only
    then are B0's multiply-adds 0.39 billion.
    """
    return _reference("table1_efficientnet_b0").astype(dict.fromkeys(("expansion", "kernel", "stride"), "Int64"))


def table2() -> "pd.DataFrame":
    """Table 2: one row a network on ImageNet.

    Columns as printed: `group` (the EfficientNet that it is set beside), `model`, `family`, `top1_percent`,
    `top5_percent`, `params_millions`, `params_ratio`, `flops_billions`, `flops_ratio` (to the group's EfficientNet).
    In the units of every other frame: `val_accuracy` (top-1, 0..1), `parameters`, `multiply_adds` of one image. GPipe
    has no multiply-adds.
    """
    return _in_our_units(_reference("table2_imagenet"))


def scaling_results() -> "pd.DataFrame":
    """Tables 3 and 7: networks on ImageNet, scaled in one dimension or in all.

    Columns as printed: `source` (the table), `network`, `scaling` (baseline, depth, width, resolution or compound),
    `depth`, `width`, `resolution` (factors; NaN where the table has none), `flops_billions`, `top1_percent`. In the
    units of every other frame: `val_accuracy` (top-1, 0..1), `multiply_adds` of one image.
    """
    return _in_our_units(_reference("paper_scaling_results"))


def published_coefficients() -> "pd.DataFrame":
    """The coefficients that the authors published with their code, B0 to B8 and L2.

    Columns: `model`, `width`, `depth` (factors), `resolution` (input side in pixels), `dropout` (rate). They do not
    follow equation 3: `published.published_table` sets them beside it.
    """
    return _reference("published_coefficients")


def table2_beside(costs: Mapping[str, Mapping[str, Any]]) -> "pd.DataFrame":
    """Table 2 as published beside the same networks as built.

    `costs` has by the name of a family its `parameters`, `multiply_adds` and `input_resolution`, and
    `own_parameters`, `own_multiply_adds` and `note` where its own paper says. Columns: `group`, `model`, `network`,
    `top1_percent`, `input_resolution`; then for parameters and for multiply-adds what Table 2 has (`paper_`), what is
    built, their `difference` (built / paper - 1) and the `ratio` to the group's EfficientNet, as published and as
    built; what the network's own paper has; and `note`.
    """
    import pandas as pd

    rows = []
    leader: Mapping[str, Any] = {}
    for row in table2().to_dict("records"):
        cost = costs.get(BUILT[row["model"]], NOT_BUILT)
        if row["model"].startswith("EfficientNet"):
            leader = cost
        parameters, multiply_adds = row["parameters"], row["multiply_adds"]
        rows.append(
            {
                "group": row["group"],
                "model": row["model"],
                "network": BUILT[row["model"]],
                "top1_percent": row["top1_percent"],
                "input_resolution": cost["input_resolution"],
                "paper_parameters": parameters,
                "parameters": cost["parameters"],
                "parameters_difference": cost["parameters"] / parameters - 1,
                "paper_parameters_ratio": row["params_ratio"],
                "parameters_ratio": cost["parameters"] / leader["parameters"],
                "paper_multiply_adds": multiply_adds,
                "multiply_adds": cost["multiply_adds"],
                "multiply_adds_difference": cost["multiply_adds"] / multiply_adds - 1,
                "paper_multiply_adds_ratio": row["flops_ratio"],
                "multiply_adds_ratio": cost["multiply_adds"] / leader["multiply_adds"],
                "own_parameters": cost.get("own_parameters"),
                "own_multiply_adds": cost.get("own_multiply_adds"),
                "note": cost.get("note", ""),
            }
        )
    return pd.DataFrame(rows).astype(
        {"own_parameters": "float64", "own_multiply_adds": "float64", "input_resolution": "Int64"}
    )


def scaling_beside(family: str, rows: Sequence[Mapping[str, Any]]) -> "pd.DataFrame":
    """Networks of a sweep of `family` beside the rows of Tables 3 and 7.

    `rows` have `scaling`, `depth`, `width`, `resolution` and costs. Added are `of_baseline`, their multiply-adds
    relative to the first's; and, where the paper has such a row, `paper_multiply_adds`, `difference` (built / paper -
    1) and `paper_top1_percent`.
    """
    import pandas as pd

    table = pd.DataFrame(list(rows))
    table["of_baseline"] = table["multiply_adds"] / table["multiply_adds"].iloc[0]
    paper = scaling_results()
    paper = paper[paper["network"] == SCALED.get(family, "")]
    found = [_row_of_paper(row, paper) for row in table.to_dict("records")]
    table["paper_multiply_adds"] = [float("nan") if row is None else row["multiply_adds"] for row in found]
    table["difference"] = table["multiply_adds"] / table["paper_multiply_adds"] - 1
    table["paper_top1_percent"] = [float("nan") if row is None else row["top1_percent"] for row in found]
    return table


def _row_of_paper(row: Mapping[Any, Any], paper: "pd.DataFrame") -> Mapping[Any, Any] | None:
    """The paper's row of the same scaling and, where it gives them, the same factors, to the pixel that r rounds to."""
    for candidate in paper[paper["scaling"] == row["scaling"]].to_dict("records"):
        factors = [(candidate[name], row[name]) for name in ("depth", "width", "resolution")]
        if all(theirs != theirs or abs(theirs - ours) < 0.005 for theirs, ours in factors):
            return candidate
    return None


def _in_our_units(table: "pd.DataFrame") -> "pd.DataFrame":
    """The table with `val_accuracy`, `parameters` and `multiply_adds` beside the columns that they are made of."""
    units = {
        "top1_percent": ("val_accuracy", 1e-2),
        "params_millions": ("parameters", 1e6),
        "flops_billions": ("multiply_adds", 1e9),
    }
    # Rounded, since 0.7 * 1e9 has digits that the paper does not.
    added = {ours: (table[theirs] * by).round(5) for theirs, (ours, by) in units.items() if theirs in table}
    return table.assign(**added)


def _reference(name: str) -> "pd.DataFrame":
    import pandas as pd

    with (resources.files(__package__) / f"{name}.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file)
