#define _GNU_SOURCE 1
#include "CLinux.h"

#include <stdatomic.h>

// What a handler of a signal does must be async-signal-safe, which no Swift code can promise. It makes bare system
// calls, and is not watched by the thread sanitizer, which has locks of its own: a fault may come while it holds them.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNWATCHED __attribute__((no_sanitize("thread"), disable_sanitizer_instrumentation))
#endif
#endif
#ifndef UNWATCHED
#define UNWATCHED
#endif

struct range {
  // Odd while the entry changes, and another number after each change.
  atomic_uint version;
  // 0 while the entry is free.
  _Atomic uintptr_t start;
  _Atomic uintptr_t end;
  _Atomic size_t page;
  atomic_int wake;
  atomic_int broken;
};

static struct range ranges[APUS_WATCH_LIMIT];
// Entries from here on were never used.
static atomic_int used;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction before;
// Set before there is a second thread: nobody may change a handler any more.
static int is_sealed;

UNWATCHED static int mend(uintptr_t address) {
  int count = atomic_load(&used);
  for (int i = 0; i < count; i++) {
    unsigned version = atomic_load(&ranges[i].version);
    uintptr_t start = atomic_load(&ranges[i].start);
    uintptr_t end = atomic_load(&ranges[i].end);
    size_t page = atomic_load(&ranges[i].page);
    int wake = atomic_load(&ranges[i].wake);
    // An entry that is being changed is of a mapping that nobody may use yet, or any more.
    if (version & 1 || atomic_load(&ranges[i].version) != version) continue;
    if (start == 0 || address < start || address >= end) continue;
    uintptr_t first = address & ~(uintptr_t)(page - 1);
    uintptr_t last = first + page;
    if (first < start) first = start;
    if (last > end) last = end;
    // Before anybody can read a zero, whoever looks afterwards finds it broken.
    atomic_store(&ranges[i].broken, 1);
    long zeroes = syscall(SYS_mmap, first, last - first, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    if (zeroes == -1) return 0;
    uint64_t one = 1;
    syscall(SYS_write, wake, &one, sizeof one);
    return 1;
  }
  return 0;
}

UNWATCHED static void handle(int number, siginfo_t *information, void *context) {
  (void)context;
  int saved = errno;
  // Only a fault has an address; a signal that somebody sent has not. Of faults, only a page that is gone can
  // be mended: one that the hardware has lost (BUS_MCEERR_AR) must not become zeroes in silence.
  int is_fault = information->si_code > 0;
  if (information->si_code != BUS_ADRERR || !mend((uintptr_t)information->si_addr)) {
    if (is_sealed) {
      static const char line[] = "apus: error: a fault in memory that is no guest's (SIGBUS); the process ends\n";
      syscall(SYS_write, STDERR_FILENO, line, sizeof line - 1);
      for (;;) syscall(SYS_exit_group, 128 + SIGBUS);
    }
    // The handler from before gets the same fault when the instruction is tried again.
    sigaction(SIGBUS, &before, NULL);
    if (!is_fault) raise(number);
  }
  errno = saved;
}

static void install(void) {
  struct sigaction now;
  sigaction(SIGBUS, NULL, &now);
  if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == handle) return;
  before = now;
  struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigaction(SIGBUS, &action, NULL);
}

void apus_watch_seal(void) {
  pthread_mutex_lock(&lock);
  install();
  is_sealed = 1;
  pthread_mutex_unlock(&lock);
}

int apus_watch_add(uintptr_t start, size_t count, size_t page, int wake) {
  pthread_mutex_lock(&lock);
  if (!is_sealed) install();
  int limit = atomic_load(&used), number = 0;
  while (number < limit && atomic_load(&ranges[number].start) != 0) number++;
  if (number == APUS_WATCH_LIMIT) {
    number = -1;
  } else {
    atomic_fetch_add(&ranges[number].version, 1);
    atomic_store(&ranges[number].page, page);
    atomic_store(&ranges[number].wake, wake);
    atomic_store(&ranges[number].broken, 0);
    atomic_store(&ranges[number].end, start + count);
    atomic_store(&ranges[number].start, start);
    atomic_fetch_add(&ranges[number].version, 1);
    if (number == limit) atomic_store(&used, limit + 1);
  }
  pthread_mutex_unlock(&lock);
  return number;
}

void apus_watch_remove(int number) {
  pthread_mutex_lock(&lock);
  atomic_fetch_add(&ranges[number].version, 1);
  atomic_store(&ranges[number].start, 0);
  atomic_store(&ranges[number].end, 0);
  atomic_fetch_add(&ranges[number].version, 1);
  pthread_mutex_unlock(&lock);
}

int apus_watch_is_broken(int number) { return atomic_load(&ranges[number].broken); }
