import pytest

from scaling_search.errors import UserError
from scaling_search.weights.wrappings import find_tensors, is_averaged


class Tensor:
    """Stands for PyTorch's."""


T = {"conv.weight": Tensor(), "conv.bias": Tensor()}
E = {"conv.weight": Tensor(), "conv.bias": Tensor()}
OPTIMIZER = {"state": {0: {"exp_avg": Tensor()}}, "param_groups": [{"params": [0]}]}
NAMED_MOMENTS = {"momentum": {"conv.weight": Tensor(), "conv.bias": Tensor(), "fc.bias": Tensor()}}


def found(tree, **how):
    return find_tensors(tree, lambda value: isinstance(value, Tensor), **how)


@pytest.mark.parametrize(
    "key",
    ["state_dict", "model", "model_state", "model_state_dict", "net", "network", "module", "params", "weights"],
)
def test_the_usual_names_of_a_state_dict_are_known(key):
    tree = {"epoch": 3, "best": Tensor(), key: T, "optimizer": OPTIMIZER, "optim_state": NAMED_MOMENTS, "args": None}
    assert found(tree).tensors == T
    assert found(tree).under == key
    assert found({"state": tree}).under == f"state.{key}"


@pytest.mark.parametrize(
    "key",
    ["ema", "model_ema", "ema_model", "state_dict_ema", "ema_state_dict", "params_ema", "averaged_model", "swa_model"],
)
def test_averaged_weights_are_taken_on_request_or_where_nothing_else_is_there(key):
    both = {"state_dict": T, key: E}
    assert found(both).tensors == T
    assert found(both).averaged_beside == key
    assert found(both, averaged=True).tensors == E
    alone = found({key: E, "epoch": Tensor()})
    assert alone.tensors == E
    assert alone.averaged
    nested = {"model": T, key: {"module": E, "updates": 7, "decay": 0.9}}
    assert found(nested).tensors == T
    assert found(nested, averaged=True).under == f"{key}.module"


def test_a_plain_state_dict_is_taken_as_it_is():
    assert found(T | {"epoch": 3}).tensors == T
    assert found(T | {"epoch": 3}).left_out == ("epoch",)
    assert found(T).under == ""


def test_one_dictionary_of_tensors_is_taken_whatever_its_name_but_not_one_of_several():
    assert found({"detector_v2": T, "epoch": Tensor()}).tensors == T
    with pytest.raises(UserError, match="several dictionaries of tensors, under 'detector', 'tracker'"):
        found({"detector": T, "tracker": E})


def test_copies_in_one_dictionary_are_told_by_their_prefixes():
    flat = {"online_model.fc.bias": Tensor(), "ema_model.fc.bias": Tensor(), "step": Tensor()}
    assert found(flat).tensors == flat
    assert found(flat, averaged=True).tensors.keys() == {"ema_model.fc.bias"}


@pytest.mark.parametrize("tree", [{}, {"epoch": 3}, [Tensor()], None, {"optimizer": OPTIMIZER}, {0: Tensor()}])
def test_a_checkpoint_without_a_network_is_refused(tree):
    with pytest.raises(UserError, match="holds no dictionary of tensors"):
        found(tree)


def test_averaged_weights_that_are_not_there_are_refused():
    with pytest.raises(UserError, match="no averaged weights"):
        found({"state_dict": T}, averaged=True)


def test_what_contains_itself_ends():
    tree: dict[str, object] = {"model": T}
    tree["state"] = tree
    assert found(tree).tensors == T


@pytest.mark.parametrize("name", ["schema", "gemma", "swarm", "model"])
def test_words_that_contain_ema_are_not_averaged(name):
    assert not is_averaged(name)
