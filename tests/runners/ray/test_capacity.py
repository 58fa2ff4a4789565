"""What Ray is asked for."""

import pytest

from scaling_search.config import Workers
from scaling_search.errors import UserError
from scaling_search.runners.ray.capacity import resources_per_trial, slots_of


def test_a_trial_takes_one_gpu_by_default_where_there_are_any():
    assert resources_per_trial(Workers(), [{"CPU": 8.0, "GPU": 2.0}]) == {"CPU": 1, "GPU": 1, "TPU": 0}
    assert resources_per_trial(Workers(), [{"CPU": 8.0}]) == {"CPU": 1, "GPU": 0, "TPU": 0}
    assert resources_per_trial(Workers(), [{"CPU": 8.0, "TPU": 4.0}]) == {"CPU": 1, "GPU": 0, "TPU": 1}
    assert resources_per_trial(Workers(gpus_per_trial=0), [{"CPU": 8.0, "GPU": 2.0}])["GPU"] == 0


@pytest.mark.parametrize(
    ("workers", "message"),
    [
        (Workers(cpus_per_trial=9), "--cpus-per-trial 9 exceeds this machine's 8 CPUs; try --cpus-per-trial 8"),
        (Workers(gpus_per_trial=2), "--gpus-per-trial 2 exceeds this machine's 0 GPUs; try --gpus-per-trial 0"),
        (Workers(tpus_per_trial=1), "--tpus-per-trial 1 exceeds this machine's 0 TPUs; try --tpus-per-trial 0"),
    ],
)
def test_more_than_there_is_is_refused_with_what_there_is(workers, message):
    with pytest.raises(UserError) as raised:
        resources_per_trial(workers, [{"CPU": 8.0}])
    assert str(raised.value) == message


def test_a_trial_must_fit_on_one_machine():
    with pytest.raises(UserError, match="exceeds any machine's 8 CPUs"):
        resources_per_trial(Workers(cpus_per_trial=9), [{"CPU": 8.0}, {"CPU": 8.0}])


def test_slots_are_counted_by_what_runs_out_first():
    assert slots_of([{"CPU": 8.0, "GPU": 2.0}], {"CPU": 1, "GPU": 0.5}) == 4
    assert slots_of([{"CPU": 8.0}, {"CPU": 3.0}], {"CPU": 2, "GPU": 0}) == 5
    assert slots_of([{"CPU": 8.0, "GPU": 1.0}], {"CPU": 1, "GPU": 0.1}) == 8
    with pytest.raises(UserError, match="no machine has the 2 CPUs and 1 GPUs"):
        slots_of([{"CPU": 8.0}, {"CPU": 1.0, "GPU": 1.0}], {"CPU": 2, "GPU": 1})
