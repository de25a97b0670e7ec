// What the disk is measured with: a driver of a split virtqueue that costs as little as it can, and
// a loop over io_uring without any queue.
#pragma once

#include <stdint.h>

// A queue of requests that all have a header, `count` bytes of data and a status, laid out once.
struct disk_driver {
  char *memory;
  uint64_t descriptors, available, used, data;
  uint32_t size, depth, count;
  uint64_t blocks;
  int is_write;
  uint16_t next_available, next_used;
  uint64_t random;
};

// Lays out `depth` requests in the guest's RAM, which is at `memory` and begins at address 0.
void disk_driver_init(struct disk_driver *driver);
// Makes all of them available.
void disk_driver_start(struct disk_driver *driver);
// Takes back what the device has used, and makes as much available; how many, or -1 if one failed.
int disk_driver_turn(struct disk_driver *driver);
// Whether the device wants a kick for what was made available.
int disk_driver_needs_kick(const struct disk_driver *driver);
// Asks for an interrupt with the next used request; returns whether there is one already.
int disk_driver_arm(struct disk_driver *driver);
void disk_driver_disarm(struct disk_driver *driver);

// Reads or writes blocks of `count` bytes at random for `seconds`, `depth` at once; returns how many, or
// -1. With a depth of 0 by calls, one after the other, with that many buffers in turn.
double disk_peer_ring(const char *path, int is_write, unsigned depth, unsigned buffers, uint32_t count,
                      double seconds, int is_direct);
