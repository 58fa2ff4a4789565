import dataclasses
import time

import numpy as np

from scaling_search.config import NasConfig
from scaling_search.cost import memory
from scaling_search.family import Cost
from scaling_search.search.nas.limits import limits_of
from scaling_search.search.nas.space import MNASNET_SPACE, counter_of, random_genotypes

COUNTS = np.array([[10, 100, 1000, 16], [20, 50, 1000, 16], [10, 100, 9000, 32]])


def test_each_limit_alone_and_all_together():
    def allowed(**limits):
        return limits_of(dataclasses.replace(NasConfig(), **limits)).allow(COUNTS).tolist()

    assert allowed() == [True, True, True]
    assert allowed(max_params="10") == [True, False, True]
    assert allowed(max_flops="99") == [False, True, False]
    needed = memory(Cost(20, 50, 1000), 16, NasConfig().recipe.batch_size)
    assert allowed(max_memory=str(needed)) == [True, True, False]
    assert allowed(max_params="10", max_memory=str(needed)) == [True, False, False]


def test_bulk_filters_agree_with_one_at_a_time_and_print_their_speed():
    genotypes = random_genotypes(MNASNET_SPACE, 20_000, np.random.default_rng(0))
    limits = limits_of(NasConfig(max_flops="400M", max_params="6M", max_memory="16GiB"))
    count = counter_of(MNASNET_SPACE, (), 1000)
    began = time.perf_counter()
    allowed = limits.allow(count(genotypes))
    print(f"{len(genotypes) / (time.perf_counter() - began):,.0f} architectures filtered a second")
    assert 0 < allowed.sum() < len(allowed)
    for row in range(20):
        assert limits.allow(count(genotypes[row : row + 1]))[0] == allowed[row]
