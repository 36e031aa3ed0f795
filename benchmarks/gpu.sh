#!/usr/bin/env bash
# Measures the networks and whole videos on one NVIDIA GPU, out of a plain checkout: see docs/performance.md.
#   benchmarks/gpu.sh [--dry-run]    exit code 3 where there is no GPU: nothing is installed then
# Estimates, which no GPU has confirmed: 20 GB of disk and 8 GB of downloads (TensorRT 4, torch for the graphs 3, CUDA
# and cuDNN 2), 5 to 15 minutes for env, 5 for graphs, 2 to 10 for engines, 3 each for models, memory and pipeline.
# From the environment:
#   STAGES    which of env,graphs,engines,decoders,models,memory,pipeline,sharing, so that each call fits a slot (without
#             it all but the last); figures add up as long as commit, graphs and machine stay the same. decoders
#             measures nothing: it compares NVDEC's frames with ffmpeg's own
#   WHEELS    folder of wheels; nothing is downloaded then (pip's --no-index --find-links)
#   CLIP      the video; else a sample is made, which needs espeak-ng
#   MPS       yes: the networks run below a daemon of NVIDIA's Multi-Process Service, for STAGES=sharing; it ends with
#             the script. Of a MIG device set CUDA_VISIBLE_DEVICES=MIG-…; with neither the driver gives processes turns
#   PROFILES  bench (published architectures, random weights) and starter
#   VENV, WORK, ROUNDS
set -euo pipefail
cd "$(dirname "$0")/.."
stages=",${STAGES:-env,graphs,engines,decoders,models,memory,pipeline},"
read -ra profiles <<<"${PROFILES:-bench starter}"
venv=${VENV:-.venv-gpu}
work=${WORK:-runs/gpu}
python=$venv/bin/python
bench=(audio_wav2vec2 visual_sbi_b4 lipsync_lipforensics semantic_clip_vitl14)
starter=(audio_starter visual_starter lipsync_starter semantic_starter)
dry=
[ "${1:-}" = --dry-run ] && dry=yes

run() {
  if [ -n "$dry" ]; then echo "$*"; else "$@"; fi
}

chosen() {
  [[ $stages == *",$1,"* ]]
}

if [ -z "$dry" ] && ! nvidia-smi --list-gpus 2>/dev/null | grep '^GPU ' >/dev/null; then
  echo "benchmarks/gpu.sh: no NVIDIA GPU with its driver here (nvidia-smi lists none); nothing was installed" >&2
  exit 3
fi
if [ -n "${WHEELS:-}" ]; then
  PIP_FIND_LINKS=$(cd "$WHEELS" && pwd)
  export PIP_NO_INDEX=1 PIP_FIND_LINKS
fi

networks=()
for profile in "${profiles[@]}"; do
  case $profile in
    bench) networks+=("${bench[@]}") ;;
    starter) networks+=("${starter[@]}") ;;
    *) echo "benchmarks/gpu.sh: PROFILES are bench and starter, got $profile" >&2; exit 2 ;;
  esac
done

if chosen env; then
  run scripts/bootstrap "$venv" requirements/runtime.lock
  run "$python" -m pip uninstall -qq -y onnxruntime # its files lie where onnxruntime-gpu's will
  run "$python" -m pip install -qq --disable-pip-version-check -r requirements/gpu.txt
fi

if chosen graphs; then
  run mkdir -p "$work"
  run cp -ru model_repository/. "$work/fp32"
  for model in "${networks[@]}"; do
    if [ -f "$work/fp32/$model/1/model.onnx" ]; then
      continue
    elif [[ " ${bench[*]} " == *" $model "* ]]; then
      run scripts/bootstrap .venv-export requirements/runtime.lock requirements/dev.lock requirements/torch.txt
      run .venv-export/bin/python -m export "$model" --untrained --repository "$work/fp32" ${CLIP:+--clip "$CLIP"}
    else
      run "$venv/bin/veracity" install
      run cp -ru model_repository/. "$work/fp32"
    fi
  done
fi

# A network that becomes no engine does not stop the others: the table gives its reason.
build() {
  local precision=$1 model=$2 log=$work/$1/$2/engine.log
  rm -f "$work/$precision/$model/1/model.plan"
  if ! "$python" -m export "$model" --format tensorrt --precision "$precision" --repository "$work/$precision" \
    ${CLIP:+--clip "$CLIP"} 2>"$log"; then
    echo "no $precision engine of $model: $(tail -n 1 "$log")" >&2
  fi
}

if chosen engines; then
  run cp -ru "$work/fp32/." "$work/fp16"
  for precision in fp32 fp16; do
    for model in "${networks[@]}"; do
      run build "$precision" "$model"
    done
  done
fi

if chosen decoders; then
  run scripts/bootstrap "$venv-tests" requirements/runtime.lock requirements/dev.lock
  run "$venv-tests/bin/python" -m pytest -m gpu tests/media/test_nvdec.py
fi

measured=()
for stage in models memory pipeline sharing; do
  if chosen "$stage"; then measured+=("$stage"); fi
done
if [ ${#measured[@]} -gt 0 ]; then
  if [ -n "${MPS:-}" ]; then
    export CUDA_MPS_PIPE_DIRECTORY=$work/mps CUDA_MPS_LOG_DIRECTORY=$work/mps
    run mkdir -p "$work/mps"
    run nvidia-cuda-mps-control -d
    [ -n "$dry" ] || trap 'echo quit | nvidia-cuda-mps-control' EXIT
  fi
  run "$python" -m benchmarks gpu --profile "${profiles[@]}" --stages "${measured[@]}" --graphs "$work/fp32" \
    --fp16 "$work/fp16" --rounds "${ROUNDS:-20}" ${CLIP:+--clip "$CLIP"}
fi
