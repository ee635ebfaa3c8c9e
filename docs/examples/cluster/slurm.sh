#!/usr/bin/env bash
# A task on several nodes of Slurm: sbatch slurm.sh in.jsonl out.jsonl
# After a time limit or a lost node, the same command goes on with what is written.
#SBATCH --job-name=jnlp
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=08:00:00
set -euo pipefail
input=$1
output=$2
export RAY_USAGE_STATS_ENABLED=0 HF_HUB_OFFLINE=1

nodes=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=$(echo "$nodes" | head -n 1)
address=$(srun --nodes=1 --ntasks=1 -w "$head" hostname --ip-address | cut -d ' ' -f 1):6379

# The first node has the head. It does no task, so that reading and writing have its cores.
srun --nodes=1 --ntasks=1 -w "$head" \
  ray start --head --port=6379 --num-cpus=0 --include-dashboard=false --block &
sleep 20
for node in $(echo "$nodes" | tail -n +2); do
  srun --nodes=1 --ntasks=1 -w "$node" \
    ray start --address="$address" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
done
sleep 20

resume=()
if [ -e "$output.part" ]; then resume=(--resume); fi
jnlp embed "$input" -o "$output" --executor ray --ray-address "$address" --threads 8 --dtype bf16 "${resume[@]}"
