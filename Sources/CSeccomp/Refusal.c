#define _GNU_SOURCE 1
#include "CSeccomp.h"

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

// What a handler of a signal does must be async-signal-safe, which neither Swift code nor libseccomp is: all names are looked up
// before.
#define CALL_LIMIT 512
static char *names[CALL_LIMIT];
static char prefix[128];
static char suffix[128];
static int exit_code;

static size_t append(char *line, size_t count, size_t limit, const char *text) {
  while (*text != 0 && count < limit) line[count++] = *text++;
  return count;
}

static void refuse(int number, siginfo_t *information, void *context) {
  (void)number;
  (void)context;
  char line[320];
  char digits[12];
  int call = information->si_syscall;
  size_t first = sizeof digits - 1;
  unsigned rest = call < 0 ? 0 : (unsigned)call;
  digits[first] = 0;
  do {
    digits[--first] = (char)('0' + rest % 10);
    rest /= 10;
  } while (rest > 0);
  const char *name = call >= 0 && call < CALL_LIMIT && names[call] != NULL ? names[call] : "unknown";
  size_t count = append(line, 0, sizeof line - 1, prefix);
  count = append(line, count, sizeof line - 1, name);
  count = append(line, count, sizeof line - 1, " (number ");
  count = append(line, count, sizeof line - 1, digits + first);
  count = append(line, count, sizeof line - 1, ")");
  count = append(line, count, sizeof line - 1, suffix);
  line[count++] = '\n';
  ssize_t written = write(STDERR_FILENO, line, count);
  (void)written;
  // All threads.
  for (;;) syscall(SYS_exit_group, exit_code);
}

int apus_seccomp_report_refusals(const char *new_prefix, const char *new_suffix, int code) {
  strncpy(prefix, new_prefix, sizeof prefix - 1);
  strncpy(suffix, new_suffix, sizeof suffix - 1);
  exit_code = code;
  for (int call = 0; call < CALL_LIMIT; call++) {
    if (names[call] == NULL) names[call] = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call);
  }
  struct sigaction action = {.sa_sigaction = refuse, .sa_flags = SA_SIGINFO};
  sigfillset(&action.sa_mask);
  if (sigaction(SIGSYS, &action, NULL) != 0) return -errno;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGSYS);
  return -pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
