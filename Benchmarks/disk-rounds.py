"""disk-rounds.py APUS BLKIO-BENCH TMPFS-FOLDER DISK-FOLDER SECONDS ROUNDS: see `disk`, which runs this."""

import json
import os
import signal
import statistics
import subprocess
import sys
import time

apus, client, tmpfs, disk = sys.argv[1:5]
seconds, rounds = int(sys.argv[5]), int(sys.argv[6])
size = 512 << 20
depths = [1, 32, 128]
workloads = [("randread", 4096), ("randwrite", 4096), ("read", 131072)]


class Server:
    """A vhost-user server at a socket, ended with the block."""

    def __init__(self, command, socket):
        self.command, self.socket = command, socket

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        end = time.monotonic() + 10
        while not os.path.exists(self.socket):
            if self.process.poll() is not None or time.monotonic() > end:
                self.process.kill()
                message = self.process.communicate()[1].decode().strip()
                raise RuntimeError(message or "no socket after 10 s")
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if os.path.exists(self.socket):
            os.unlink(self.socket)


def measure(target, workload, block, depth):
    """Thousands of requests a second, and the mean latency in microseconds."""
    command = [
        client, f"--iodepth={depth}", f"--readwrite={workload}", f"--blocksize={block}",
        f"--runtime={seconds}", *target,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    # It leaves a comma behind the last field.
    figures = json.loads(done.stdout.replace(",\n  }", "\n  }"))["aggregate"]
    return figures["kiops"], figures["mean_lat_us"]


def vhost_user(socket):
    return ["virtio-blk-vhost-user", f"path={socket}"]


def storage_daemon(socket, driver):
    return Server(
        [
            "qemu-storage-daemon", "--object", "iothread,id=thread",
            "--blockdev", f"{driver},node-name=disk",
            "--export",
            "type=vhost-user-blk,id=export,node-name=disk,writable=on,"
            f"addr.type=unix,addr.path={socket},iothread=thread",
        ],
        socket,
    )


def compare(title, subjects, workloads):
    print(f"\n### {title}\n")
    names = list(subjects)
    print("| request | depth | " + " | ".join(f"{name}, kIOPS (µs)" for name in names) + " | "
          + " | ".join(f"to {name}" for name in names[1:]) + " |")
    print("|---|---|" + "---|" * (2 * len(names) - 1))
    for workload, block in workloads:
        for depth in depths:
            figures = {name: [] for name in names}
            for _ in range(rounds):
                for name in names:
                    figures[name].append(measure(subjects[name], workload, block, depth))
            rate = {name: statistics.median(f[0] for f in figures[name]) for name in names}
            wait = {name: statistics.median(f[1] for f in figures[name]) for name in names}
            cells = [f"{rate[name]:.1f} ({wait[name]:.1f})" for name in names]
            ratios = [f"{rate[names[0]] / rate[name]:.2f}" for name in names[1:]]
            print(f"| {workload} {block >> 10} KiB | {depth} | " + " | ".join(cells + ratios) + " |",
                  flush=True)


def on_file(title, folder):
    path = f"{folder}/disk.img"
    with open(path, "wb") as file:
        for _ in range(size >> 20):
            file.write(os.urandom(1 << 20))
        file.flush()
        os.fsync(file.fileno())
    ours, theirs = f"{tmpfs}/apus.sock", f"{tmpfs}/daemon.sock"
    # Each would lock the file against the other.
    driver = f"driver=file,filename={path},locking=off"
    with storage_daemon(theirs, driver), Server(
        [apus, "serve", "disk", path, "--vhost-user", ours], ours
    ):
        compare(
            title,
            {
                "apus": vhost_user(ours),
                "storage daemon": vhost_user(theirs),
                "the file itself": ["io_uring", f"path={path}"],
            },
            workloads,
        )
    os.unlink(path)


def on_nothing():
    ours, theirs = f"{tmpfs}/apus.sock", f"{tmpfs}/daemon.sock"
    try:
        with storage_daemon(theirs, f"driver=null-co,size={size},read-zeroes=off"), Server(
            [apus, "serve", "disk", f"null:{size}", "--vhost-user", ours], ours
        ):
            subjects = {"apus": vhost_user(ours), "storage daemon": vhost_user(theirs)}
            compare("Nothing behind the disk", subjects, workloads[:2])
    except RuntimeError as error:
        print(f"\nNothing behind the disk: not measured: {error}")


print(f"{os.cpu_count()} processors, Linux {os.uname().release}; medians of {rounds} runs of {seconds} s")
on_file("File on tmpfs", tmpfs)
on_file("File on disk, in the page cache", disk)
on_nothing()
