import gc

import pytest

from scaling_search.uncollected import uncollected


@pytest.mark.parametrize("collects", [True, False])
def test_garbage_collection_is_put_off_and_is_then_as_before(collects):
    was = gc.isenabled()
    try:
        (gc.enable if collects else gc.disable)()
        with pytest.raises(KeyError), uncollected():
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled() == collects
    finally:
        (gc.enable if was else gc.disable)()
