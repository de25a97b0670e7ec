// What Glibc's Swift module leaves out, and nothing else: headers, and shims for variadic calls
// and macros. Logic belongs in Swift.
//
// _GNU_SOURCE stays out of this file: with it, types of glibc would differ from those that the Glibc
// module was built with. Calls that need it are declared here and defined in CLinux.c.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/membarrier.h>
#include <linux/memfd.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "CLinuxKVM.h"
#include "CLinuxNet.h"
#include "CLinuxRemote.h"
#include "CLinuxSandbox.h"

// pipe2(2), close-on-exec.
int apus_pipe(int *numbers);

int apus_memfd_create(const char *name, unsigned int flags);
// Has the size of a memory file stay for good, and no other seal be put on it.
int apus_seal_size(int fd);
// Whether a file can never be cut short: 1 or 0, or -1 for one that has no seals.
int apus_is_size_sealed(int fd);
int apus_membarrier(int command, unsigned int flags);
int apus_prctl(int option, unsigned long argument);
int apus_gettid(void);
int apus_fallocate(int fd, int mode, off_t offset, off_t length);
int apus_set_thread_name(const char *name);
int apus_open(const char *path, int flags, mode_t mode);
int apus_fcntl(int fd, int command, long argument);
ssize_t apus_read_now(int fd, void *bytes, size_t count);
ssize_t apus_preadv2(int fd, const struct iovec *segments, int count, off_t offset, int flags);
ssize_t apus_pwritev2(int fd, const struct iovec *segments, int count, off_t offset, int flags);
// As many zeroes as anybody may read.
#define apus_zeroes_count (1 << 18)
const void *apus_zeroes(void);
int apus_ioctl_winsize(int fd, struct winsize *size);
// Signals the thread itself, not the process: what interrupts that thread's KVM_RUN.
int apus_tgkill(int process, int thread, int signal);
int apus_wifexited(int status);
int apus_wexitstatus(int status);
int apus_wtermsig(int status);
int apus_pidfd_open(int process);
// Starts a program that dies with the calling thread. Descriptor i of the child is descriptors[i];
// all others are closed. With own_group it is in a process group of its own. Returns the process id, or -1 with errno, of a failed exec too.
int apus_spawn(const char *path, char *const *arguments, char *const *environment,
               const int *descriptors, int count, int own_group);

// A value that differs between threads alive at the same time: the thread pointer, no call.
static inline uintptr_t apus_thread_token(void) {
  return (uintptr_t)__builtin_thread_pointer();
}

// Keeps the compiler, not the processor, from moving memory accesses across.
static inline void apus_compiler_barrier(void) { __asm__ volatile("" ::: "memory"); }

// Locks the whole file for this open file description (F_OFD_SETLK): to write, or to read.
int apus_lock_file(int fd, int exclusive);
// Whether the file's bytes are in memory and nowhere else: tmpfs or ramfs (statfs(2)).
int apus_is_in_memory(int fd);
// How many pages the calling thread has waited for, which were read from a disk (getrusage(2), RUSAGE_THREAD).
long apus_major_faults(void);
// Whether all pages of a mapping from `start` on are in memory, so that reading them makes none (mincore(2)).
int apus_is_resident(const void *start, size_t count);
// `O_DIRECT`, whose value is another on each architecture.
int apus_o_direct(void);
// What direct I/O on the file needs (statx(2), STATX_DIOALIGN); -1 where the kernel does not tell.
int apus_direct_alignment(int fd, uint32_t *memory, uint32_t *offset);
// The size of a block device in bytes (BLKGETSIZE64).
int apus_block_device_size(int fd, uint64_t *size);
// Gives up what a file (fallocate(2), punching a hole) or block device (BLKDISCARD) has in a range.
int apus_discard(int fd, int is_block_device, uint64_t offset, uint64_t count);
// Makes a range of a file (fallocate(2)) or block device (BLKZEROOUT) read as zeroes; may_punch allows a hole.
int apus_write_zeroes(int fd, int is_block_device, uint64_t offset, uint64_t count, int may_punch);

// The value itself, of which the compiler knows nothing: keeps it from making a branch of a mask.
static inline uint64_t apus_opaque(uint64_t value) {
  __asm__("" : "+r"(value));
  return value;
}
// Where the linker put the program's own code and constants (ld(1), PROVIDE symbols).
uintptr_t apus_image_start(void);
uintptr_t apus_code_end(void);
// Has a signal that is about to kill the process put this terminal back first; NULL ends that.
void apus_restore_terminal_on_crash(int terminal, const struct termios *state);
// Tells the processor that this is a loop that waits.
static inline void apus_relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  apus_compiler_barrier();
#endif
}
// On how many processors the calling thread may run (sched_getaffinity(2)); 1 where that cannot be told.
int apus_cpu_count(void);
// The type of the file system that a file is on (statfs(2), f_type), or -1.
int64_t apus_file_system(int fd);
