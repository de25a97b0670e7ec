#define _GNU_SOURCE 1
#include "CDiskPeer.h"

#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct descriptor {
  uint64_t address;
  uint32_t count;
  uint16_t flags, next;
};

static uint64_t next_random(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

static uint64_t place(const struct disk_driver *driver, uint32_t slot) {
  return driver->data + (uint64_t)slot * (driver->count + 4096);
}

static uint16_t *available_ring(const struct disk_driver *driver) {
  return (uint16_t *)(driver->memory + driver->available);
}

void disk_driver_init(struct disk_driver *driver) {
  struct descriptor *table = (struct descriptor *)(driver->memory + driver->descriptors);
  driver->random = 88172645463325252ULL;
  driver->next_available = driver->next_used = 0;
  for (uint32_t slot = 0; slot < driver->depth; slot++) {
    uint64_t base = place(driver, slot);
    *(uint32_t *)(driver->memory + base) = driver->is_write ? 1 : 0;
    uint16_t head = (uint16_t)(slot * 3);
    table[head] = (struct descriptor){base, 16, 1, (uint16_t)(head + 1)};
    table[head + 1] = (struct descriptor){base + 4096, driver->count,
                                          (uint16_t)(1 | (driver->is_write ? 0 : 2)), (uint16_t)(head + 2)};
    table[head + 2] = (struct descriptor){base + 16, 1, 2, 0};
  }
}

static void offer(struct disk_driver *driver, uint16_t head) {
  uint64_t base = place(driver, head / 3);
  *(uint64_t *)(driver->memory + base + 8) =
      next_random(&driver->random) % driver->blocks * (driver->count / 512);
  *(uint8_t *)(driver->memory + base + 16) = 0xFF;
  available_ring(driver)[2 + (driver->next_available++ & (driver->size - 1))] = head;
}

static void publish(const struct disk_driver *driver) {
  __atomic_store_n(&available_ring(driver)[1], driver->next_available, __ATOMIC_RELEASE);
}

void disk_driver_start(struct disk_driver *driver) {
  for (uint32_t slot = 0; slot < driver->depth; slot++) offer(driver, (uint16_t)(slot * 3));
  publish(driver);
}

int disk_driver_turn(struct disk_driver *driver) {
  const uint16_t *used = (uint16_t *)(driver->memory + driver->used);
  uint16_t index = __atomic_load_n(&used[1], __ATOMIC_ACQUIRE);
  int count = 0;
  while (driver->next_used != index) {
    const uint32_t *entry = (const uint32_t *)(used + 2) + 2 * (driver->next_used++ & (driver->size - 1));
    uint16_t head = (uint16_t)entry[0];
    if (driver->memory[place(driver, head / 3) + 16] != 0) return -1;
    offer(driver, head);
    count++;
  }
  if (count > 0) publish(driver);
  return count;
}

int disk_driver_needs_kick(const struct disk_driver *driver) {
  const uint16_t *used = (uint16_t *)(driver->memory + driver->used);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  return (__atomic_load_n(&used[0], __ATOMIC_RELAXED) & 1) == 0;
}

int disk_driver_arm(struct disk_driver *driver) {
  uint16_t *ring = available_ring(driver);
  uint16_t *used = (uint16_t *)(driver->memory + driver->used);
  __atomic_store_n(&ring[0], 0, __ATOMIC_RELEASE);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  return __atomic_load_n(&used[1], __ATOMIC_ACQUIRE) != driver->next_used;
}

void disk_driver_disarm(struct disk_driver *driver) {
  __atomic_store_n(&available_ring(driver)[0], 1, __ATOMIC_RELEASE);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

double disk_peer_ring(const char *path, int is_write, unsigned depth, unsigned buffers, uint32_t count,
                      double seconds, int is_direct) {
  int file = open(path, O_RDWR | O_CLOEXEC | (is_direct ? O_DIRECT : 0));
  if (file < 0) return -1;
  uint64_t blocks = (uint64_t)lseek(file, 0, SEEK_END) / count, random = 88172645463325252ULL;
  unsigned slots = depth ? depth : buffers;
  char *bytes = aligned_alloc(4096, (size_t)slots * count);
  memset(bytes, 1, (size_t)slots * count);
  uint64_t done = 0;
  double start = now(), time = 0;
  if (depth == 0) {
    for (; time < seconds; time = now() - start) {
      for (int i = 0; i < 64; i++, done++) {
        off_t offset = (off_t)(next_random(&random) % blocks * count);
        char *buffer = bytes + done % buffers * count;
        ssize_t size = is_write ? pwrite(file, buffer, count, offset) : pread(file, buffer, count, offset);
        if (size != (ssize_t)count) return -1;
      }
    }
  } else {
    struct io_uring ring;
    if (io_uring_queue_init(depth < 2 ? 2 : depth, &ring, IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER) != 0) {
      close(file);
      return -1;
    }
    io_uring_register_ring_fd(&ring);
    io_uring_register_files(&ring, &file, 1);
    unsigned *idle = malloc(depth * sizeof *idle), idle_count = depth;
    for (unsigned i = 0; i < depth; i++) idle[i] = i;
    for (unsigned turn = 0;; turn++) {
      while (idle_count > 0) {
        unsigned slot = idle[--idle_count];
        struct io_uring_sqe *entry = io_uring_get_sqe(&ring);
        uint64_t offset = next_random(&random) % blocks * count;
        if (is_write) {
          io_uring_prep_write(entry, 0, bytes + (size_t)slot * count, count, offset);
        } else {
          io_uring_prep_read(entry, 0, bytes + (size_t)slot * count, count, offset);
        }
        entry->flags |= IOSQE_FIXED_FILE;
        entry->user_data = slot;
      }
      io_uring_submit_and_wait(&ring, 1);
      struct io_uring_cqe *entry;
      unsigned head, seen = 0;
      int failed = 0;
      io_uring_for_each_cqe(&ring, head, entry) {
        if (entry->res != (int)count) failed = 1;
        idle[idle_count++] = (unsigned)entry->user_data;
        seen++;
      }
      io_uring_cq_advance(&ring, seen);
      done += seen;
      if (failed) return -1;
      if (turn % 16 == 0 && (time = now() - start) >= seconds) break;
    }
    // What is under way is not counted, but must end before its memory goes.
    while (idle_count < depth) {
      struct io_uring_cqe *entry;
      if (io_uring_wait_cqe(&ring, &entry) != 0) break;
      io_uring_cqe_seen(&ring, entry);
      idle_count++;
    }
    io_uring_queue_exit(&ring);
    free(idle);
  }
  free(bytes);
  close(file);
  return (double)done / time;
}
