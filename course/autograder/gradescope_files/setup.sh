#!/usr/bin/env bash
# Gradescope runs this once, as root, when it builds the image.
# PyTorch's ordinary Linux wheel brings CUDA along, about 3 GB; its CPU index has one of 0.2 GB. Set TORCH_INDEX to
# the index you prefer, or to nothing for pip's own.
set -euo pipefail
TORCH_INDEX=${TORCH_INDEX-https://download.pytorch.org/whl/cpu}
here=$(cd "$(dirname "$0")" && pwd)
if ! python3 -m venv --help >/dev/null 2>&1 || ! python3 -c 'import ensurepip' 2>/dev/null; then
    apt-get update
    apt-get install -y --no-install-recommends python3 python3-venv
fi
python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python 3.10 or newer is needed"; exit 1; }
python3 -m venv /opt/grader
lists=$(mktemp -d)
grep -E '^torch(vision)?==' "$here/requirements.txt" > "$lists/torch.txt"
grep -vE '^torch(vision)?==' "$here/requirements.txt" > "$lists/others.txt"
/opt/grader/bin/pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} -r "$lists/torch.txt"
/opt/grader/bin/pip install --no-cache-dir -r "$lists/others.txt"
/opt/grader/bin/python "$here/torchvision_cure.py"
/opt/grader/bin/python -c 'import torch, torchvision, captum, matplotlib.font_manager'
chmod -R go+rX /opt/grader
