import subprocess
import sys

from scaling_search.experiments.beforehand import MODULES

CODE = """
import sys, time
from scaling_search.experiments.beforehand import MODULES, LoadsJudges

def loaded():
    return all(name in sys.modules for name in MODULES)

watcher = LoadsJudges()
watcher.started(2)
watcher.planned([], {})
time.sleep(0.2)
print(any(name in sys.modules for name in MODULES))
watcher.finished(None, None)
watcher.finished(None, None)
import pandas
print(pandas.DataFrame({"a": [1]})["a"].sum())
until = time.monotonic() + 60
while not loaded() and time.monotonic() < until:
    time.sleep(0.01)
print(loaded())
"""


def test_what_judges_is_loaded_once_a_training_has_ended_and_may_be_loaded_meanwhile():
    assert MODULES
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["False", "1", "True"]
