from dataclasses import replace

import pytest

from scaling_search.config import SweepConfig
from scaling_search.errors import UserError
from scaling_search.networks.efficientnet import EFFICIENTNET_TINY
from scaling_search.rule import Scale
from scaling_search.search.sweep import lay_out_sweep, parse_scale, scales_of, sweep_specs
from scaling_search.trial import Init

CONFIG = SweepConfig(seeds=2, depths=(2.0, 4.0))


def test_each_dimension_alone_then_all_together_then_what_is_given():
    named = scales_of(replace(CONFIG, dims=("d", "r"), compound=True, scales=("2,1,1.3",)))
    assert named == [
        ("baseline", Scale()),
        ("depth", Scale(depth=2.0)),
        ("depth", Scale(depth=4.0)),
        ("resolution", Scale(resolution=2.0)),
        ("compound", Scale(1.4, 1.2, 1.3)),
        ("given", Scale(2.0, 1.0, 1.3)),
    ]


def test_one_dimension_changes_that_one_of_the_network():
    rows = lay_out_sweep(EFFICIENTNET_TINY, scales_of(CONFIG), CONFIG, 10).rows
    baseline, deep, _, wide, fine = (row.network for row in rows)
    assert fine.parameters == baseline.parameters and fine.input_resolution == 2 * baseline.input_resolution
    assert deep.parameters > baseline.parameters and deep.input_resolution == baseline.input_resolution
    assert wide.parameters > 2 * baseline.parameters


def test_networks_that_round_to_the_same_are_trained_once():
    laid_out = lay_out_sweep(EFFICIENTNET_TINY, [("one", Scale()), ("other", Scale(depth=1.001))], CONFIG, 10)
    same = laid_out.rows[0].network.fingerprint == laid_out.rows[1].network.fingerprint
    assert len(sweep_specs(laid_out, CONFIG, "images")) == 2 * (1 if same else 2)


def test_given_weights_decide_a_trial_s_key_by_their_content():
    def key(init):
        laid_out = lay_out_sweep(EFFICIENTNET_TINY, [("network", Scale())], CONFIG, 10, init)
        return sweep_specs(laid_out, CONFIG, "images")[0].key

    assert key(Init("here", "abc")) == key(Init("there", "abc"))
    assert len({key(None), key(Init("here", "abc")), key(Init("here", "abd")), key(Init("here", "abc", "head"))}) == 4


def test_a_scale_is_written_as_three_numbers():
    assert parse_scale("2,1,1.3") == Scale(2.0, 1.0, 1.3)
    for text in ("2,1", "2,1,1,1", "d=2", ""):
        with pytest.raises(UserError, match="write DEPTH,WIDTH,RESOLUTION"):
            parse_scale(text)
