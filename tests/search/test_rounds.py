"""STEP 1 in rounds, as a plan: no training, and no statistics but what a test makes up."""

from dataclasses import replace

import pytest

from scaling_search.config import RunConfig
from scaling_search.errors import UserError
from scaling_search.rule import Scale
from scaling_search.search.rounds import ROUND, Decision, check_trainings, in_rounds, most_trainings
from scaling_search.trial import Network, Outcome

NETWORKS = [Network("made_up", (), Scale(), 16, 10, name, 1, 1, 1) for name in "abc"]
CONFIG = RunConfig(seeds=2, certainty=0.9, seed=5)


def to_one(name, enough=20):
    """Gives every further training to one network, and is sure after `enough` of it."""

    def decide(accuracies, exhausted, size):
        sure = min(0.9, len(accuracies[name]) / enough)
        return Decision(sure, {} if name in exhausted or size < 1 else {name: size})

    return decide


def carried_out(config=CONFIG, decide=None, outcome=lambda spec: Outcome("ok", 0.5), also=()):
    """The batches of the plan as (network, seed), the rounds as they were told, and the result."""
    told, batches = [], []
    plan = in_rounds(NETWORKS, config, "data:0", decide=decide or to_one("a"), on_news=told.append, also=also)
    specs = next(plan)
    while True:
        batches.append([(spec.network.fingerprint, spec.seed) for spec in specs])
        try:
            specs = plan.send({spec.key: outcome(spec) for spec in specs})
        except StopIteration as stop:
            return batches, told, stop.value


def test_every_network_is_trained_from_the_first_seeds_then_who_matters_from_the_next():
    batches, _, rounds = carried_out()
    assert batches[0] == [(name, seed) for name in "abc" for seed in (5, 6)]
    assert [seed for batch in batches[1:] for name, seed in batch if name == "a"] == list(range(7, 7 + 2 * ROUND))
    assert all(len(batch) == ROUND and {name for name, _ in batch} == {"a"} for batch in batches[1:])
    assert rounds.seeds == {"a": 18, "b": 2, "c": 2} and rounds.spent == 22


def test_rounds_are_told_before_they_are_trained_and_after_the_last():
    _, told, rounds = carried_out()
    assert [len(one.rounds) for one in told] == [1, 2, 3, 3]
    assert told[-1] == rounds and rounds.sure == 0.9
    going_on = told[1].document()["rounds"]
    assert going_on[0]["sure"] == pytest.approx(0.1) and going_on[1] == {"trainings": {"a": 8}, "sure": None}


def test_the_trainings_allowed_are_spent_and_no_more_and_more_continue_the_same_rounds():
    short, _, rounds = carried_out(replace(CONFIG, max_trainings=17))
    assert rounds.spent == 17 and rounds.sure < 0.9
    longer, _, _ = carried_out()
    trained = [one for batch in short for one in batch]
    assert trained == [one for batch in longer for one in batch][: len(trained)]


def test_a_network_of_which_nothing_more_can_be_had_gets_no_more():
    def outcome(spec):
        return Outcome("ok", 0.5) if spec.seed < 9 else Outcome("missing", reason="not in the table")

    batches, _, rounds = carried_out(outcome=outcome)
    assert rounds.exhausted == {"a"} and rounds.seeds == {"a": 4, "b": 2, "c": 2} and rounds.spent == 8
    assert len(batches) == 3 and len(rounds.rounds) == 2


def test_trainings_that_fail_are_spent_and_end_it_for_their_network():
    batches, _, rounds = carried_out(outcome=lambda spec: Outcome("failed") if spec.seed > 8 else Outcome("ok", 0.5))
    assert rounds.exhausted == {"a"} and rounds.spent == 6 + 2 * ROUND and len(batches) == 3


def test_what_else_is_to_be_trained_goes_with_the_first_round():
    from scaling_search.search.candidates import specs_of

    other = replace(NETWORKS[0], fingerprint="other")
    batches, _, rounds = carried_out(also=specs_of(other, CONFIG, "data:0"))
    assert batches[0][-2:] == [("other", 5), ("other", 6)]
    assert not any(name == "other" for batch in batches[1:] for name, _ in batch) and "other" not in rounds.seeds


def test_fewer_trainings_than_the_first_round_are_refused():
    check_trainings(replace(CONFIG, max_trainings=6), 3)
    with pytest.raises(UserError, match=r"--max-trainings 5 given.*first round alone takes 6.*3 networks from 2 seeds"):
        check_trainings(replace(CONFIG, max_trainings=5), 3)
    assert most_trainings(CONFIG, 3) == 60


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"certainty": 0.5}, "certainty 0.5 given.*between 0.5 and 1"),
        ({"certainty": 90.0}, "certainty 90 given"),
        ({"certainty": 0.9, "within": 0.0}, "within 0 given.*above 0 points"),
        ({"max_trainings": 100}, "--max-trainings given without --certainty"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_line(wrong, message):
    with pytest.raises(UserError, match=message):
        RunConfig(**wrong)
