"""STEP 1 for several numbers of epochs: regions side by side, and whether the best shares move with training."""

from dataclasses import replace

import numpy as np
import pytest
from made_up import CONFIG, network_of, spec_of
from made_up_shares import PEAK, document, write

from scaling_search.analysis import findings_of, load_run
from scaling_search.analysis.findings.epochs import moved
from scaling_search.analysis.statistics.surface import fit_surface
from scaling_search.analysis.text.epochs import verdict
from scaling_search.analysis.text.steps import findings_text
from scaling_search.errors import UserError
from scaling_search.store import start_run
from scaling_search.trial import Outcome, to_record

EPOCHS = CONFIG.recipe.epochs
ELSEWHERE = (0.7, 0.2, 0.1)


def shorter(directory, tree, epochs, peak, noise=0.004):
    """Trains every network for fewer epochs: worse, with the best shares elsewhere."""
    at = {row["network"]: row for row in (*tree["points"], *tree["rivals"])}
    for name, network in tree["networks"].items():
        for seed in CONFIG.all_seeds:
            own = float(np.random.default_rng([seed, epochs, *name.encode()]).normal(0, noise))
            place = [at[name][f"{part}_share"] for part in ("depth", "width", "resolution")] if name in at else peak
            accuracy = 0.7 - 0.4 * float(np.sum((np.array(place) - peak) ** 2)) + own
            spec = spec_of(network_of(network), seed)
            spec = replace(spec, recipe=replace(spec.recipe, epochs=epochs))
            directory.write_record(to_record(spec, Outcome("ok", accuracy, 0.3, device="cpu")))


@pytest.fixture(scope="module", params=[ELSEWHERE, PEAK], ids=["moving", "still"])
def both(request, tmp_path_factory):
    """A run that has done STEP 1 for 3 and for all epochs, and whether its best shares move."""
    config = replace(CONFIG, runs=str(tmp_path_factory.mktemp("runs")), shorter=(3,))
    directory, tree = start_run(config, "made-up:0"), document()
    shorter(directory, tree, 3, request.param)
    write(directory, tree)
    return findings_of(load_run(directory.path)), request.param == ELSEWHERE


def test_each_number_of_epochs_has_its_region(both):
    found, moving = both
    table = found.epochs.set_index("epochs")
    assert list(table.index) == [3, EPOCHS] == list(found.by_epochs.regions)
    centre = table[["depth_share", "width_share", "resolution_share"]].to_numpy()
    assert centre == pytest.approx(np.array([ELSEWHERE if moving else PEAK, PEAK]), abs=0.12)
    last = table.loc[EPOCHS]
    assert (last["alpha"], last["val_accuracy"]) == (found.winner.alpha, found.winner.val_accuracy)
    assert last[["depth_moved", "depth_moved_low", "width_moved", "resolution_moved"]].isna().all()


def test_the_answer_is_that_of_all_epochs(both):
    found, _ = both
    assert set(found.run.trials["epochs"]) == {EPOCHS} and set(found.run.shorter["epochs"]) == {3}
    assert found.winner.val_accuracy > 0.8 and set(found.run.curves["key"]) <= set(found.run.trials["key"])


def test_it_says_whether_the_best_shares_move(both):
    found, moving = both
    assert found.by_epochs.moves is moving
    first = found.epochs.iloc[0]
    assert (first["depth_moved_low"] > 0) == moving
    said = verdict(found.by_epochs)
    assert said.startswith("The best shares of growth move" if moving else "Nothing says that")


def test_table_figure_and_report_show_it(both):
    found, _ = both
    assert "STEP 1 by epochs\nepochs" in findings_text(found) and verdict(found.by_epochs)[:60] in findings_text(found)
    labels = [text.get_text() for text in found.figure("epochs").legends[0].get_texts()]
    assert labels == ["3 epochs", f"{EPOCHS} epochs"]
    page = found.report().read_text(encoding="utf-8")
    assert 'id="epochs-triangle"' in page and verdict(found.by_epochs)[:60] in page


def test_a_run_of_one_number_of_epochs_has_no_such_figure(findings):
    assert findings.by_epochs is None and findings.epochs is None
    with pytest.raises(UserError, match="several numbers of epochs"):
        findings.figure("epochs")


def test_the_interval_of_a_shift_holds_it():
    random = np.random.default_rng(0)
    shares = np.array([[i, j, 3 - i - j] for i in range(4) for j in range(4 - i)]) / 3

    def surface(peak):
        accuracy = 0.8 - 0.3 * ((shares - peak) ** 2).sum(1) + random.normal(0, 0.006, len(shares))
        return fit_surface(shares, accuracy, np.full(len(shares), 0.006**2), 20.0)

    for first, last in ((PEAK, PEAK), (ELSEWHERE, PEAK)):
        for _ in range(5):
            low, high = moved(surface(first), surface(last), 0.975)
            assert (low <= np.subtract(first, last)).all() and (np.subtract(first, last) <= high).all()
