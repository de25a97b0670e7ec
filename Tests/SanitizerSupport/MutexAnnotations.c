// Tells the thread sanitizer about Synchronization.Mutex.
//
// The fast path of a Mutex is compiled into its user, where the sanitizer sees it. The slow path, which
// a contended Mutex takes, is in the runtime's libswiftSynchronization.so, where it sees nothing: every
// access that a contended lock orders would be reported as a race. So a sanitized test program has the slow
// path's three entry points itself, calls those of the runtime, and says what they did. Without the
// sanitizer this file is empty. Should a later runtime rename its entry points, these are never called, and
// contended locks are reported as races again.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)

#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

// tsan_interface.h: a thread that acquires an address sees what was done before releases of it.
void __tsan_acquire(void *address);
void __tsan_release(void *address);

// A method of Synchronization._MutexHandle; `self` is the address of the futex's word.
#define ENTRY(mangled) "$s15Synchronization12_MutexHandleV" mangled
#define LOCK ENTRY("9_lockSlowyys6UInt32VF")
#define TRY_LOCK ENTRY("12_tryLockSlowSbyF")
#define UNLOCK ENTRY("11_unlockSlowyyF")
#define METHOD __attribute__((swiftcall))
#define SELF __attribute__((swift_context)) void *self

METHOD void apus_tsan_lock(uint32_t thread, SELF) __asm__(LOCK);
METHOD bool apus_tsan_try_lock(SELF) __asm__(TRY_LOCK);
METHOD void apus_tsan_unlock(SELF) __asm__(UNLOCK);

// The definition after this program's own.
static void *runtime(_Atomic(void *) *cache, const char *name) {
  void *found = *cache;
  if (!found) {
    found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    *cache = found;
  }
  return found;
}

METHOD void apus_tsan_lock(uint32_t thread, SELF) {
  static _Atomic(void *) next;
  typedef METHOD void Method(uint32_t thread, SELF);
  ((Method *)runtime(&next, LOCK))(thread, self);
  __tsan_acquire(self);
}

METHOD bool apus_tsan_try_lock(SELF) {
  static _Atomic(void *) next;
  typedef METHOD bool Method(SELF);
  bool locked = ((Method *)runtime(&next, TRY_LOCK))(self);
  if (locked) __tsan_acquire(self);
  return locked;
}

METHOD void apus_tsan_unlock(SELF) {
  static _Atomic(void *) next;
  typedef METHOD void Method(SELF);
  __tsan_release(self);
  ((Method *)runtime(&next, UNLOCK))(self);
}

#endif
#endif
