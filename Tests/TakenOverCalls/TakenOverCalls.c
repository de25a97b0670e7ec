#define _GNU_SOURCE 1
#include "TakenOverCalls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <linux/openat2.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define ATTEMPT(name) static long try_##name(int process)
#define UNUSED (void)process

ATTEMPT(open) { UNUSED; return open("/etc/passwd", O_RDONLY); }
ATTEMPT(open_proc) { UNUSED; return open("/proc/self/status", O_RDONLY); }
ATTEMPT(openat2) {
  UNUSED;
  struct open_how how = {.flags = O_RDONLY};
  return syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", &how, sizeof how);
}
ATTEMPT(create) { UNUSED; return open("/file", O_CREAT | O_WRONLY, 0600); }
ATTEMPT(make_folder) { UNUSED; return mkdir("/folder", 0700); }
ATTEMPT(remove) { UNUSED; return unlink("/tmp/apus-nothing"); }
ATTEMPT(rename) { UNUSED; return rename("/etc/passwd", "/etc/other"); }
ATTEMPT(link) { UNUSED; return link("/etc/passwd", "/tmp/other"); }
ATTEMPT(stat) { UNUSED; struct stat status; return stat("/etc/passwd", &status); }
ATTEMPT(read_link) { UNUSED; char text[64]; return readlink("/proc/self/exe", text, sizeof text); }
ATTEMPT(change_folder) { UNUSED; return chdir("/.."); }
ATTEMPT(change_mode) { UNUSED; return fchmod(2, 0777); }
ATTEMPT(list) { UNUSED; char bytes[1024]; return syscall(SYS_getdents64, 2, bytes, sizeof bytes); }
ATTEMPT(handle) { UNUSED; return syscall(SYS_open_by_handle_at, 2, NULL, 0); }

ATTEMPT(anonymous_memory) {
  UNUSED;
  return (long)mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}
ATTEMPT(growing_memory) {
  UNUSED;
  return (long)mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0);
}
// 4 GiB, of which nothing is touched.
ATTEMPT(take_memory) {
  UNUSED;
  for (int i = 0; i < 64; i++)
    if (mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
             0) == MAP_FAILED)
      return -1;
  return 0;
}
// The same, of what could not be written to at first.
ATTEMPT(open_memory) {
  UNUSED;
  char *start = mmap(NULL, (size_t)4 << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED) return -1;
  return mprotect(start, (size_t)4 << 30, PROT_READ | PROT_WRITE);
}

ATTEMPT(unix_socket) { UNUSED; return socket(AF_UNIX, SOCK_STREAM, 0); }
ATTEMPT(inet_socket) { UNUSED; return socket(AF_INET, SOCK_STREAM, 0); }
ATTEMPT(raw_socket) { UNUSED; return socket(AF_PACKET, SOCK_RAW, 0); }
ATTEMPT(netlink) { UNUSED; return socket(AF_NETLINK, SOCK_RAW, 0); }
ATTEMPT(machine_socket) { UNUSED; return socket(40, SOCK_STREAM, 0); }
ATTEMPT(datagrams) { UNUSED; int numbers[2]; return socketpair(AF_UNIX, SOCK_DGRAM, 0, numbers); }
ATTEMPT(linger) {
  UNUSED;
  int number = socket(AF_INET, SOCK_STREAM, 0);
  struct linger linger = {1, 3600};
  return setsockopt(number, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}
ATTEMPT(open_home) { UNUSED; return open("/root", O_RDONLY); }
ATTEMPT(open_run) { UNUSED; return open("/run", O_RDONLY); }
ATTEMPT(open_temporary) { UNUSED; return open("/tmp", O_RDONLY); }
ATTEMPT(open_null) { UNUSED; return open("/dev/null", O_RDONLY); }
ATTEMPT(connect) {
  UNUSED;
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/run/systemd/private"};
  return connect(2, (struct sockaddr *)&address, sizeof address);
}
ATTEMPT(bind) {
  UNUSED;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(4242)};
  return bind(2, (struct sockaddr *)&address, sizeof address);
}
ATTEMPT(listen) { UNUSED; return listen(2, 1); }
ATTEMPT(inet_connect) {
  UNUSED;
  int number = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(9)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return connect(number, (struct sockaddr *)&address, sizeof address);
}
ATTEMPT(abstract_connect) {
  UNUSED;
  int number = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "\0apus-taken-over"};
  return connect(number, (struct sockaddr *)&address, sizeof(sa_family_t) + 16);
}

ATTEMPT(fork) { UNUSED; return syscall(SYS_fork); }
ATTEMPT(vfork) { UNUSED; return syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0); }
ATTEMPT(clone) { UNUSED; return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }
ATTEMPT(clone_user) { UNUSED; return syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0); }
ATTEMPT(clone3) { UNUSED; return syscall(SYS_clone3, NULL, 0); }
ATTEMPT(execute) { UNUSED; char *none[] = {NULL}; return execve("/bin/true", none, none); }
ATTEMPT(execute_memory) {
  UNUSED;
  char *none[] = {NULL};
  return syscall(SYS_execveat, 2, "", none, none, AT_EMPTY_PATH);
}
ATTEMPT(trace) { return ptrace(PTRACE_ATTACH, process, 0, 0); }
ATTEMPT(read_memory) {
  char byte;
  struct iovec here = {&byte, 1}, there = {&byte, 1};
  return process_vm_readv(process, &here, 1, &there, 1, 0);
}
ATTEMPT(write_memory) {
  char byte = 0;
  struct iovec here = {&byte, 1}, there = {&byte, 1};
  return process_vm_writev(process, &here, 1, &there, 1, 0);
}
ATTEMPT(kill) { return kill(process, SIGKILL); }
ATTEMPT(kill_all) { UNUSED; return kill(-1, SIGKILL); }
ATTEMPT(thread_kill) { return syscall(SYS_tgkill, process, process, SIGKILL); }
ATTEMPT(queue_signal) { return syscall(SYS_rt_sigqueueinfo, process, SIGKILL, NULL); }
ATTEMPT(open_process) { return syscall(SYS_pidfd_open, process, 0); }
ATTEMPT(steal_descriptor) { UNUSED; return syscall(SYS_pidfd_getfd, 2, 0, 0); }
ATTEMPT(signal_process) { UNUSED; return syscall(SYS_pidfd_send_signal, 2, SIGKILL, NULL, 0); }
ATTEMPT(compare) { return syscall(SYS_kcmp, process, process, 0, 0, 0); }
ATTEMPT(priority) { return setpriority(PRIO_PROCESS, (id_t)process, -20); }
ATTEMPT(schedule) {
  struct sched_param parameter = {.sched_priority = 1};
  return sched_setscheduler(process, SCHED_FIFO, &parameter);
}
ATTEMPT(raise_limit) {
  UNUSED;
  struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
  return setrlimit(RLIMIT_NOFILE, &limit);
}

ATTEMPT(mount) { UNUSED; return mount("none", "/", "tmpfs", 0, ""); }
ATTEMPT(unmount) { UNUSED; return umount2("/", MNT_DETACH); }
ATTEMPT(open_tree) { UNUSED; return syscall(SYS_open_tree, AT_FDCWD, "/", 0); }
ATTEMPT(open_file_system) { UNUSED; return syscall(SYS_fsopen, "tmpfs", 0); }
ATTEMPT(pivot_root) { UNUSED; return syscall(SYS_pivot_root, ".", "."); }
ATTEMPT(change_root) { UNUSED; return chroot("/"); }
ATTEMPT(unshare) { UNUSED; return unshare(CLONE_NEWUSER); }
ATTEMPT(join) { UNUSED; return setns(2, 0); }
ATTEMPT(set_user) { UNUSED; return syscall(SYS_setuid, 0); }
ATTEMPT(set_group) { UNUSED; return syscall(SYS_setgid, 0); }
ATTEMPT(set_groups) { UNUSED; return syscall(SYS_setgroups, 0, NULL); }
ATTEMPT(set_capabilities) { UNUSED; return syscall(SYS_capset, NULL, NULL); }
ATTEMPT(host_name) { UNUSED; return sethostname("x", 1); }
ATTEMPT(set_time) { UNUSED; struct timespec now = {0}; return clock_settime(CLOCK_REALTIME, &now); }

ATTEMPT(bpf) { UNUSED; union bpf_attr attributes = {0}; return syscall(SYS_bpf, 0, &attributes, sizeof attributes); }
ATTEMPT(perf) {
  UNUSED;
  struct perf_event_attr attributes = {.size = sizeof attributes};
  return syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0);
}
ATTEMPT(page_faults) { UNUSED; return syscall(SYS_userfaultfd, 1); }
ATTEMPT(keys) { UNUSED; return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, -3, 0); }
ATTEMPT(add_key) { UNUSED; return syscall(SYS_add_key, "user", "x", "x", 1, -3); }
ATTEMPT(module) { UNUSED; return syscall(SYS_init_module, NULL, 0, ""); }
ATTEMPT(kernel) { UNUSED; return syscall(SYS_kexec_load, 0, 0, NULL, 0); }
ATTEMPT(reboot) { UNUSED; return syscall(SYS_reboot, 0, 0, 0, NULL); }
ATTEMPT(new_filter) { UNUSED; return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL); }
ATTEMPT(personality) { UNUSED; return syscall(SYS_personality, 0xffffffff); }
ATTEMPT(segment) { UNUSED; return syscall(SYS_modify_ldt, 0, NULL, 0); }
ATTEMPT(shared_memory) { UNUSED; return syscall(SYS_shmget, 1, 4096, 01600); }
ATTEMPT(message_queue) { UNUSED; return syscall(SYS_msgget, 1, 01600); }
ATTEMPT(dumpable) { UNUSED; return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); }
ATTEMPT(tracer) { UNUSED; return prctl(PR_SET_PTRACER, -1L, 0, 0, 0); }
ATTEMPT(handler) { UNUSED; return signal(SIGSYS, SIG_IGN) == SIG_ERR ? -1 : 0; }
ATTEMPT(ring) { UNUSED; return syscall(SYS_io_uring_setup, 1, NULL); }
ATTEMPT(terminal_input) { UNUSED; return ioctl(2, TIOCSTI, "x"); }
ATTEMPT(terminal_selection) { UNUSED; char mode = 3; return ioctl(2, TIOCLINUX, &mode); }
ATTEMPT(interface) {
  UNUSED;
  struct ifreq request = {.ifr_name = "lo"};
  return ioctl(2, SIOCGIFFLAGS, &request);
}
ATTEMPT(signal_owner) { return fcntl(2, F_SETOWN, process); }

ATTEMPT(make_executable) {
  UNUSED;
  void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return mprotect(page, 4096, PROT_READ | PROT_EXEC);
}
ATTEMPT(map_executable) {
  UNUSED;
  void *page = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return page == MAP_FAILED ? -1 : 0;
}
ATTEMPT(protection_key) {
  UNUSED;
  void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return syscall(SYS_pkey_mprotect, page, 4096, PROT_READ | PROT_EXEC, -1);
}
#if defined(__x86_64__)
// openat(2) by the gate of 32-bit programs.
ATTEMPT(old_gate) {
  UNUSED;
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory", "cc", "r8", "r9", "r10", "r11");
  return result;
}
ATTEMPT(x32) { UNUSED; return syscall(0x40000000 | 39); }
ATTEMPT(ports) { UNUSED; return syscall(SYS_iopl, 3); }
#endif

#define ENTRY(name) {#name, try_##name}

static const struct {
  const char *name;
  long (*body)(int process);
} attempts[] = {
    ENTRY(open), ENTRY(open_proc), ENTRY(openat2), ENTRY(create), ENTRY(make_folder), ENTRY(remove), ENTRY(rename), ENTRY(link),
    ENTRY(stat), ENTRY(read_link), ENTRY(change_folder), ENTRY(change_mode), ENTRY(list), ENTRY(handle), ENTRY(unix_socket),
    ENTRY(inet_socket), ENTRY(raw_socket), ENTRY(netlink), ENTRY(machine_socket), ENTRY(datagrams), ENTRY(linger), ENTRY(open_home), ENTRY(open_run),
    ENTRY(open_temporary), ENTRY(open_null), ENTRY(connect), ENTRY(bind), ENTRY(listen),
    ENTRY(anonymous_memory), ENTRY(growing_memory), ENTRY(take_memory), ENTRY(open_memory),
    ENTRY(inet_connect), ENTRY(abstract_connect), ENTRY(fork), ENTRY(vfork), ENTRY(clone), ENTRY(clone_user), ENTRY(clone3),
    ENTRY(execute), ENTRY(execute_memory), ENTRY(trace), ENTRY(read_memory), ENTRY(write_memory), ENTRY(kill), ENTRY(kill_all),
    ENTRY(thread_kill), ENTRY(queue_signal), ENTRY(open_process), ENTRY(steal_descriptor), ENTRY(signal_process), ENTRY(compare),
    ENTRY(priority), ENTRY(schedule), ENTRY(raise_limit), ENTRY(mount), ENTRY(unmount), ENTRY(open_tree),
    ENTRY(open_file_system), ENTRY(pivot_root), ENTRY(change_root), ENTRY(unshare), ENTRY(join), ENTRY(set_user),
    ENTRY(set_group), ENTRY(set_groups), ENTRY(set_capabilities), ENTRY(host_name), ENTRY(set_time), ENTRY(bpf), ENTRY(perf),
    ENTRY(page_faults), ENTRY(keys), ENTRY(add_key), ENTRY(module), ENTRY(kernel), ENTRY(reboot), ENTRY(new_filter),
    ENTRY(personality), ENTRY(segment), ENTRY(shared_memory), ENTRY(message_queue), ENTRY(dumpable), ENTRY(tracer),
    ENTRY(handler), ENTRY(ring), ENTRY(terminal_input), ENTRY(terminal_selection), ENTRY(interface), ENTRY(signal_owner),
    ENTRY(make_executable), ENTRY(map_executable), ENTRY(protection_key),
#if defined(__x86_64__)
    ENTRY(old_gate), ENTRY(x32), ENTRY(ports),
#endif
};
#define COUNT ((int)(sizeof attempts / sizeof attempts[0]))

int taken_over_is_sanitized(void) {
#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
  return 1;
#endif
#endif
  return 0;
}

int taken_over_count(void) { return COUNT; }

const char *taken_over_name(int index) { return attempts[index].name; }

long taken_over_try(const char *name, int process) {
  for (int i = 0; i < COUNT; i++) {
    if (strcmp(attempts[i].name, name) == 0) return attempts[i].body(process);
  }
  errno = ENOENT;
  return -1;
}
