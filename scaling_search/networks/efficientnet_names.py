"""What other implementations call the modules of an EfficientNet, from their paths such as stages.0.1.filter."""

# The first stage's blocks do not expand, so that in timm's and torchvision's names their layers have other numbers.
_TIMM = {
    "stem": "conv_stem",
    "stem_norm": "bn1",
    "head": "conv_head",
    "head_norm": "bn2",
    "expand": "conv_pw",
    "expand_norm": "bn1",
    "filter": "conv_dw",
    "filter_norm": "bn2",
    "gate.squeeze": "se.conv_reduce",
    "gate.excite": "se.conv_expand",
    "project": "conv_pwl",
    "project_norm": "bn3",
}
_TIMM_FIRST = _TIMM | {"filter_norm": "bn1", "project": "conv_pw", "project_norm": "bn2"}
_TORCHVISION = {
    "stem": "features.0.0",
    "stem_norm": "features.0.1",
    "head": "features.8.0",
    "head_norm": "features.8.1",
    "classifier": "classifier.1",
    "expand": "0.0",
    "expand_norm": "0.1",
    "filter": "1.0",
    "filter_norm": "1.1",
    "gate.squeeze": "2.fc1",
    "gate.excite": "2.fc2",
    "project": "3.0",
    "project_norm": "3.1",
}
_TORCHVISION_FIRST = _TORCHVISION | {
    "filter": "0.0",
    "filter_norm": "0.1",
    "gate.squeeze": "1.fc1",
    "gate.excite": "1.fc2",
    "project": "2.0",
    "project_norm": "2.1",
}
_EFFICIENTNET_PYTORCH = {
    "stem": "_conv_stem",
    "stem_norm": "_bn0",
    "head": "_conv_head",
    "head_norm": "_bn1",
    "classifier": "_fc",
    "expand": "_expand_conv",
    "expand_norm": "_bn0",
    "filter": "_depthwise_conv",
    "filter_norm": "_bn1",
    "gate.squeeze": "_se_reduce",
    "gate.excite": "_se_expand",
    "project": "_project_conv",
    "project_norm": "_bn2",
}


def _place(path: str) -> tuple[int, int, str] | None:
    """Stage, block and what is in it; None outside the blocks."""
    if not path.startswith("stages."):
        return None
    _, stage, block, inside = path.split(".", 3)
    return int(stage), int(block), inside


def timm(path: str) -> str:
    """The name in timm."""
    place = _place(path)
    if place is None:
        return _TIMM.get(path, path)
    stage, block, inside = place
    return f"blocks.{stage}.{block}.{(_TIMM if stage else _TIMM_FIRST)[inside]}"


def torchvision(path: str) -> str:
    """The name in torchvision."""
    place = _place(path)
    if place is None:
        return _TORCHVISION[path]
    stage, block, inside = place
    return f"features.{stage + 1}.{block}.block.{(_TORCHVISION if stage else _TORCHVISION_FIRST)[inside]}"


def efficientnet_pytorch(path: str, first: list[int]) -> str:
    """The name in the package EfficientNet-PyTorch, which numbers blocks throughout.

    `first` is the number of each stage's first block.
    """
    place = _place(path)
    if place is None:
        return _EFFICIENTNET_PYTORCH[path]
    stage, block, inside = place
    return f"_blocks.{first[stage] + block}.{_EFFICIENTNET_PYTORCH[inside]}"
