import subprocess
import sys

import pytest

from scaling_search.runners.ray import guardian

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_when_its_stdin_closes_it_ends_who_writes_to_the_folder_and_removes_it(tmp_path):
    folder, beside = tmp_path / "session", tmp_path / "beside"
    (folder / "logs").mkdir(parents=True)
    log, other = folder / "logs" / "out", beside / "out"
    beside.mkdir()
    log.touch()
    with open(log, "a") as into, open(log) as from_, open(other, "w") as elsewhere:
        writer = subprocess.Popen(SLEEP, stdout=into)
        others = [subprocess.Popen(SLEEP, stdin=from_), subprocess.Popen(SLEEP, stdout=elsewhere)]
    watch = subprocess.Popen([sys.executable, "-I", "-S", guardian.__file__, str(folder)], stdin=subprocess.PIPE)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            watch.wait(0.3)
        assert folder.exists()
        watch.communicate(timeout=10)
        assert not folder.exists()
        assert writer.wait(5) == -9
        assert [process.poll() for process in others] == [None, None]
    finally:
        for process in (writer, *others, watch):
            process.kill()
            process.wait()
