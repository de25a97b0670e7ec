"""recovery-inside.py APUS KERNEL GUEST SECONDS INTERVAL SEED: see `recovery`, which runs this as root."""

import fcntl
import json
import os
import random
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

binary, kernel, guest, seconds, interval, seed = sys.argv[1:7]
seconds, interval = int(seconds), float(interval)
chosen = random.Random(int(seed))
TAP = "apusrec0"
# Of a guest that stands still: fio ends `seconds` after it began, whatever is killed.
PATIENCE = 2 * seconds + 240


def make_tap():
    """A network interface that stays when nobody has it open, with the address that the guest asks for."""
    with open("/dev/net/tun", "rb+", buffering=0) as tun:
        # TUNSETIFF with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR; TUNSETPERSIST.
        fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", TAP.encode(), 0x5002))
        fcntl.ioctl(tun, 0x400454CB, 1)
    subprocess.run(["busybox", "ifconfig", TAP, "10.77.0.1", "netmask", "255.255.255.0", "up"], check=True)


def remove_tap():
    with open("/dev/net/tun", "rb+", buffering=0) as tun:
        fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", TAP.encode(), 0x5002))
        fcntl.ioctl(tun, 0x400454CB, 0)


def echo(path):
    """Sends back what connections to port 5000 of the host's sockets bring."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def serve(client):
        with client:
            try:
                while data := client.recv(65536):
                    client.sendall(data)
            except OSError:
                pass

    def accept():
        while True:
            threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def inspect(path):
    """The machine's devices that have processes, as `apus inspect --json` has them."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(path)
        client.sendall(b"inspect --json\n")
        answer = b""
        while piece := client.recv(65536):
            answer += piece
    verdict, report = answer.split(b"\n", 1)
    if verdict != b"ok":
        sys.exit(f"inspect: {verdict.decode()}")
    return [device for device in json.loads(report)["devices"] if device["isolated"]]


class Console:
    """What the guest prints, line by line."""

    def __init__(self, process):
        self.lines, self.condition, self.is_open = [], threading.Condition(), True
        threading.Thread(target=self.read, args=[process.stdout], daemon=True).start()

    def read(self, stream):
        for line in stream:
            with self.condition:
                self.lines.append(line.decode(errors="replace").rstrip())
                self.condition.notify_all()
        with self.condition:
            self.is_open = False
            self.condition.notify_all()

    def wait_for(self, marker, timeout):
        """Waits for a line that begins with the marker; false if none came in time, or none will."""
        with self.condition:
            self.condition.wait_for(lambda: self.said(marker) is not None or not self.is_open, timeout)
            return self.said(marker) is not None

    def said(self, marker):
        """The rest of the first line that begins with the marker."""
        return next((line[len(marker):] for line in self.lines if line.startswith(marker)), None)


class Kills:
    """Kills processes, and notes when others had taken over."""

    def __init__(self, control):
        self.control, self.count, self.killed, self.latencies = control, {}, {}, {}

    def look(self):
        """The devices; what was recovered since it was killed is noted."""
        devices = inspect(self.control)
        for device in devices:
            name, since = device["name"], device["servedSince"]
            if device["state"] == "failed":
                sys.exit(f"{name} has failed: {device['reason']}")
            if name in self.killed and since is not None and since > self.killed[name]:
                self.latencies.setdefault(name, []).append(since - self.killed.pop(name))
        return devices

    def kill(self):
        device = chosen.choice([device for device in self.look() if device["process"]])
        name = device["name"]
        # One that is killed again before it was taken over counts from its first death.
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        try:
            os.kill(device["process"], signal.SIGKILL)
        except ProcessLookupError:
            return
        self.killed.setdefault(name, now)
        self.count[name] = self.count.get(name, 0) + 1

    def settle(self):
        """Waits until all are served again."""
        end = time.monotonic() + 60
        while self.look() and self.killed:
            if time.monotonic() > end:
                sys.exit(f"not served again after 60 s: {', '.join(self.killed)}")
            time.sleep(0.2)

    def report(self):
        print(f"{'device':10} {'kills':>6} {'recovered':>10} {'median, ms':>11} {'worst, ms':>10}")
        every = [value for values in self.latencies.values() for value in values]
        for name in sorted(self.count) + ["all"]:
            values = every if name == "all" else self.latencies.get(name, [])
            count = sum(self.count.values()) if name == "all" else self.count[name]
            print(
                f"{name:10} {count:6} {len(values):10} {statistics.median(values) / 1e6:11.1f}"
                f" {max(values) / 1e6:10.1f}"
            )


def latencies(fields, first, what):
    """What a line of fio's terse format, version 3, has of one direction, which begins at `first`."""
    shares = dict(field.split("=") for field in fields[first + 12:first + 32])
    percentiles = {share.rstrip("%").rstrip("0").rstrip("."): value for share, value in shares.items()}
    shown = ", ".join(f"{share} % {int(percentiles[share]) / 1000:.1f}" for share in ["50", "99", "99.9"])
    return (
        f"fio {what}: {int(fields[first]) / 1024:.0f} MiB, completion in ms: {shown}, worst {int(fields[first + 9]) / 1000:.1f}"
    )


def run(folder):
    disk, control, log = f"{folder}/disk", f"{folder}/control", f"{folder}/log"
    with open(disk, "wb") as file:
        file.truncate(64 << 20)
    command = [
        binary, "run", kernel, "--accel", "kvm", "--memory", "384M", "--initrd", f"{guest}/initrd.cpio",
        "--disk", disk, "--disk", f"{guest}/tools.img,readonly", "--net", f"tap={TAP}",
        "--vsock", f"cid=3,path={folder}/vsock", "--isolate", "devices", "--control", control,
        "--append", f"console=ttyS0 quiet panic=-1 no_timer_check apus.seconds={seconds} apus.steady apus.others",
    ]
    with open(log, "wb") as errors:
        machine = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
        )
    console, kills = Console(machine), Kills(control)
    try:
        if not console.wait_for("VERIFY: started", 120):
            sys.exit("the guest did not start")
        due = time.monotonic()
        # The devices are killed until fio has ended, as the guest measures time.
        while not console.wait_for("VERIFY: written", max(0, due - time.monotonic())):
            if not console.is_open or time.monotonic() - due > PATIENCE:
                sys.exit("the guest ended early")
            kills.kill()
            due = max(due + interval, time.monotonic())
        kills.settle()
        # The guest waits for this before it ends.
        echo(f"{folder}/vsock_5000")
        console.wait_for("VERIFY: ok", 180)
        try:
            code = machine.wait(timeout=60)
        except subprocess.TimeoutExpired:
            sys.exit("the guest does not end")
        if console.said("VERIFY: ok") is None or code != 0:
            sys.exit(f"the guest ended with {code}")
        kills.report()
        fields = console.said("VERIFY: fio ").split(";")
        print(latencies(fields, 5, "reads and compares"))
        print(latencies(fields, 46, "writes"))
        for line in console.lines:
            if line.startswith("VERIFY: pings") or line.startswith("VERIFY: entropy"):
                print(line.removeprefix("VERIFY: "))
        print(f"errors: {fields[4]}; blocks that differ: 0; the file system is whole")
    except (SystemExit, OSError):
        print("\n".join(console.lines[-20:]), file=sys.stderr)
        with open(log, errors="replace") as errors:
            print("".join(errors.readlines()[-30:]), file=sys.stderr)
        raise
    finally:
        machine.kill()
        machine.wait()


make_tap()
place = tempfile.mkdtemp(dir="/run" if os.access("/run", os.W_OK) else None, prefix="apus-recovery.")
try:
    run(place)
finally:
    shutil.rmtree(place, ignore_errors=True)
    remove_tap()
