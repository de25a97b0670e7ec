#include "CSeccomp.h"

#include <errno.h>
#include <seccomp.h>
#include <stdlib.h>

// Only a pointer to it is ever used: it is what libseccomp calls a context.
struct apus_seccomp_filter;

static scmp_filter_ctx context(struct apus_seccomp_filter *filter) { return filter; }

int apus_seccomp_create(struct apus_seccomp_filter **result) {
  scmp_filter_ctx made = seccomp_init(SCMP_ACT_TRAP);
  if (made == NULL) return -ENOMEM;
  int code = seccomp_attr_set(made, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  // Whether more rights may come with exec is decided by whoever uses the filter.
  if (code == 0) code = seccomp_attr_set(made, SCMP_FLTATR_CTL_NNP, 0);
  // A tree: a call that is far down in the list is as fast as the first.
  if (code == 0) code = seccomp_attr_set(made, SCMP_FLTATR_CTL_OPTIMIZE, 2);
  // What the kernel says, not ECANCELED.
  if (code == 0) code = seccomp_attr_set(made, SCMP_FLTATR_API_SYSRAWRC, 1);
  if (code != 0) {
    seccomp_release(made);
    return code;
  }
  *result = made;
  return 0;
}

void apus_seccomp_destroy(struct apus_seccomp_filter *filter) { seccomp_release(context(filter)); }

int apus_seccomp_add(struct apus_seccomp_filter *filter, const char *name, int code,
                     const struct apus_seccomp_test *tests, unsigned count) {
  int number = seccomp_syscall_resolve_name(name);
  if (number == __NR_SCMP_ERROR) return -ENOENT;
  struct scmp_arg_cmp list[6];
  if (count > sizeof list / sizeof list[0]) return -E2BIG;
  for (unsigned i = 0; i < count; i++) {
    list[i] = (struct scmp_arg_cmp){.arg = tests[i].argument,
                                    .op = SCMP_CMP_MASKED_EQ,
                                    .datum_a = tests[i].mask,
                                    .datum_b = tests[i].value};
  }
  uint32_t action = code == 0 ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO((uint32_t)code);
  return seccomp_rule_add_array(context(filter), action, number, count, list);
}

int apus_seccomp_load(struct apus_seccomp_filter *filter) { return seccomp_load(context(filter)); }

int apus_seccomp_write(struct apus_seccomp_filter *filter, int file, int as_text) {
  return as_text ? seccomp_export_pfc(context(filter), file)
                 : seccomp_export_bpf(context(filter), file);
}
