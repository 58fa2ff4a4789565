from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling_search.errors import UserError
from scaling_search.runners.agenda import Agenda, in_groups
from scaling_search.runners.local import run_here
from scaling_search.trial import Outcome, to_record
from tests.runners.fake_training import DATA, Notes, accuracy_of, seeds_of, train


def run(plan, finished=None):
    notes = Notes()
    result = run_here(plan, train, DATA, finished=finished or {}, on_outcome=notes.record, watchers=[notes])
    return result, notes


def one_batch(specs):
    outcomes = yield specs
    return [outcomes[spec.key] for spec in specs]


def test_a_plan_is_sent_the_outcome_of_each_spec_by_its_key():
    specs = [*seeds_of("a", 0, 1), *seeds_of("b", 0)]
    outcomes, notes = run(one_batch(specs))
    assert [outcome.accuracy for outcome in outcomes] == [accuracy_of(spec) for spec in specs]
    assert list(notes.recorded.values()) == outcomes


def test_plans_compose_by_yield_from():
    def both():
        first = yield from one_batch(seeds_of("a", 0))
        second = yield from one_batch(seeds_of("b", 0, 1))
        return len(first), len(second)

    result, notes = run(both())
    assert result == (1, 2)
    assert notes.planned_batches == [(1, 0), (2, 0)]


def test_an_empty_batch_is_answered_with_no_outcomes():
    def hollow():
        assert (yield []) == {}
        return (yield [])

    assert run(hollow())[0] == {}


def test_a_plan_may_ask_for_nothing_at_all():
    def silent():
        return "done"
        yield []

    assert run(silent())[0] == "done"


def test_watchers_are_told_the_outcomes_that_are_known():
    class Listener(Notes):
        def planned(self, specs, known):
            told.append(known)

    told = []
    old, new = seeds_of("a", 0, 1)

    def plan():
        yield [old]
        yield [old, new]

    record = to_record(old, Outcome("ok", accuracy=0.25))
    run_here(plan(), train, DATA, finished={old.key: record}, on_outcome=lambda *_: None, watchers=[Listener()])
    assert told == [{old.key: Outcome("ok", accuracy=0.25)}] * 2


def test_a_spec_named_twice_is_trained_once():
    twice = seeds_of("a", 0) + seeds_of("a", 0)
    outcomes, notes = run(one_batch(twice))
    assert outcomes[0] == outcomes[1]
    assert notes.order == [("a", 0)]
    assert notes.planned_batches == [(1, 0)]


def test_a_spec_of_an_earlier_batch_is_not_trained_again():
    def again():
        yield seeds_of("a", 0)
        outcomes = yield seeds_of("a", 0, 1)
        return len(outcomes)

    result, notes = run(again())
    assert result == 2
    assert notes.order == [("a", 0), ("a", 1)]
    assert notes.planned_batches == [(1, 0), (2, 1)]


def test_a_record_of_the_store_counts_as_done():
    old, new = seeds_of("a", 0, 1)
    record = to_record(old, Outcome("ok", accuracy=0.25))
    outcomes, notes = run(one_batch([old, new]), {old.key: record})
    assert outcomes[0].accuracy == 0.25
    assert list(notes.recorded) == [new.key]
    assert notes.planned_batches == [(2, 1)]


def test_a_record_of_another_shape_counts_as_none():
    (spec,) = seeds_of("a", 0)
    outcomes, _ = run(one_batch([spec]), {spec.key: {"outcome": {"status": "ok", "later": 1}}})
    assert outcomes[0].accuracy == accuracy_of(spec)


def test_the_most_expensive_network_goes_first():
    specs = [*seeds_of("small", 0, 1, multiply_adds=1), *seeds_of("large", 0, 1, multiply_adds=9)]
    _, notes = run(one_batch(specs))
    assert notes.order == [("large", 0), ("large", 1), ("small", 0), ("small", 1)]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=12), st.integers(1, 9))
def test_groups_hold_each_spec_once_and_one_network_each(named, slots):
    specs = [spec for name, seed in dict.fromkeys(named) for spec in seeds_of(name, seed, multiply_adds=ord(name))]
    groups = in_groups(specs, slots)
    assert sorted(spec.key for group in groups for spec in group) == sorted(spec.key for spec in specs)
    assert all(len({spec.network for spec in group}) == 1 for group in groups)
    assert len(groups) >= min(slots, len(specs))
    assert len(groups) <= max(slots, len({spec.network for spec in specs}))


def test_seeds_of_a_network_stay_together_while_there_is_work_for_every_slot():
    assert [len(group) for group in in_groups([*seeds_of("a", 0, 1, 2), *seeds_of("b", 0, 1, 2)], 2)] == [3, 3]
    assert [len(group) for group in in_groups(seeds_of("a", 0, 1, 2), 2)] == [2, 1]


def test_learning_rates_of_a_network_share_a_group_where_they_are_trained_in_one_program():
    slow = seeds_of("a", 0, 1)
    fast = [replace(spec, recipe=replace(spec.recipe, learning_rate=9.0)) for spec in slow]
    assert in_groups([*slow, *fast], 1) == [tuple(slow), tuple(fast)]
    assert in_groups([*slow, *fast], 1, rates_together=True) == [(*slow, *fast)]


def test_an_exception_makes_a_crashed_outcome_with_one_line_that_names_it():
    outcomes, _ = run(one_batch(seeds_of("break", 0)))
    assert outcomes == [Outcome("crashed", reason="ValueError: no way")]


def test_a_user_error_makes_a_crashed_outcome_with_its_message():
    outcomes, _ = run(one_batch(seeds_of("refuse", 0)))
    assert outcomes == [Outcome("crashed", reason=str(UserError("a batch of 9 given", "8 is all there is")))]


def test_a_training_that_ends_early_has_crashed():
    outcomes, _ = run(one_batch(seeds_of("stop", 0, 1)))
    assert [outcome.status for outcome in outcomes] == ["crashed", "crashed"]


def test_the_other_seeds_of_a_network_are_trained_where_one_crashes():
    outcomes, _ = run(one_batch(seeds_of("break_at_seed_1", 0, 1, 2)))
    assert [outcome.status for outcome in outcomes] == ["ok", "crashed", "ok"]


def test_what_is_raised_in_recording_ends_the_run_as_it_is():
    def full(spec, outcome):
        raise UserError("the disk is full")

    closed = []

    def plan():
        try:
            yield seeds_of("a", 0)
        finally:
            closed.append(True)

    with pytest.raises(UserError, match="the disk is full"):
        run_here(plan(), train, DATA, finished={}, on_outcome=full)
    assert closed == [True]


def test_what_a_plan_raises_ends_the_run_as_it_is():
    def plan():
        yield seeds_of("a", 0)
        raise UserError("no winner")

    with pytest.raises(UserError, match="no winner"):
        run(plan())


def test_lost_specs_are_tried_once_more_each_on_its_own_and_have_crashed_then():
    notes = Notes()
    with Agenda(one_batch(seeds_of("a", 0, 1)), finished={}, on_outcome=notes.record) as agenda:
        agenda.report_lost(agenda.next_group(), "it died")
        first, second = agenda.next_group(), agenda.next_group()
        assert (len(first), len(second)) == (1, 1)
        agenda.report_lost(first, "it died again")
        agenda.report(*second, Outcome("ok"))
        assert agenda.done
        assert agenda.result == [Outcome("crashed", reason="it died again"), Outcome("ok")]


def test_specs_may_be_lost_more_often_where_that_is_no_fault_of_theirs():
    with Agenda(one_batch(seeds_of("a", 0)), finished={}, on_outcome=lambda *_: None) as agenda:
        agenda.report_lost(agenda.next_group(), "it died")
        agenda.report_lost(agenda.next_group(), "Ray died", tries=3)
        agenda.report_lost(agenda.next_group(), "Ray died", tries=3)
        assert agenda.result == [Outcome("crashed", reason="Ray died")]


@pytest.mark.parametrize("slots", [1, 2])
def test_what_follows_is_what_the_same_trial_is_given_next(slots):
    """If the trials end in the order in which they began."""
    specs = [seeds_of(name, 0)[0] for name in "abcde"]
    with Agenda(one_batch(specs), finished={}, on_outcome=lambda spec, outcome: None) as agenda:
        given, expected = [], []
        while (group := agenda.next_group(slots)) is not None:
            given.append(group[0])
            expected.append(agenda.following(slots))
    assert expected == [*given[slots:], *[None] * slots]
