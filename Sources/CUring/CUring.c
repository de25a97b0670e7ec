#include "CUring.h"

#include <liburing.h>
#include <pthread.h>
#include <stdlib.h>

struct apus_uring {
  struct io_uring ring;
  struct io_uring_sqe *last;
  pthread_t owner;
};

static int restrict_to_files(struct io_uring *ring) {
  static const uint8_t operations[] = {IORING_OP_READ,   IORING_OP_READV, IORING_OP_WRITE,
                                       IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_FALLOCATE};
  static const uint8_t registrations[] = {IORING_REGISTER_FILES, IORING_UNREGISTER_FILES,
                                          IORING_REGISTER_RING_FDS, IORING_UNREGISTER_RING_FDS};
  struct io_uring_restriction list[sizeof operations + sizeof registrations + 2] = {0};
  unsigned count = 0;
  for (size_t i = 0; i < sizeof operations; i++, count++) {
    list[count].opcode = IORING_RESTRICTION_SQE_OP;
    list[count].sqe_op = operations[i];
  }
  for (size_t i = 0; i < sizeof registrations; i++, count++) {
    list[count].opcode = IORING_RESTRICTION_REGISTER_OP;
    list[count].register_op = registrations[i];
  }
  list[count].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
  list[count++].sqe_flags = IOSQE_FIXED_FILE | IOSQE_ASYNC;
  list[count].opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED;
  list[count++].sqe_flags = IOSQE_FIXED_FILE;
  int code = io_uring_register_restrictions(ring, list, count);
  return code < 0 ? code : io_uring_enable_rings(ring);
}

int apus_uring_create(unsigned entries, enum apus_uring_work work, int is_restricted,
                      struct apus_uring **result) {
  struct io_uring_params parameters = {0};
  switch (work) {
    case APUS_URING_COOPERATIVE:
      parameters.flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
      break;
    case APUS_URING_PLAIN:
      break;
  }
  if (is_restricted) parameters.flags |= IORING_SETUP_R_DISABLED;
  struct apus_uring *made = calloc(1, sizeof *made);
  if (made == NULL) return -ENOMEM;
  int code = io_uring_queue_init_params(entries, &made->ring, &parameters);
  if (code < 0) {
    free(made);
    return code;
  }
  // Before 5.5 a full completion queue lost completions, and segments had to outlive the submission.
  made->owner = pthread_self();
  unsigned needed = IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE;
  if ((parameters.features & needed) != needed) {
    apus_uring_destroy(made);
    return -ENOSYS;
  }
  if (is_restricted && (code = restrict_to_files(&made->ring)) < 0) {
    apus_uring_destroy(made);
    return code;
  }
  *result = made;
  return 0;
}

// The number by which a thread knows its ring means another ring, or none, on another thread; the
// kernel frees it when the owner ends. The low bits are liburing's notes that there is such a number.
static void forget_number(struct apus_uring *ring) {
  if (pthread_equal(ring->owner, pthread_self())) return;
  ring->ring.int_flags &= ~3;
  ring->ring.enter_ring_fd = ring->ring.ring_fd;
}

void apus_uring_adopt(struct apus_uring *ring) { ring->owner = pthread_self(); }

void apus_uring_leave(struct apus_uring *ring) {
  forget_number(ring);
  if (ring->ring.int_flags & 1) io_uring_unregister_ring_fd(&ring->ring);
  io_uring_unregister_files(&ring->ring);
}

void apus_uring_destroy(struct apus_uring *ring) {
  forget_number(ring);
  // Else the files stay open, and locked, until the kernel has found the time to clear the ring away.
  io_uring_unregister_files(&ring->ring);
  io_uring_queue_exit(&ring->ring);
  free(ring);
}

int apus_uring_register_itself(struct apus_uring *ring) {
  return io_uring_register_ring_fd(&ring->ring);
}

int apus_uring_register_files(struct apus_uring *ring, const int *files, unsigned count) {
  return io_uring_register_files(&ring->ring, files, count);
}

int apus_uring_descriptor(const struct apus_uring *ring) { return ring->ring.ring_fd; }

static struct io_uring_sqe *next(struct apus_uring *ring) {
  struct io_uring_sqe *entry = io_uring_get_sqe(&ring->ring);
  if (entry != NULL) ring->last = entry;
  return entry;
}

static void finish(struct io_uring_sqe *entry, uint64_t token) {
  entry->flags |= IOSQE_FIXED_FILE;
  entry->user_data = token;
}

int apus_uring_read(struct apus_uring *ring, int file, const void *segments, unsigned count,
                    uint64_t offset, unsigned flags, uint64_t token) {
  struct io_uring_sqe *entry = next(ring);
  if (entry == NULL) return 0;
  const struct iovec *first = segments;
  // One segment needs no list, which the kernel would have to copy.
  if (count == 1 && first->iov_len <= UINT32_MAX) {
    io_uring_prep_read(entry, file, first->iov_base, (unsigned)first->iov_len, offset);
  } else {
    io_uring_prep_readv(entry, file, first, count, offset);
  }
  entry->rw_flags = (int)flags;
  finish(entry, token);
  return 1;
}

int apus_uring_write(struct apus_uring *ring, int file, const void *segments,
                     unsigned count, uint64_t offset, unsigned flags, uint64_t token) {
  struct io_uring_sqe *entry = next(ring);
  if (entry == NULL) return 0;
  const struct iovec *first = segments;
  if (count == 1 && first->iov_len <= UINT32_MAX) {
    io_uring_prep_write(entry, file, first->iov_base, (unsigned)first->iov_len, offset);
  } else {
    io_uring_prep_writev(entry, file, first, count, offset);
  }
  entry->rw_flags = (int)flags;
  finish(entry, token);
  return 1;
}

int apus_uring_sync(struct apus_uring *ring, int file, uint64_t token) {
  struct io_uring_sqe *entry = next(ring);
  if (entry == NULL) return 0;
  io_uring_prep_fsync(entry, file, IORING_FSYNC_DATASYNC);
  finish(entry, token);
  return 1;
}

int apus_uring_allocate(struct apus_uring *ring, int file, int mode, uint64_t offset,
                        uint64_t count, uint64_t token) {
  struct io_uring_sqe *entry = next(ring);
  if (entry == NULL) return 0;
  io_uring_prep_fallocate(entry, file, mode, (off_t)offset, (off_t)count);
  finish(entry, token);
  return 1;
}

int apus_uring_request(struct apus_uring *ring, uint8_t operation, int is_fixed, int file,
                       const void *address, uint32_t count, uint64_t token) {
  struct io_uring_sqe *entry = next(ring);
  if (entry == NULL) return 0;
  *entry = (struct io_uring_sqe){.opcode = operation,
                                 .flags = is_fixed ? IOSQE_FIXED_FILE : 0,
                                 .fd = file,
                                 .addr = (uint64_t)(uintptr_t)address,
                                 .len = count,
                                 .user_data = token};
  return 1;
}

void apus_uring_detach_last(struct apus_uring *ring) { ring->last->flags |= IOSQE_ASYNC; }

int apus_uring_enter(struct apus_uring *ring, unsigned wanted) {
  if (wanted > 0) return io_uring_submit_and_wait(&ring->ring, wanted);
  return io_uring_submit_and_get_events(&ring->ring);
}

int apus_uring_has_due(const struct apus_uring *ring) {
  return (IO_URING_READ_ONCE(*ring->ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) !=
         0;
}

unsigned apus_uring_count(const struct apus_uring *ring) { return io_uring_cq_ready(&ring->ring); }

unsigned apus_uring_take(struct apus_uring *ring, struct apus_uring_completion *completions,
                         unsigned limit) {
  struct io_uring_cqe *entry;
  unsigned head, count = 0;
  io_uring_for_each_cqe(&ring->ring, head, entry) {
    if (count == limit) break;
    completions[count].token = entry->user_data;
    completions[count].result = entry->res;
    count++;
  }
  io_uring_cq_advance(&ring->ring, count);
  return count;
}
