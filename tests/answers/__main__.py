"""python -m tests.answers: the coverage of docs/answers.md, by more runs than the tests have time for."""

from tests.answers.coverage import BEYOND, doubted, laws_covered, networks_covered, winners_covered
from tests.answers.scenes import LAWS, SCENES

RUNS = 200

for name, scene in SCENES.items():
    networks, warned = networks_covered(scene, RUNS)
    best = networks[:, scene.truth.argmax()].mean()
    winners, excess = winners_covered(scene, RUNS)
    selecting, fresh = 100 * excess.mean(0)
    print(
        f"{name:36} networks {networks.mean():.3f}, the best of them {best:.3f}; "
        f"confirmed winner {winners.mean():.3f}, its mean {fresh:+.1f} points off, of the selecting seeds "
        f"{selecting:+.1f}; collapses warned of {warned.mean():.2f}",
        flush=True,
    )
for name, law in LAWS.items():
    hits, widths = laws_covered(law, RUNS // 5)
    parts = zip(BEYOND, hits.mean(0), 100 * widths.mean(0), strict=True)
    print(
        f"{name:36}", "; ".join(f"at {x:g}x {hit:.2f}, {width:.1f} points wide" for x, hit, width in parts), flush=True
    )
print(f"{'accuracy falling with size':36} nothing predicted, with the reason {doubted(RUNS // 5):.2f}")
