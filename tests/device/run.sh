#!/usr/bin/env bash
# Measures scaling-search on this machine's GPU, TPU or CPU: a table on the screen and device.json in OUT.
#
#     tests/device/run.sh OUT [--parts agreement going_on run steps trainings] [--seconds 360] [--small] [--cpu]
#
# Needs a checkout and Python with JAX for the device. What else is missing there comes from wheels (*.whl) and zipped
# packages (*.zip) in the folder that WHEELS names, .whl by default; no network is used. PYTHON names the interpreter.
set -u
began=$(date +%s)
cd "$(dirname "$0")/../.." || exit 2
out=$(realpath -m "${1:?usage: tests/device/run.sh OUT [OPTIONS]}")
shift
python=${PYTHON:-python3}
wheels=${WHEELS:-.whl}
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
mkdir -p "$out"
if compgen -G "$wheels/*.whl" >/dev/null; then
  "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$site" "$wheels"/*.whl \
    || echo "some wheels could not be installed" >&2
fi
"$python" tests/device/unpack.py "$site" "$wheels"/*.zip || exit 2
export PYTHONPATH="$site:$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
"$python" -m tests.device "$out" --began "$began" "$@"
