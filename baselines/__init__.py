"""The ConvNets that the paper's Table 2 compares with, and those that its Table 3 scales: one file each, as families.

A network here is built from its own paper at any (depth, width): `depth` multiplies the layers of each stage, rounded
up, and `width` every number of channels, to multiples of 8. At (1, 1) it is the published network. All of them share
three conventions: `features(images)` is the last feature map, `classify(features)` pools it and answers with logits,
whose dense layer is `classifier`; an auxiliary head, where one is asked for, lies under `auxiliary` and adds a second
answer in training alone; and a family's `namings` say what other implementations
call each module.
"""
