// io_uring through liburing, in calls that Swift can make; nothing else. Logic belongs in Swift.
//
// liburing's own header defines _GNU_SOURCE, with which types of glibc would differ from those that
// the Glibc module was built with, so only CUring.c includes it.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct apus_uring;

struct apus_uring_completion {
  uint64_t token;
  // What the call would have returned, or a negative errno.
  int32_t result;
};

// When the last part of an operation is done.
enum apus_uring_work {
  // When the ring's thread enters the kernel (IORING_SETUP_COOP_TASKRUN, 5.19).
  APUS_URING_COOPERATIVE = 0,
  // At once, by interrupting the ring's thread.
  APUS_URING_PLAIN = 1,
};

// All of these return a negative errno where they can fail.

// Makes a ring for `entries` operations at once. One that `is_restricted` does what the functions below ask for on
// registered files, and nothing else, whoever fills its entries (IORING_REGISTER_RESTRICTIONS, 5.10).
int apus_uring_create(unsigned entries, enum apus_uring_work work, int is_restricted,
                      struct apus_uring **result);
void apus_uring_destroy(struct apus_uring *ring);
// Makes the calling thread the ring's; nothing is under way.
void apus_uring_adopt(struct apus_uring *ring);
// Takes the ring's files away, and what its thread knows it by, for another thread to adopt; nothing is under way.
void apus_uring_leave(struct apus_uring *ring);
int apus_uring_descriptor(const struct apus_uring *ring);
// Has enter(2) take the ring by a number of the thread's own.
int apus_uring_register_itself(struct apus_uring *ring);
int apus_uring_register_files(struct apus_uring *ring, const int *files, unsigned count);
// Each fills one entry of the submission queue; 0 if there is no room. `file` is a registered one.
int apus_uring_read(struct apus_uring *ring, int file, const void *segments, unsigned count,
                    uint64_t offset, unsigned flags, uint64_t token);
int apus_uring_write(struct apus_uring *ring, int file, const void *segments,
                     unsigned count, uint64_t offset, unsigned flags, uint64_t token);
int apus_uring_sync(struct apus_uring *ring, int file, uint64_t token);
int apus_uring_allocate(struct apus_uring *ring, int file, int mode, uint64_t offset,
                        uint64_t count, uint64_t token);
// Fills an entry with any operation, on a registered file or not: what a restricted ring has to refuse.
int apus_uring_request(struct apus_uring *ring, uint8_t operation, int is_fixed, int file,
                       const void *address, uint32_t count, uint64_t token);
// Has the last entry run on a kernel thread from the beginning (IOSQE_ASYNC).
void apus_uring_detach_last(struct apus_uring *ring);

// Hands the filled entries to the kernel, takes what is due, and waits until `wanted` completions are
// there.
int apus_uring_enter(struct apus_uring *ring, unsigned wanted);
// Whether the kernel has completions that only a call of the ring's thread brings in.
int apus_uring_has_due(const struct apus_uring *ring);
// How many completions are in the completion queue.
unsigned apus_uring_count(const struct apus_uring *ring);
// Takes completions out of the completion queue, without a call.
unsigned apus_uring_take(struct apus_uring *ring, struct apus_uring_completion *completions,
                         unsigned limit);
