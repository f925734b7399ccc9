#!/usr/bin/env bash
# Workers of one lane as a Slurm array, one process per task:
#
#   sbatch --array=1-10 --time=08:00:00 --cpus-per-task=2 workers/slurm/workers.sh cpu
#   sbatch --array=1-40%4 --time=04:00:00 --gres=gpu:1 workers/slurm/workers.sh gpu --study NAME
#
# The first word is the lane, the rest goes to `fieldbase worker`. A task leaves before its
# allocation ends; one that Slurm takes away earlier hands its job back and is queued again.
#
# FIELDBASE_SIF      Apptainer image to run in (see fieldbase.def); without it `fieldbase` of PATH
#                    APPTAINER_BIND names the folders it needs: FIELDBASE_HOME, the recordings
# FIELDBASE_SECRETS  folder of password files, mounted as /run/secrets/datajoint in the image
# FIELDBASE_GRACE    seconds that a job at hand may take once told to stop (default 60); `scancel`
#                    kills after the cluster's KillWait (often 30), then the lease hands it back
# DJ_*, FIELDBASE_HOME, FIELDBASE_ROOTS as anywhere; sbatch hands them on.
#
#SBATCH --job-name=fieldbase
#SBATCH --output=fieldbase-%x-%A_%a.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
set -euo pipefail

NOTICE=120 # seconds before the end at which Slurm sends USR1, as asked for above

# Seconds in a time as Slurm writes it: [days-]hours:minutes:seconds or minutes:seconds.
seconds_of() {
  local text=$1 days=0 fields
  if [[ $text == *-* ]]; then
    days=${text%%-*}
    text=${text#*-}
  fi
  IFS=: read -r -a fields <<<"$text"
  while ((${#fields[@]} < 3)); do fields=(0 "${fields[@]}"); done
  echo $((10#$days * 86400 + 10#${fields[0]} * 3600 + 10#${fields[1]} * 60 + 10#${fields[2]}))
}

# Seconds this allocation has left; nothing where it has no end.
time_left() {
  if [[ -n ${SLURM_JOB_END_TIME:-} ]]; then
    echo $((SLURM_JOB_END_TIME - $(date +%s)))
    return
  fi
  local left
  left=$(squeue --noheader --jobs="${SLURM_JOB_ID:-}" --format=%L 2>/dev/null || true)
  left=${left//[[:space:]]/}
  if [[ $left =~ ^[0-9:-]+$ ]]; then
    seconds_of "$left"
  fi
}

# What to give --max-time: the time left without the notice and the grace.
max_time() {
  local left=$1 grace=$2
  echo $((left - NOTICE - grace))
}

# The worker that runs, told to stop; it hands back what it cannot finish in its grace.
stop_worker() {
  if [[ -n ${worker:-} ]]; then kill -TERM "$worker" 2>/dev/null || true; fi
}

# USR1 comes before Slurm takes the nodes away: stop, and be queued again. TERM comes of scancel
# too, and of a preemption that queues the job again by itself: only stop.
on_notice() {
  requeue=1
  stop_worker
}

main() {
  local lane=${1:?which lane: io, cpu or gpu} grace=${FIELDBASE_GRACE:-60} left command status
  shift
  : "${SLURM_JOB_ID:?this script is for sbatch; elsewhere type: fieldbase worker --lane $lane}"
  command=(fieldbase)
  if [[ -n ${FIELDBASE_SIF:-} ]]; then
    command=(apptainer run)
    if [[ -n ${CUDA_VISIBLE_DEVICES:-} ]]; then command+=(--nv); fi
    if [[ -n ${FIELDBASE_SECRETS:-} ]]; then
      command+=(--bind "$FIELDBASE_SECRETS:/run/secrets/datajoint:ro")
    fi
    command+=("$FIELDBASE_SIF")
    export FIELDBASE_IMAGE=${FIELDBASE_IMAGE:-$(basename "$FIELDBASE_SIF")}
  fi
  command+=(worker --lane "$lane" --grace "$grace")
  left=$(time_left)
  if [[ -n $left ]]; then
    if (($(max_time "$left" "$grace") < 1)); then
      echo "$left s are left of this allocation, a worker needs $((NOTICE + grace)) s to stop:" \
        "ask for more with --time" >&2
      return 2
    fi
    command+=(--max-time "$(max_time "$left" "$grace")")
  fi
  export OMP_NUM_THREADS=${OMP_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-1}}
  requeue=0
  trap on_notice USR1
  trap stop_worker TERM INT
  "${command[@]}" "$@" &
  worker=$!
  status=0
  wait "$worker" || status=$?
  while kill -0 "$worker" 2>/dev/null; do # a signal ends `wait`, not the worker
    status=0
    wait "$worker" || status=$?
  done
  if ((requeue)); then
    scontrol requeue "${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}}" ||
      scontrol requeue "$SLURM_JOB_ID"
  fi
  return "$status"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  main "$@"
fi
