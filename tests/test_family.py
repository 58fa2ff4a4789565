import sys

import pytest

from scaling_search.errors import UserError
from scaling_search.family import Family, PlannedFamily, load_family, registered_families
from scaling_search.rule import Scale


def test_efficientnet_and_the_published_models_are_registered():
    names = registered_families()
    assert {"efficientnet", "efficientnet_tiny", *(f"efficientnet_b{n}" for n in range(9)), "efficientnet_l2"} <= set(
        names
    )
    assert isinstance(load_family("efficientnet"), PlannedFamily)


def test_a_users_own_network_is_a_family_by_its_import_path():
    family = load_family("examples.plain_cnn:PlainCNNFamily", ("channels=16",))
    assert isinstance(family, Family) and not isinstance(family, PlannedFamily)
    assert family.channels == 16


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("efficientnt", "unknown family 'efficientnt'.*did you mean efficientnet"),
        ("no_such_module:Family", "cannot be imported"),
        ("scaling_search.rule:Nothing", "cannot be imported"),
        ("scaling_search.rule:Grid", "is not a family"),
        ("scaling_search.rule:CompoundRule", "cannot be created without arguments"),
        (":x", "cannot be imported"),
    ],
)
def test_what_is_not_a_family_is_refused_in_one_line(name, complaint):
    with pytest.raises(UserError, match=complaint) as caught:
        load_family(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("option", ["depth", "depht=1", "depth=deep", "stem_stride=1.5", "=", "dropout=2"])
def test_options_that_do_not_fit_are_refused(option):
    with pytest.raises(UserError):
        load_family("efficientnet", (option,))


def test_options_set_fields():
    family = load_family("efficientnet", ("depth=0.5", "stem_stride=1", "dtype=bfloat16"))
    assert (family.depth, family.stem_stride, family.dtype) == (0.5, 1, "bfloat16")


def test_the_import_of_the_package_is_light():
    import subprocess

    code = "import sys, scaling_search.cli.commands; print([m for m in ('jax','ray','pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_depth_of_zero_is_no_scale():
    with pytest.raises(UserError):
        Scale(depth=0)
