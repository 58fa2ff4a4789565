"""python -m tests.answers: the coverage of docs/answers.md, by more runs than the tests have time for."""

import numpy as np

from tests.answers.coverage import BEYOND, doubted, gains_covered, laws_covered, networks_covered, winners_covered
from tests.answers.scenes import DEFAULT_RUN, LAWS, SCENES

RUNS = 200

for name, scene in SCENES.items():
    networks, warned = networks_covered(scene, RUNS)
    best = networks[:, scene.truth.argmax()].mean()
    winners, excess = winners_covered(scene, RUNS)
    selecting, fresh = 100 * excess.mean(0)
    print(
        f"{name:36} networks {networks.mean():.3f}, the best of them {best:.3f}; "
        f"confirmed winner {winners.mean():.3f}, its mean {fresh:+.1f} points off, of the selecting seeds "
        f"{selecting:+.1f}; collapses warned of {warned.any(1).mean():.2f}",
        flush=True,
    )
for name in ("equal deviations", "unlike deviations", "seeds with a strong effect", "as the default run"):
    hits, widths = gains_covered(SCENES.get(name, DEFAULT_RUN), RUNS)
    (by_fresh, by_same), wide = hits.mean(0), 100 * np.median(widths, 0)
    print(
        f"{name:36} gain of the confirmed winner {by_fresh:.3f}, {wide[0]:.1f} points wide; of the next model "
        f"{by_same:.3f}, {wide[1]:.1f} points wide",
        flush=True,
    )
for name, law in LAWS.items():
    for collapse in (None, 0.05):
        hits, widths = laws_covered(law, RUNS // 2, collapse=collapse)
        parts = zip(BEYOND, hits.mean(0), 100 * np.median(widths, 0), strict=True)
        print(
            f"{name + (', collapses' if collapse else ''):36} all {hits.mean():.3f} of {len(hits)} runs;",
            "; ".join(f"at {x:g}x {hit:.3f}, {width:.1f} points wide" for x, hit, width in parts),
            flush=True,
        )
print(f"{'accuracy falling with size':36} nothing predicted, with the reason {doubted(RUNS // 5):.2f}")
