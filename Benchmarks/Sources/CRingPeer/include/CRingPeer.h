// A driver of virtqueues, and the device's side of them in plain C, for comparison.
#pragma once
#include <stdint.h>

struct ring_layout {
  uint8_t *memory;      // guest memory, from guest address 0 on
  uint64_t memory_size; // in bytes
  uint16_t size;        // entries, a power of 2
  int packed;           // which kind of ring
  uint64_t descriptors, available, used; // guest addresses
};

// The driver: chains of `length` descriptors, direct or in a table, with one readable one at their front if there are several.
struct ring_driver {
  struct ring_layout layout;
  uint64_t tables; // guest address of the tables, 16 * length bytes each
  uint64_t buffers; // guest address of what descriptors point to
  unsigned length, chains; // chains that fit
  int indirect;
  unsigned out;
  uint16_t available, used; // split: indices; packed: places
  int available_wrap, used_wrap;
};

void ring_driver_init(struct ring_driver *driver, const struct ring_layout *layout, uint64_t tables, uint64_t buffers,
                      unsigned length, int indirect);
// Makes at most `count` chains available, as many as there is room for; returns how many.
unsigned ring_driver_offer(struct ring_driver *driver, unsigned count);
// Takes back what the device is done with; returns how many chains.
unsigned ring_driver_collect(struct ring_driver *driver);

// The device, which checks what it reads as a careful one does.
struct ring_device {
  struct ring_layout layout;
  uint16_t available, known, used, signalled;
  int available_wrap, used_wrap;
  unsigned count;
  struct { uint8_t *base; uint64_t count; } segments[1024];
  uint64_t total;
};

void ring_device_init(struct ring_device *device, const struct ring_layout *layout);
// Takes at most `count` chains, gives each back, shows them, and asks whether the driver wants an interrupt. Returns how
// many, or -1 for a driver that breaks the rules.
int ring_device_run(struct ring_device *device, unsigned count, unsigned *interrupts);

// A driver on a thread of its own, which offers and collects until it is stopped.
struct ring_thread;
struct ring_thread *ring_thread_start(struct ring_driver *driver);
void ring_thread_stop(struct ring_thread *thread);
