// Filters of system calls through libseccomp, in calls that Swift can make; nothing else. Logic belongs in Swift.
#pragma once

#include <stdint.h>

// Holds where (argument & mask) == value.
struct apus_seccomp_test {
  unsigned argument;
  uint64_t mask;
  uint64_t value;
};

struct apus_seccomp_filter;

// The calls below return 0, or a negative errno.

// Makes a filter that refuses everything: a call raises SIGSYS, one of another architecture kills.
int apus_seccomp_create(struct apus_seccomp_filter **result);
void apus_seccomp_destroy(struct apus_seccomp_filter *filter);
// Lets a call through for which all tests hold; with a code, it fails with that errno instead.
int apus_seccomp_add(struct apus_seccomp_filter *filter, const char *name, int code,
                     const struct apus_seccomp_test *tests, unsigned count);
// Puts the calling thread, and those that it starts, under the filter. no_new_privs must be set.
int apus_seccomp_load(struct apus_seccomp_filter *filter);
// Writes the filter to a file, as the kernel gets it, or as text for people.
int apus_seccomp_write(struct apus_seccomp_filter *filter, int file, int as_text);

// Has a refused call write one line to standard error, `<prefix><name of the call> (number <n>)<suffix>`, and end the process
// with the code. To be called before the filter is in force, by the only thread.
int apus_seccomp_report_refusals(const char *prefix, const char *suffix, int exit_code);
