import os, ray, glob, sys
try:
    from scaling_search.runners.ray.private import init_on_loopback
    from pathlib import Path
    import tempfile
    d = Path(tempfile.mkdtemp(dir="/tmp"))
    init_on_loopback(d, num_cpus=16, object_store_memory=300*2**20, include_dashboard=False)
    print("RESOURCES", ray.cluster_resources())
except BaseException as e:
    print("FAILED", type(e).__name__, str(e)[-1500:])
    for f in glob.glob(str(d) + "/session_latest/logs/*"):
        if any(n in f for n in ("raylet", "gcs_server")):
            print("==", f); print(open(f, errors="replace").read()[-1500:])
