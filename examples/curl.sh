#!/usr/bin/env bash
# curl alone: the video as a binary tensor behind a JSON header, the verdict as JSON on standard output.
#   examples/curl.sh clip.mp4 [localhost:8000]
set -euo pipefail
clip=$1 server=${2:-localhost:8000}
bytes=$(stat -c %s "$clip")

# A BYTES tensor is its length as four bytes, little end first, and its content.
length=$(printf '\\x%02x' $((bytes & 255)) $((bytes >> 8 & 255)) $((bytes >> 16 & 255)) $((bytes >> 24 & 255)))
header='{"inputs": [
  {"name": "VIDEO", "shape": [1, 1], "datatype": "BYTES", "parameters": {"binary_data_size": '$((bytes + 4))'}},
  {"name": "OPTIONS", "shape": [1, 1], "datatype": "BYTES", "data": ["{\"policy\": \"exhaustive\"}"]}
]}'

{ printf '%s' "$header"; printf "$length"; cat "$clip"; } |
  curl --silent --show-error --fail-with-body --max-time 300 \
    --header "Inference-Header-Content-Length: ${#header}" --header "Content-Type: application/octet-stream" \
    --data-binary @- "http://$server/v2/models/deepfake_detector/infer" |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["outputs"][0]["data"][0])'
