#define _GNU_SOURCE 1
#include "CLinux.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>

int apus_clone(unsigned long flags) {
  return (int)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, 0UL);
}

int apus_mount(const char *source, const char *target, const char *type, unsigned long flags,
               const char *data) {
  return mount(source, target, type, flags, data);
}

int apus_pivot_root(const char *new_root, const char *old_root) {
  return (int)syscall(SYS_pivot_root, new_root, old_root);
}

int apus_dup3(int from, int to, int flags) { return dup3(from, to, flags); }

int apus_close_range(unsigned first, unsigned last) {
  return (int)syscall(SYS_close_range, first, last, 0);
}

int apus_set_user(unsigned user, unsigned group) {
  // Bare calls, for this thread: there is no other yet.
  if (syscall(SYS_setresgid, group, group, group) != 0) return -1;
  return (int)syscall(SYS_setresuid, user, user, user);
}

int apus_drop_groups(void) { return (int)syscall(SYS_setgroups, 0, NULL); }

int apus_set_host_name(const char *name) { return sethostname(name, strlen(name)); }

int apus_limit(int resource, unsigned long long value) {
  struct rlimit now;
  if (getrlimit((__rlimit_resource_t)resource, &now) != 0) return -1;
  // Never more than there is.
  if (now.rlim_max < value) value = now.rlim_max;
  struct rlimit limit = {value, value};
  return setrlimit((__rlimit_resource_t)resource, &limit);
}

int apus_limit_number(enum apus_limit_kind kind) {
  switch (kind) {
    case APUS_LIMIT_CORE: return RLIMIT_CORE;
    case APUS_LIMIT_FILES: return RLIMIT_NOFILE;
    case APUS_LIMIT_PROCESSES: return RLIMIT_NPROC;
    case APUS_LIMIT_FILE_SIZE: return RLIMIT_FSIZE;
    case APUS_LIMIT_MESSAGES: return RLIMIT_MSGQUEUE;
    case APUS_LIMIT_REAL_TIME: return RLIMIT_RTPRIO;
    case APUS_LIMIT_NICE: return RLIMIT_NICE;
    case APUS_LIMIT_DATA: return RLIMIT_DATA;
  }
  return -1;
}

int apus_has_capability(int number) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {0};
  if (syscall(SYS_capget, &header, data) != 0) return 0;
  return (int)(data[number / 32].effective >> (number % 32) & 1);
}

int apus_lock_capabilities(void) {
  int failure = 0;
  // Without the right to do so there is none that could be lost either.
  if (apus_has_capability(CAP_SETPCAP)) {
    // The kernel says where the list of capabilities ends.
    for (unsigned long number = 0; prctl(PR_CAPBSET_DROP, number, 0, 0, 0) == 0; number++) {
    }
    if (errno != EINVAL) failure = errno;
    unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                         SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                         SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
    if (prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) != 0) failure = errno;
  }
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL) {
    failure = errno;
  }
  errno = failure;
  return failure == 0 ? 0 : -1;
}

int apus_empty_capabilities(void) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct none[2] = {0};
  return (int)syscall(SYS_capset, &header, none);
}

// Debian's headers know fewer fields and rights than newer kernels have; the numbers are the kernel's and do not change
// (landlock(7)).
#define LANDLOCK_CREATE_RULESET 444
#define LANDLOCK_ADD_RULE 445
#define LANDLOCK_RESTRICT_SELF 446

int apus_landlock_version(void) {
  return (int)syscall(LANDLOCK_CREATE_RULESET, NULL, 0UL, 1U);
}

int apus_landlock_create(uint64_t files, uint64_t network, uint64_t scopes, int version) {
  uint64_t handled[3] = {files, network, scopes};
  size_t count = version >= 6 ? 3 : version >= 4 ? 2 : 1;
  return (int)syscall(LANDLOCK_CREATE_RULESET, handled, count * sizeof handled[0], 0U);
}

int apus_landlock_allow(int ruleset, uint64_t files, const char *path) {
  struct {
    uint64_t allowed;
    int32_t parent;
  } __attribute__((packed)) rule = {files, open(path, O_PATH | O_CLOEXEC)};
  if (rule.parent < 0) return -1;
  struct stat status;
  // The kernel refuses a rule with rights of folders for what is none: all but executing, writing, reading and cutting.
  if (fstat(rule.parent, &status) == 0 && !S_ISDIR(status.st_mode)) rule.allowed &= 0x4007;
  int result = (int)syscall(LANDLOCK_ADD_RULE, ruleset, 1U, &rule, 0U);
  int code = errno;
  close(rule.parent);
  errno = code;
  return result;
}

int apus_landlock_allow_port(int ruleset, uint64_t network, uint16_t port) {
  uint64_t rule[2] = {network, port};
  return (int)syscall(LANDLOCK_ADD_RULE, ruleset, 2U, rule, 0U);
}

int apus_landlock_restrict(int ruleset) { return (int)syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0U); }

void apus_use_one_arena(void) { mallopt(M_ARENA_MAX, 1); }
