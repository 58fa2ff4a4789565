import dataclasses

import jax
import pytest

from examples.plain_cnn import PlainCNNFamily
from scaling_search.config import RunConfig, Split
from scaling_search.errors import UserError
from scaling_search.family import load_family
from scaling_search.recipe import SHORT, Recipe
from scaling_search.rule import Scale
from scaling_search.search.candidates import network_at, specs_of
from scaling_search.training.ahead import Ahead
from scaling_search.training.fit import train_group
from scaling_search.trial import Init
from tests.training.conftest import barred_images

CONFIG = RunConfig(
    family="examples.plain_cnn:PlainCNNFamily",
    recipe=Recipe(epochs=8, batch_size=16, evaluate_every=4, learning_rate=8.0, augment="none"),
    split=Split(validation=0.3, test=0.2),
    seeds=2,
)


@pytest.fixture(scope="module")
def images():
    return barred_images(180, 10)


def network_of(config):
    return network_at(load_family(config.family), Scale(), 3, name=config.family)


def specs(images, config=CONFIG, *, test=False):
    return specs_of(network_of(config), config, images.identity, test=test)


@pytest.fixture(scope="module")
def outcomes(images):
    return list(train_group(specs(images), images))


def test_what_is_made_while_another_trains_has_the_same_numbers(images, outcomes):
    ahead, deeper = Ahead(), network_at(load_family(CONFIG.family), Scale(depth=2), 3, name=CONFIG.family)
    groups = [specs(images), specs_of(deeper, CONFIG, images.identity)]
    ahead.following = groups[1][0]
    found = [list(train_group(groups[0], images, ahead=ahead))]
    ahead.following = None
    found.append(list(train_group(groups[1], images, ahead=ahead)))
    expected = [outcomes, list(train_group(groups[1], images))]
    assert [[one.curve for one in group] for group in found] == [[one.curve for one in group] for group in expected]
    # The second network was traced while the first trained.
    assert found[0][0].seconds["trace"] > 0
    assert found[1][0].seconds["trace"] == 0 and found[1][0].seconds["compile"] >= 0


def test_it_learns_and_says_how(outcomes):
    for outcome in outcomes:
        assert outcome.status == "ok" and outcome.accuracy > 0.8
        assert [epoch.accuracy is not None for epoch in outcome.curve] == [False, False, False, True] * 2
        assert outcome.curve[-1].accuracy == outcome.accuracy and outcome.curve[-1].step == 8 * 5
        assert outcome.curve[-1].train_loss < outcome.curve[0].train_loss
        assert outcome.peak_memory > 10**7


def test_the_short_recipe_trains_a_deeper_network_as_far(images):
    family = load_family(CONFIG.family)
    losses = []
    for depth in (1, 3):
        network = network_at(family, Scale(depth=depth), 3, name=CONFIG.family)
        config = dataclasses.replace(CONFIG, recipe=dataclasses.replace(SHORT, epochs=8, shift=1 / 12))
        (outcome,) = train_group(specs_of(network, config, images.identity)[:1], images)
        assert outcome.accuracy > 0.8
        losses.append(outcome.curve[-1].train_loss)
    assert losses[1] < losses[0] + 0.1


@pytest.mark.parametrize(("recipe", "zeros"), [(SHORT, True), (Recipe(), False)])
def test_networks_start_as_their_recipe_has_it(images, recipe, zeros):
    asked = []

    @dataclasses.dataclass(frozen=True)
    class Asked(PlainCNNFamily):
        zero_init_residual: bool = False

        def build(self, scale, num_classes, *, rngs):
            asked.append(self.zero_init_residual)
            return super().build(scale, num_classes, rngs=rngs)

    config = dataclasses.replace(CONFIG, recipe=dataclasses.replace(recipe, epochs=1))
    list(train_group(specs(images, config)[:1], images, Asked()))
    assert set(asked) == {zeros}


def test_seeds_share_one_program(outcomes):
    assert outcomes[0].seconds["compile"] > 0
    assert "compile" not in outcomes[1].seconds
    assert outcomes[0].curve != outcomes[1].curve


def test_training_and_evaluation_compile_once_for_all_seeds(images):
    compiled = []

    def listen(event, seconds, fun_name="", **_):
        if event.endswith("backend_compile_duration"):
            compiled.append(fun_name)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        list(train_group(specs(images), images))
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert compiled.count("jit(train)") == compiled.count("jit(evaluate)") == 1


def test_the_same_seed_gives_the_same_numbers_alone_or_in_company(images, outcomes):
    (alone,) = train_group(specs(images)[1:], images)
    assert alone.curve == outcomes[1].curve and alone.accuracy == outcomes[1].accuracy


def test_a_loss_that_is_no_number_names_its_step(images):
    config = dataclasses.replace(CONFIG, recipe=dataclasses.replace(CONFIG.recipe, learning_rate=1e45))
    for outcome in train_group(specs(images, config), images):
        assert outcome.status == "failed" and outcome.accuracy is None
        assert 1 <= outcome.failed_step <= 40
        assert f"at step {outcome.failed_step}" in outcome.reason


def test_the_test_split_judges_the_same_training(images, outcomes):
    tested = list(train_group(specs(images, test=True), images))
    assert [e.train_loss for e in tested[0].curve] == [e.train_loss for e in outcomes[0].curve]
    assert tested[0].accuracy * 36 == pytest.approx(round(tested[0].accuracy * 36))


def test_a_network_that_cannot_take_the_images_says_so(images):
    config = dataclasses.replace(CONFIG, family="tests.training.test_fit:Wrong")
    network = network_of(CONFIG)
    wrong = [dataclasses.replace(s, network=dataclasses.replace(network, family=config.family)) for s in specs(images)]
    with pytest.raises(UserError, match="cannot be trained on images of shape"):
        list(train_group(wrong, images))


class Wrong:
    name, resolution = "wrong", 10

    def build(self, scale, num_classes, *, rngs):
        from flax import nnx

        return nnx.Linear(7, num_classes, rngs=rngs)


def test_given_weights_are_where_training_starts(images, tmp_path):
    from flax import nnx

    from scaling_search.weights.files import digest_of, write_arrays
    from scaling_search.weights.transfer import export_weights

    network = network_of(CONFIG)
    file = tmp_path / "w.safetensors"
    write_arrays(file, export_weights(load_family(CONFIG.family).build(Scale(), 99, rngs=nnx.Rngs(9)), None), {})

    def curve(init):
        (outcome,) = train_group(specs_of(network, CONFIG, images.identity, init=init)[:1], images)
        return outcome.curve

    whole, head = (curve(Init(str(file), digest_of(file), trained)) for trained in ("all", "head"))
    assert len({curve(None)[0].train_loss, whole[0].train_loss, head[0].train_loss}) == 3
    assert whole[-1].train_loss < head[-1].train_loss < head[0].train_loss
