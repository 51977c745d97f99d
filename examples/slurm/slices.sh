#!/bin/bash
# One list, eight slices, any number of nodes: sbatch slices.sh LIST PROGRAM [ARG...]
#SBATCH --array=0-7 --cpus-per-task=4 --time=60 --requeue --open-mode=append --signal=B:USR1@120
list=$1
shift
near=false
mkdir -p reports
forkserver map --slice $((SLURM_ARRAY_TASK_ID + 1))/"$SLURM_ARRAY_TASK_COUNT" -a "$list" \
    --json "reports/$SLURM_ARRAY_TASK_ID" --resume -- "$@" &
trap 'kill -TERM $!; near=true' USR1 # the time limit is near: what runs may end
trap 'kill -HUP $!' TERM             # scancel: with Slurm's SIGTERM it is the second signal, and all ends
while kill -0 $!; do wait $!; done 2>/dev/null
wait $!
code=$?
[ "$near $code" != "true 143" ] || scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
exit $code
