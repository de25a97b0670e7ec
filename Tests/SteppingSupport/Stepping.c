// With its trap flag set, an x86-64 processor raises a debug exception after each instruction; the kernel makes it SIGTRAP for the thread.
// The flag is off while a signal handler runs.
#define _GNU_SOURCE 1
#include "SteppingSupport.h"

#include <signal.h>
#include <string.h>

#define MOST_RANGES 8

static const void *const *range_starts;
static const size_t *range_counts;
static size_t range_count, kept_limit, kept_count;
static unsigned char *kept_bytes;
__attribute__((unused)) static struct sigaction previous;

__attribute__((unused)) static void keep(void) {
  size_t total = 0;
  for (size_t i = 0; i < range_count; i++) total += range_counts[i];
  if (kept_count + total <= kept_limit) {
    unsigned char *place = kept_bytes + kept_count;
    for (size_t i = 0; i < range_count; i++) {
      memcpy(place, range_starts[i], range_counts[i]);
      place += range_counts[i];
    }
  }
  kept_count += total;
}

__attribute__((unused)) static void step(int number, siginfo_t *information, void *context) {
  (void)number, (void)information, (void)context;
  size_t total = 0;
  for (size_t i = 0; i < range_count; i++) total += range_counts[i];
  if (kept_count > kept_limit) return;
  const unsigned char *last = kept_bytes + kept_count - total;
  for (size_t i = 0; i < range_count; i++) {
    if (memcmp(last, range_starts[i], range_counts[i])) {
      keep();
      return;
    }
    last += range_counts[i];
  }
}

// With a sanitizer each access is many instructions, all of them the sanitizer's, for what other tests show, too.
#if defined(__x86_64__) && !__has_feature(thread_sanitizer) && !__has_feature(address_sanitizer)
#define IS_POSSIBLE 1
#else
#define IS_POSSIBLE 0
#endif

bool apus_stepping_is_possible(void) { return IS_POSSIBLE; }

bool apus_stepping_begin(const void *const *starts, const size_t *counts, size_t ranges, void *kept, size_t limit) {
#if IS_POSSIBLE
  if (ranges > MOST_RANGES) return false;
  range_starts = starts, range_counts = counts, range_count = ranges;
  kept_bytes = kept, kept_limit = limit, kept_count = 0;
  keep();
  struct sigaction action = {.sa_flags = SA_SIGINFO};
  action.sa_sigaction = step;
  if (sigaction(SIGTRAP, &action, &previous)) return false;
  // Above the red zone.
  __asm__ volatile("sub $128, %%rsp; pushfq; orq $0x100, (%%rsp); popfq; add $128, %%rsp" ::: "cc", "memory");
  return true;
#else
  (void)starts, (void)counts, (void)ranges, (void)kept, (void)limit;
  return false;
#endif
}

size_t apus_stepping_end(void) {
#if IS_POSSIBLE
  __asm__ volatile("sub $128, %%rsp; pushfq; andq $~0x100, (%%rsp); popfq; add $128, %%rsp" ::: "cc", "memory");
  sigaction(SIGTRAP, &previous, NULL);
  return kept_count;
#else
  return 0;
#endif
}
