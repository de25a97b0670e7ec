// What the bus is measured against: a plain binary search in C over the same ranges, and an indirect
// call to a device that does the same work. It has no updates, no levels and no splitting.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct peer_device {
  uint64_t (*read)(const struct peer_device *device, uint64_t offset, int width);
  uint64_t value;
};

struct peer_range {
  uint64_t first;
  uint64_t last;
  uint32_t device;
};

struct peer_bus {
  size_t count;
  // Sorted, without overlap.
  const struct peer_range *ranges;
  const struct peer_device *devices;
};

// A bus of `count` ranges of `size` bytes, the first at `base`, each `stride` after the one before.
struct peer_bus *peer_bus_create(size_t count, uint64_t base, uint64_t stride, uint64_t size);
void peer_bus_destroy(struct peer_bus *bus);
uint64_t peer_bus_read(const struct peer_bus *bus, uint64_t address, int width);
// The same, searched without a branch that depends on the address.
uint64_t peer_bus_read_branchless(const struct peer_bus *bus, uint64_t address, int width);
