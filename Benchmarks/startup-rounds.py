"""startup-rounds.py APUS GUEST ROUNDS: see `startup`, which runs this."""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

apus, guest, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
kinds = ["none", "devices"]


def start(folder, isolation):
    """Milliseconds until the guest's first line, and until the process has ended."""
    command = [
        apus, "run", guest, "--accel", "kvm", "--debug-exit", "--append", "test=exit", "--log-level", "error",
        "--disk", f"{folder}/disk", "--net", f"unix:{folder}/net,server", "--vsock", f"cid=3,path={folder}/vsock",
        "--console", f"file:{folder}/console", "--balloon", "size=0", "--isolate", isolation,
    ]
    begin = time.monotonic()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    line = process.stdout.readline()
    first = time.monotonic() - begin
    process.stdout.read()
    message = process.stderr.read().decode().strip()
    code = process.wait(timeout=30)
    end = time.monotonic() - begin
    if not line.startswith(b"apus test guest") or code != 1:
        sys.exit(f"startup: error: --isolate {isolation} ended with {code}: {message}")
    return first * 1e3, end * 1e3


folder = tempfile.mkdtemp(prefix="apus-startup.")
try:
    with open(f"{folder}/disk", "wb") as file:
        file.truncate(64 << 20)
    for kind in kinds:
        start(folder, kind)
    times = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind in kinds:
            times[kind].append(start(folder, kind))
finally:
    shutil.rmtree(folder, ignore_errors=True)

print(f"{os.cpu_count()} processors, Linux {os.uname().release}; medians of {rounds}, in ms")
print("| --isolate | guest's first line | least | more than none | end of the process |")
print("|---|---:|---:|---:|---:|")
base = statistics.median(first for first, _ in times["none"])
for kind in kinds:
    firsts = [first for first, _ in times[kind]]
    median = statistics.median(firsts)
    ends = statistics.median(end for _, end in times[kind])
    print(f"| {kind} | {median:.1f} | {min(firsts):.1f} | {median - base:.1f} | {ends:.1f} |")
