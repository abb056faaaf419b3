#!/usr/bin/env bash
# A SLURM array over the positions of an experiment, and one job at the end that makes tables and report.
#
#   bash examples/slurm.sh EXPERIMENT OUT          submit
#   bash examples/slurm.sh EXPERIMENT OUT --local  the same steps here, one after the other, to try them
#
# Tasks share OUT: each takes only its position's lock. Submitting again goes on where the last one stopped.
# To take failed positions up again: RETRY=--retry-failed bash examples/slurm.sh EXPERIMENT OUT
set -euo pipefail
experiment="${1:?usage: slurm.sh EXPERIMENT OUT [--local]}"
out="${2:?usage: slurm.sh EXPERIMENT OUT [--local]}"
retry="${RETRY:-}"
at_a_time="${AT_A_TIME:-50}"

# One line a position, and a last one that names the folder. A dry run writes nothing.
count=$(($(cicimage run "$experiment" -o "$out" --dry-run | wc -l) - 1))
last=$((count - 1))

if [ "${3:-}" = "--local" ]; then
  for index in $(seq 0 "$last"); do
    # 3 and 4: this position failed; it is named in the report, the others go on.
    cicimage run "$experiment" -o "$out" --task-index "$index" $retry || { code=$?; [ $code -eq 3 ] || [ $code -eq 4 ]; }
  done
  cicimage report "$out"
  exit
fi

array=$(sbatch --parsable --job-name=cicimage --array="0-${last}%${at_a_time}" --cpus-per-task=1 --mem=4G --time=04:00:00 \
  --output="slurm-%A_%a.log" --wrap="cicimage run '$experiment' -o '$out' --task-index \$SLURM_ARRAY_TASK_ID $retry")
sbatch --dependency="afterany:${array}" --job-name=cicimage-report --cpus-per-task=1 --mem=8G --time=01:00:00 \
  --wrap="cicimage report '$out'"
