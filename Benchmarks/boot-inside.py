"""Runs apus and QEMU in turn with one kernel and initrd; see the script boot beside this file."""

import os
import re
import statistics
import subprocess
import sys
import time

binary, kernel, initrd, tiny, rounds = sys.argv[1:6]
MEMORY = 128
MARKER = b"apus-init-reached"
QUIET = "console=ttyS0 quiet"


def qemu(machine):
    return [
        "qemu-system-x86_64", "-accel", "kvm", "-cpu", "host", "-machine", machine + ",memory-backend=ram",
        "-object", f"memory-backend-memfd,id=ram,size={MEMORY}M,share=on", "-m", f"{MEMORY}M",
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
        "-kernel", kernel, "-initrd", initrd, "-append",
    ]


COMMANDS = {
    "apus": [
        binary, "run", kernel, "--accel", "kvm", "--memory", f"{MEMORY}M", "--initrd", initrd, "--append",
    ],
    "qemu microvm,rtc=on": qemu("microvm,rtc=on"),
    "qemu pc": qemu("pc"),
    "qemu q35": qemu("q35"),
}


def start(command, mode):
    return subprocess.Popen(
        command + [f"{QUIET} apus.test={mode}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )


def wait_for(process, marker):
    """Reads until a whole line with the marker has come; returns the rest of that line."""
    seen = b""
    descriptor = process.stdout.fileno()
    while marker not in seen or b"\n" not in seen.split(marker)[1]:
        piece = os.read(descriptor, 4096)
        if not piece:
            sys.exit(f"the guest ended without {marker.decode()}: {seen[-300:].decode(errors='replace')}")
        seen += piece
    return seen.split(marker)[1].split(b"\n")[0]


def end(process):
    process.kill()
    process.wait()
    process.stdout.close()


def boot_time(command):
    begin = time.monotonic()
    process = start(command, "hello")
    uptime = wait_for(process, MARKER)
    elapsed = time.monotonic() - begin
    end(process)
    return elapsed, float(uptime)


def tiny_time(name):
    """From start to end of a process whose guest ends at once, at its first instructions."""
    command = list(COMMANDS[name])
    command[command.index(kernel)] = tiny
    where = command.index("--initrd" if name == "apus" else "-initrd")
    del command[where:where + 2]
    if name == "apus":
        command.insert(2, "--debug-exit")
    else:
        command[1:1] = ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
    begin = time.monotonic()
    process = subprocess.run(
        command + ["test=exit"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    if process.returncode % 2 == 0:
        sys.exit(f"{name}: the guest that ends at once ended with {process.returncode}")
    return time.monotonic() - begin


def memory(command):
    """KiB of Pss outside of guest RAM, once the guest idles."""
    process = start(command, "idle")
    wait_for(process, b"APUS-TEST: ok idle")
    time.sleep(1)
    total = 0
    is_ram = False
    with open(f"/proc/{process.pid}/smaps") as maps:
        for line in maps:
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                is_ram = "/memfd:" in line
            elif line.startswith("Pss:") and not is_ram:
                total += int(line.split()[1])
    end(process)
    return total


def main():
    times = {name: [] for name in COMMANDS}
    kernels = {name: [] for name in COMMANDS}
    starts = {name: [] for name in COMMANDS}
    sizes = {name: [] for name in COMMANDS}
    for index in range(int(rounds)):
        for name, command in COMMANDS.items():
            elapsed, uptime = boot_time(command)
            times[name].append(elapsed)
            kernels[name].append(uptime)
            starts[name].append(tiny_time(name))
            if index < 3:
                sizes[name].append(memory(command))
    print(f"{'':22} {'to /init, s':>28} {'of it the':>12} {'a guest that':>14} {'Pss less':>10}")
    print(
        f"{'':22} {'median':>10} {'min':>8} {'max':>8} {'kernel, s':>12} {'only ends, s':>14} {'RAM, MiB':>10}"
    )
    for name in COMMANDS:
        values = times[name]
        print(
            f"{name:22} {statistics.median(values):10.2f} {min(values):8.2f} {max(values):8.2f}"
            f" {statistics.median(kernels[name]):12.2f} {statistics.median(starts[name]):14.2f}"
            f" {statistics.median(sizes[name]) / 1024:10.1f}"
        )
    fastest = min((statistics.median(times[name]), name) for name in COMMANDS if name != "apus")
    ratio = statistics.median(times["apus"]) / fastest[0]
    print(f"apus takes {ratio:.2f} times as long as the fastest, {fastest[1]}")


main()
