#define _GNU_SOURCE 1
#include "CLinux.h"

int apus_memfd_create(const char *name, unsigned int flags) {
  return (int)syscall(SYS_memfd_create, name, flags);
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

int apus_ioctl_winsize(int fd, struct winsize *size) {
  return ioctl(fd, TIOCGWINSZ, size);
}

int apus_tgkill(int process, int thread, int signal) {
  return (int)syscall(SYS_tgkill, process, thread, signal);
}

int apus_wifexited(int status) { return WIFEXITED(status); }

int apus_wexitstatus(int status) { return WEXITSTATUS(status); }

int apus_wtermsig(int status) { return WTERMSIG(status); }
