import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling_search.errors import UserError
from scaling_search.weights.prefixes import WRAPPERS, strip_prefixes

BODY = ["stem.weight", "blocks.0.conv.weight", "blocks.1.conv.weight", "blocks.1.norm.bias"]
HEAD = ["classifier.weight", "classifier.bias"]
KNOWN = {*BODY, *HEAD}


def under(prefix, names=(*BODY, *HEAD)):
    return [prefix + name for name in names]


@pytest.mark.parametrize(
    "prefix",
    [
        *("module.", "model.", "_orig_mod.", "backbone.", "encoder.", "net.", "network."),
        *("module.module.", "_orig_mod.module.", "model._orig_mod.", "module.backbone.", "model.model.net."),
        "detector.stage_one.",
    ],
)
def test_a_prefix_is_stripped_and_named(prefix):
    stripped = strip_prefixes(under(prefix), KNOWN)
    assert stripped.names == {name: prefix + name for name in KNOWN}
    assert stripped.prefixes == (prefix,)
    assert not stripped.outside


def test_names_without_a_prefix_stay():
    stripped = strip_prefixes([*KNOWN, "odd"], KNOWN)
    assert stripped.names == {name: name for name in KNOWN}
    assert stripped.prefixes == stripped.outside == ()


@pytest.mark.parametrize(
    ("body", "head"), [("backbone.", ""), ("model.encoder.", "model."), ("module.backbone.", "module.head.")]
)
def test_body_and_classifier_may_have_prefixes_of_their_own(body, head):
    stripped = strip_prefixes([*under(body, BODY), *under(head, HEAD)], KNOWN)
    assert stripped.names.keys() == KNOWN
    assert set(stripped.prefixes) == {prefix for prefix in (body, head) if prefix}


def test_a_head_of_something_else_is_not_the_networks():
    stripped = strip_prefixes([*under("backbone.", BODY), *under("auxiliary.", HEAD)], KNOWN)
    assert stripped.names.keys() == set(BODY)
    assert stripped.outside == tuple(sorted(under("auxiliary.", HEAD)))


def test_what_is_around_the_network_is_outside():
    names = [*under("model."), "criterion.weight", "n_averaged"]
    assert strip_prefixes(names, KNOWN).outside == ("criterion.weight", "n_averaged")


def test_a_part_that_was_compiled_has_its_prefix_in_the_middle():
    names = ["model.stem.weight", *under("model.blocks._orig_mod.", ["0.conv.weight", "1.conv.weight", "1.norm.bias"])]
    stripped = strip_prefixes([*names, *under("model.", HEAD)], KNOWN)
    assert stripped.names["blocks.1.norm.bias"] == "model.blocks._orig_mod.1.norm.bias"
    assert stripped.names.keys() == KNOWN
    assert stripped.prefixes == ("model.", "_orig_mod.")


@pytest.mark.parametrize(("plain", "copy"), [("model.", "model_ema."), ("online_model.", "ema_model."), ("", "ema.")])
def test_of_two_copies_the_averaged_one_is_taken_on_request(plain, copy):
    names = [*under(plain), *under(copy)]
    assert strip_prefixes(names, KNOWN).names["stem.weight"] == f"{plain}stem.weight"
    assert strip_prefixes(names, KNOWN).other_copies == (copy,)
    assert strip_prefixes(names, KNOWN, averaged=True).names["stem.weight"] == f"{copy}stem.weight"
    assert strip_prefixes(under(copy), KNOWN).names["stem.weight"] == f"{copy}stem.weight"
    with pytest.raises(UserError, match="no averaged copy"):
        strip_prefixes(under(plain), KNOWN, averaged=True)


def test_two_copies_that_are_alike_are_refused():
    with pytest.raises(UserError, match=r"two copies of the network, under 'encoder_k.' and 'encoder_q.'"):
        strip_prefixes([*under("encoder_q."), *under("encoder_k.")], KNOWN)


@given(st.lists(st.sampled_from(sorted(WRAPPERS)), max_size=4), st.lists(st.text(max_size=8), max_size=5))
def test_every_tensor_is_found_under_any_wrappers(wrappers, others):
    prefix = "".join(f"{wrapper}." for wrapper in wrappers)
    stripped = strip_prefixes([*under(prefix), *others], KNOWN)
    assert stripped.names == {name: prefix + name for name in KNOWN}
