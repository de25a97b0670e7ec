#include "CBusPeer.h"

#include <stdlib.h>

static uint64_t read_value(const struct peer_device *device, uint64_t offset, int width) {
  (void)width;
  return device->value + offset;
}

struct peer_bus *peer_bus_create(size_t count, uint64_t base, uint64_t stride, uint64_t size) {
  struct peer_bus *bus = malloc(sizeof *bus);
  struct peer_range *ranges = malloc(count * sizeof *ranges);
  struct peer_device *devices = malloc(count * sizeof *devices);
  if (!bus || !ranges || !devices) abort();
  for (size_t i = 0; i < count; i++) {
    ranges[i].first = base + i * stride;
    ranges[i].last = ranges[i].first + size - 1;
    ranges[i].device = (uint32_t)i;
    devices[i].read = read_value;
    devices[i].value = i;
  }
  bus->count = count;
  bus->ranges = ranges;
  bus->devices = devices;
  return bus;
}

void peer_bus_destroy(struct peer_bus *bus) {
  free((void *)bus->ranges);
  free((void *)bus->devices);
  free(bus);
}

uint64_t peer_bus_read(const struct peer_bus *bus, uint64_t address, int width) {
  size_t low = 0;
  size_t high = bus->count;
  // The first range that ends at or above the address.
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (bus->ranges[middle].last < address)
      low = middle + 1;
    else
      high = middle;
  }
  if (low == bus->count) return UINT64_MAX;
  const struct peer_range *range = &bus->ranges[low];
  if (address < range->first || address + (uint64_t)width - 1 > range->last) return UINT64_MAX;
  const struct peer_device *device = &bus->devices[range->device];
  return device->read(device, address - range->first, width);
}

uint64_t peer_bus_read_branchless(const struct peer_bus *bus, uint64_t address, int width) {
  size_t index = 0;
  for (size_t count = bus->count; count > 1;) {
    size_t half = count / 2;
    size_t mask = -(size_t)(bus->ranges[index + half].first <= address);
    __asm__("" : "+r"(mask));  // or the compiler makes a branch of it
    index += half & mask;
    count -= half;
  }
  const struct peer_range *range = &bus->ranges[index];
  if (address < range->first || address + (uint64_t)width - 1 > range->last) return UINT64_MAX;
  const struct peer_device *device = &bus->devices[range->device];
  return device->read(device, address - range->first, width);
}
