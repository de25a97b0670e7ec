#define _GNU_SOURCE 1
#include "CLinux.h"

#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/resource.h>
#include <sys/vfs.h>

int apus_memfd_create(const char *name, unsigned int flags) {
  return (int)syscall(SYS_memfd_create, name, flags);
}

int apus_is_size_sealed(int fd) {
  int seals = fcntl(fd, F_GET_SEALS);
  return seals < 0 ? -1 : (seals & F_SEAL_SHRINK) != 0;
}

int apus_seal_size(int fd) {
  return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

int apus_membarrier(int command, unsigned int flags) {
  return (int)syscall(SYS_membarrier, command, flags, 0);
}

int apus_prctl(int option, unsigned long argument) {
  return prctl(option, argument, 0, 0, 0);
}

int apus_gettid(void) { return (int)syscall(SYS_gettid); }

int apus_fallocate(int fd, int mode, off_t offset, off_t length) {
  return fallocate(fd, mode, offset, length);
}

int apus_set_thread_name(const char *name) {
  return pthread_setname_np(pthread_self(), name);
}

int apus_open(const char *path, int flags, mode_t mode) {
  return open(path, flags, mode);
}

int apus_fcntl(int fd, int command, long argument) {
  return fcntl(fd, command, argument);
}

// Never waits, whatever the descriptor's flags say (preadv2(2), RWF_NOWAIT).
ssize_t apus_read_now(int fd, void *bytes, size_t count) {
  struct iovec vector = {bytes, count};
  return preadv2(fd, &vector, 1, -1, RWF_NOWAIT);
}

ssize_t apus_preadv2(int fd, const struct iovec *segments, int count, off_t offset, int flags) {
  return preadv2(fd, segments, count, offset, flags);
}

ssize_t apus_pwritev2(int fd, const struct iovec *segments, int count, off_t offset, int flags) {
  return pwritev2(fd, segments, count, offset, flags);
}

const void *apus_zeroes(void) {
  // Not constant: then it takes no place in the program's file.
  static unsigned char zeroes[apus_zeroes_count] __attribute__((aligned(4096)));
  return zeroes;
}

int apus_ioctl_winsize(int fd, struct winsize *size) {
  return ioctl(fd, TIOCGWINSZ, size);
}

int apus_tgkill(int process, int thread, int signal) {
  return (int)syscall(SYS_tgkill, process, thread, signal);
}

int apus_wifexited(int status) { return WIFEXITED(status); }

int apus_wexitstatus(int status) { return WEXITSTATUS(status); }

int apus_wtermsig(int status) { return WTERMSIG(status); }

int apus_pidfd_open(int process) { return (int)syscall(SYS_pidfd_open, process, 0); }

int apus_pipe(int *numbers) { return pipe2(numbers, O_CLOEXEC); }

// What runs between fork and exec must be async-signal-safe, which no Swift code can promise.
int apus_spawn(const char *path, char *const *arguments, char *const *environment,
               const int *descriptors, int count, int own_group) {
  int failure[2];
  if (pipe2(failure, O_CLOEXEC) != 0) return -1;
  pid_t parent = getpid();
  pid_t child = fork();
  if (child == 0) {
    int code = 0;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    // What a terminal sends to those in front of it then passes the child by, and it cannot be stopped by reading
    // from one.
    if (own_group) setsid();
    // Copy all out of the way first: a target number may be the source of another.
    int base = failure[1] > count ? failure[1] + 1 : count;
    int moved[32];
    if (count > 32) code = EINVAL;
    for (int i = 0; code == 0 && i < count; i++) {
      if (descriptors[i] >= base) base = descriptors[i] + 1;
    }
    int report = code == 0 ? fcntl(failure[1], F_DUPFD_CLOEXEC, base) : -1;
    for (int i = 0; code == 0 && i < count; i++) {
      moved[i] = fcntl(descriptors[i], F_DUPFD_CLOEXEC, base);
      if (moved[i] < 0) code = errno;
    }
    for (int i = 0; code == 0 && i < count; i++) {
      if (dup2(moved[i], i) < 0) code = errno;
    }
    if (code == 0) {
      syscall(SYS_close_range, count, report - 1, 0);
      syscall(SYS_close_range, report + 1, ~0U, 0);
      prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
      // The parent may have died before the line above.
      if (getppid() != parent) _exit(127);
      execve(path, arguments, environment);
      code = errno;
    }
    ssize_t written = write(report, &code, sizeof code);
    (void)written;
    _exit(127);
  }
  int saved = errno;
  close(failure[1]);
  int code = 0;
  ssize_t size;
  while (child > 0 && (size = read(failure[0], &code, sizeof code)) < 0 && errno == EINTR) {
  }
  close(failure[0]);
  if (child < 0) {
    errno = saved;
    return -1;
  }
  if (code != 0) {
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
    errno = code;
    return -1;
  }
  return child;
}

int apus_lock_file(int fd, int exclusive) {
  struct flock whole = {.l_type = exclusive ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};
  return fcntl(fd, F_OFD_SETLK, &whole);
}

int apus_is_in_memory(int fd) {
  struct statfs status;
  return fstatfs(fd, &status) == 0 &&
         (status.f_type == TMPFS_MAGIC || status.f_type == RAMFS_MAGIC);
}

int apus_is_resident(const void *start, size_t count) {
  enum { page = 4096, batch = 64 };
  unsigned char states[batch];
  uintptr_t from = (uintptr_t)start & ~(uintptr_t)(page - 1);
  uintptr_t end = (uintptr_t)start + count;
  for (; from < end; from += (size_t)batch * page) {
    size_t pages = (end - from + page - 1) / page;
    if (pages > batch) pages = batch;
    if (mincore((void *)from, pages * page, states) != 0) return 0;
    for (size_t i = 0; i < pages; i++)
      if (!(states[i] & 1)) return 0;
  }
  return 1;
}

long apus_major_faults(void) {
  struct rusage usage;
  return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_majflt : 0;
}

int apus_o_direct(void) { return O_DIRECT; }

int apus_direct_alignment(int fd, uint32_t *memory, uint32_t *offset) {
#ifdef STATX_DIOALIGN
  struct statx status;
  if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) == 0 &&
      (status.stx_mask & STATX_DIOALIGN) != 0) {
    *memory = status.stx_dio_mem_align;
    *offset = status.stx_dio_offset_align;
    return 0;
  }
#endif
  return -1;
}

int apus_block_device_size(int fd, uint64_t *size) {
  return ioctl(fd, BLKGETSIZE64, size);
}

int apus_discard(int fd, int is_block_device, uint64_t offset, uint64_t count) {
  uint64_t range[2] = {offset, count};
  if (is_block_device) return ioctl(fd, BLKDISCARD, range);
  return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)count);
}

int apus_write_zeroes(int fd, int is_block_device, uint64_t offset, uint64_t count, int may_punch) {
  uint64_t range[2] = {offset, count};
  if (is_block_device) return ioctl(fd, BLKZEROOUT, range);
  int mode = may_punch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;
  return fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)count);
}

extern char __executable_start[], etext[];
uintptr_t apus_image_start(void) { return (uintptr_t)__executable_start; }
uintptr_t apus_code_end(void) { return (uintptr_t)etext; }

// A handler of fatal signals must be async-signal-safe, which no Swift code can promise; tcsetattr(3)
// is (signal-safety(7)).
static struct termios crash_state;
static volatile sig_atomic_t crash_terminal = -1;

static void restore_and_die(int number) {
  if (crash_terminal >= 0) tcsetattr(crash_terminal, TCSANOW, &crash_state);
  // The default action was put back by SA_RESETHAND: it kills, or dumps core, as it would have.
  raise(number);
}

void apus_restore_terminal_on_crash(int terminal, const struct termios *state) {
  static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGABRT, SIGQUIT};
  crash_terminal = -1;
  if (state == NULL) return;
  crash_state = *state;
  crash_terminal = terminal;
  struct sigaction action = {.sa_handler = restore_and_die, .sa_flags = SA_RESETHAND | SA_NODEFER};
  for (unsigned i = 0; i < sizeof fatal / sizeof fatal[0]; i++) sigaction(fatal[i], &action, NULL);
}

int apus_cpu_count(void) {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

int64_t apus_file_system(int fd) {
  struct statfs status;
  return fstatfs(fd, &status) == 0 ? (int64_t)(unsigned long)status.f_type : -1;
}
