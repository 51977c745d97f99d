#!/usr/bin/env bash
# The main job: thousands of files, each classified in a process of its own by a library that is loaded once; one worker
# crashes on purpose. demo.sh BUILD
set -eu
build=$(cd "$1" && pwd)
limit=${FORKSERVER_DEMO_FILES:-10000}
jobs=$(nproc)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

module=$build/examples/filetype.so
crash=$work/crash-on-purpose
echo "no parser survives me" >"$crash"

# The list: every regular file, in an order that mixes sizes, with the deadly one in the middle.
find /usr/share/doc /usr/lib -xdev -type f -print0 2>/dev/null | sort -z >"$work/all"
total=$(tr -cd '\0' <"$work/all" | wc -c)
shuf -z --random-source=<(yes) -n "$limit" "$work/all" >"$work/files"
count=$(tr -cd '\0' <"$work/files" | wc -c)
half=$((count / 2))
head -z -n "$half" "$work/files" >"$work/list"
printf '%s\0' "$crash" >>"$work/list"
tail -z -n +$((half + 1)) "$work/files" >>"$work/list"

echo "Of $total regular files below /usr/share/doc and /usr/lib: $count, and one that crashes its parser."
echo
echo "  forkserver map -j $jobs --preload filetype.so --call filetype.so:classify_or_crash"
start=$(date +%s.%N)
code=0
"$build/src/forkserver" map -0 -a "$work/list" -j "$jobs" --json "$work/json" --preload "$module" \
    --call "$module:classify_or_crash" >"$work/ours" 2>"$work/errors" || code=$?
end=$(date +%s.%N)
sed "s|$work/||; s|^|    |" "$work/errors"
echo "    exit code $code (123: some items failed)"

/usr/bin/python3 - "$work" "$count" "$(awk "BEGIN { print $end - $start }")" <<'PY'
import json, os, random, subprocess, sys
work, count, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
with open(work + "/json", encoding="utf-8") as file:
    results = [json.loads(line) for line in file]
assert len(results) == count + 1, f"{len(results)} results for {count + 1} items"
dead = [r for r in results if r["signal"] is not None]
assert [(os.path.basename(r["item"]), r["signal"]) for r in dead] == [("crash-on-purpose", 11)], dead
assert all(r["status"] == 0 for r in results if r["signal"] is None)
# A pid alone may come again within as many processes.
assert len({(r["pid"], r["start"]) for r in results if r["pid"]}) == len(results), "not a process for each item"
print(f"    {len(results)} items, a process each: 1 died by SIGSEGV, {len(results) - 1} exited with 0")
print(f"    {len(results) / seconds:.0f} files a second")

# "path: type" each; a path may hold a colon, so look answers up by the path.
with open(work + "/ours", "rb") as file:
    answers = dict(line.rsplit(b": ", 1) for line in file.read().splitlines())
random.seed(1)
lived = [os.fsencode(r["item"].encode("utf-8", "surrogateescape")) for r in results if r["signal"] is None]
sample = random.sample(lived, min(200, count))
ask = ["file", "--brief", "--mime-type", "--"]
wrong = [p for p in sample if subprocess.run([*ask, p], capture_output=True).stdout.strip() != answers.get(p)]
assert not wrong, f"file(1) says otherwise of {wrong[:3]}"
print(f"    file --brief --mime-type says the same of all {len(sample)} files of a sample")
PY

few=$((count < 2000 ? count : 2000))
head -z -n "$few" "$work/files" >"$work/few"
rate() { # seconds files
    awk "BEGIN { printf \"%.0f\", $2 / $1 }"
}
measure() {
    local start end
    start=$(date +%s.%N)
    "$@" >/dev/null
    end=$(date +%s.%N)
    awk "BEGIN { print $end - $start }"
}
echo
echo "The same $few files, -j $jobs:"
theirs=$(measure xargs -0 -a "$work/few" -P "$jobs" -n 1 file --brief --mime-type)
ours=$(measure "$build/src/forkserver" map -0 -a "$work/few" -j "$jobs" --preload "$module" --call "$module:classify")
echo "    xargs -P $jobs, one process of file(1) each    $(rate "$theirs" "$few") files a second"
echo "    forkserver map, one process each         $(rate "$ours" "$few") files a second"
