// Shims for what takes rights away from a process; part of CLinux.h. All return -1 with errno where they fail.
#pragma once

#include <stdint.h>

// A copy of the process, of which only the calling thread goes on, in new namespaces (clone(2)): 0 in the copy. To be called
// while there is one thread.
int apus_clone(unsigned long flags);
int apus_mount(const char *source, const char *target, const char *type, unsigned long flags,
               const char *data);
int apus_pivot_root(const char *new_root, const char *old_root);
int apus_dup3(int from, int to, int flags);
int apus_close_range(unsigned first, unsigned last);
// Real, effective and saved ids.
int apus_set_user(unsigned user, unsigned group);
int apus_drop_groups(void);
int apus_set_host_name(const char *name);

enum apus_limit_kind {
  APUS_LIMIT_CORE = 0,
  APUS_LIMIT_FILES = 1,
  APUS_LIMIT_PROCESSES = 2,
  APUS_LIMIT_FILE_SIZE = 3,
  APUS_LIMIT_MESSAGES = 4,
  APUS_LIMIT_REAL_TIME = 5,
  APUS_LIMIT_NICE = 6,
  APUS_LIMIT_DATA = 7,
};
// The kernel's number (getrlimit(2)).
int apus_limit_number(enum apus_limit_kind kind);
// Lowers both limits of a resource; never raises one.
int apus_limit(int resource, unsigned long long value);

int apus_has_capability(int number);
// Sees to it that no set of capabilities (capabilities(7)) can ever get another, and that changing the user takes none.
int apus_lock_capabilities(void);
// Empties all sets.
int apus_empty_capabilities(void);

// Which generation of Landlock the kernel has, from 1 on.
int apus_landlock_version(void);
// A ruleset that denies these rights, as far as the generation knows them.
int apus_landlock_create(uint64_t files, uint64_t network, uint64_t scopes, int version);
// Gives rights back under a path.
int apus_landlock_allow(int ruleset, uint64_t files, const char *path);
// Gives rights back for a port; generation 4.
int apus_landlock_allow_port(int ruleset, uint64_t network, uint16_t port);
int apus_landlock_restrict(int ruleset);

// Has all threads take memory from one arena. Those of their own would have glibc look into /proc and /sys, as it gives
// memory back, or counts processors: an open() at any time.
void apus_use_one_arena(void);
