#include "CRingPeer.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { NEXT = 1, WRITE = 2, INDIRECT = 4, AVAILABLE = 1 << 7, USED = 1 << 15, BUFFER = 256 };

struct descriptor {
  uint64_t address;
  uint32_t length;
  uint16_t flags, next; // packed: ID, flags
};

static inline uint16_t load16(const void *place) { return atomic_load_explicit((_Atomic uint16_t *)place, memory_order_acquire); }
static inline void store16(void *place, uint16_t value) {
  atomic_store_explicit((_Atomic uint16_t *)place, value, memory_order_release);
}
static inline uint64_t load64(const void *place) { return atomic_load_explicit((_Atomic uint64_t *)place, memory_order_acquire); }
static inline void store64(void *place, uint64_t value) {
  atomic_store_explicit((_Atomic uint64_t *)place, value, memory_order_release);
}

// MARK: The driver

static void fill(struct ring_driver *d, uint8_t *place, unsigned chain, int is_ring_packed, uint16_t base) {
  for (unsigned i = 0; i < d->length; i++) {
    uint16_t flags = (i + 1 < d->length ? NEXT : 0) | (i > 0 || d->length == 1 ? WRITE : 0);
    uint64_t address = d->buffers + (uint64_t)(chain % 64) * BUFFER * 16 + i % 16 * BUFFER;
    memcpy(place + 16 * i, &address, 8);
    uint32_t count = BUFFER;
    memcpy(place + 16 * i + 8, &count, 4);
    uint16_t words[2] = {is_ring_packed ? (uint16_t)chain : flags, is_ring_packed ? flags : (uint16_t)(base + i + 1)};
    memcpy(place + 16 * i + 12, words, 4);
  }
}

void ring_driver_init(struct ring_driver *d, const struct ring_layout *layout, uint64_t tables, uint64_t buffers, unsigned length,
                      int indirect) {
  memset(d, 0, sizeof *d);
  d->layout = *layout;
  d->tables = tables;
  d->buffers = buffers;
  d->length = length;
  d->indirect = indirect;
  d->chains = indirect ? layout->size : layout->size / length;
  d->available_wrap = d->used_wrap = 1;
  uint8_t *memory = layout->memory, *ring = memory + layout->descriptors;
  for (unsigned chain = 0; chain < d->chains; chain++) {
    if (indirect) {
      uint64_t table = tables + 16ull * length * chain;
      fill(d, memory + table, chain, layout->packed, 0);
      if (!layout->packed) {
        struct descriptor whole = {table, 16 * length, INDIRECT, 0};
        memcpy(ring + 16 * chain, &whole, 16);
      }
    } else if (!layout->packed) {
      fill(d, ring + 16 * chain * length, chain, 0, (uint16_t)(chain * length));
    }
  }
}

unsigned ring_driver_offer(struct ring_driver *d, unsigned count) {
  const struct ring_layout *l = &d->layout;
  unsigned room = d->chains - d->out;
  if (count > room) count = room;
  if (!l->packed) {
    uint8_t *ring = l->memory + l->available;
    for (unsigned i = 0; i < count; i++) {
      unsigned chain = (uint16_t)(d->available + i) % d->chains;
      uint16_t head = (uint16_t)(d->indirect ? chain : chain * d->length);
      memcpy(ring + 4 + 2 * ((uint16_t)(d->available + i) & (l->size - 1)), &head, 2);
    }
    d->available += count;
    if (count) store16(ring + 2, d->available);
  } else {
    for (unsigned i = 0; i < count; i++) {
      unsigned slots = d->indirect ? 1 : d->length;
      uint16_t first = d->available;
      uint64_t head = 0;
      for (unsigned s = 0; s < slots; s++) {
        uint8_t *place = l->memory + l->descriptors + 16 * d->available;
        uint16_t mark = d->available_wrap ? AVAILABLE : USED;
        unsigned chain = first; // any number that is free: the place of its first descriptor
        uint64_t address = d->buffers + (uint64_t)(chain % 64) * BUFFER * 16 + s % 16 * BUFFER;
        uint16_t flags = mark | (s + 1 < slots ? NEXT : 0) | (s > 0 || slots == 1 ? WRITE : 0);
        uint32_t length = BUFFER;
        if (d->indirect) {
          address = d->tables + 16ull * d->length * (chain % d->chains);
          length = 16 * d->length;
          flags = mark | INDIRECT;
        }
        uint64_t word = length | (uint64_t)(uint16_t)chain << 32 | (uint64_t)flags << 48;
        memcpy(place, &address, 8);
        if (s == 0) head = word; else memcpy(place + 8, &word, 8);
        if (++d->available == l->size) { d->available = 0; d->available_wrap ^= 1; }
      }
      store64(l->memory + l->descriptors + 16 * first + 8, head);
    }
  }
  d->out += count;
  return count;
}

unsigned ring_driver_collect(struct ring_driver *d) {
  const struct ring_layout *l = &d->layout;
  unsigned count = 0;
  if (!l->packed) {
    uint8_t *ring = l->memory + l->used;
    uint16_t index = load16(ring + 2);
    count = (uint16_t)(index - d->used);
    d->used = index;
    // used_event: always one behind the next, so that every batch is asked about.
    store16(l->memory + l->available + 4 + 2 * l->size, d->used);
  } else {
    unsigned slots = d->indirect ? 1 : d->length;
    while (d->out > count) {
      uint16_t flags = (uint16_t)(load64(l->memory + l->descriptors + 16 * d->used + 8) >> 48);
      int available = !!(flags & AVAILABLE), used = !!(flags & USED);
      if (available != used || used != d->used_wrap) break;
      d->used += slots;
      if (d->used >= l->size) { d->used -= l->size; d->used_wrap ^= 1; }
      count++;
    }
  }
  d->out -= count;
  return count;
}

// MARK: The device

void ring_device_init(struct ring_device *d, const struct ring_layout *layout) {
  memset(d, 0, sizeof *d);
  d->layout = *layout;
  d->available_wrap = d->used_wrap = 1;
}

static inline int add(struct ring_device *d, uint64_t address, uint32_t length) {
  const struct ring_layout *l = &d->layout;
  if (d->count >= l->size || length > l->memory_size || address > l->memory_size - length) return -1;
  d->segments[d->count].base = l->memory + address;
  d->segments[d->count++].count = length;
  d->total += length;
  return d->total > 1ull << 32 ? -1 : 0;
}

static int walk_table(struct ring_device *d, uint64_t table, uint32_t bytes) {
  const struct ring_layout *l = &d->layout;
  if (!bytes || bytes % 16 || bytes > l->memory_size || table > l->memory_size - bytes) return -1;
  uint32_t count = bytes / 16;
  int was_write = 0;
  for (uint32_t index = 0, steps = 0; steps < count; steps++) {
    if (index >= count) return -1;
    uint64_t address = load64(l->memory + table + 16 * index), word = load64(l->memory + table + 16 * index + 8);
    uint16_t flags = (uint16_t)(word >> (l->packed ? 48 : 32));
    if (!l->packed && flags & INDIRECT) return -1;
    if (was_write && !(flags & WRITE)) return -1;
    was_write = flags & WRITE;
    if (add(d, address, (uint32_t)word)) return -1;
    if (!l->packed) {
      if (!(flags & NEXT)) return 0;
      index = (uint16_t)(word >> 48);
    } else {
      index++;
    }
  }
  return l->packed ? 0 : -1;
}

static int run_split(struct ring_device *d, unsigned count, unsigned *interrupts) {
  const struct ring_layout *l = &d->layout;
  uint8_t *available = l->memory + l->available, *used = l->memory + l->used, *ring = l->memory + l->descriptors;
  unsigned done = 0;
  for (; done < count; done++) {
    if (d->available == d->known) {
      uint16_t index = load16(available + 2);
      if ((uint16_t)(index - d->available) > l->size) return -1;
      d->known = index;
      if (index == d->available) break;
    }
    if ((uint16_t)(d->available - d->used) >= l->size) return -1;
    uint16_t head = load16(available + 4 + 2 * (d->available & (l->size - 1)));
    d->count = 0;
    d->total = 0;
    int was_write = 0;
    uint16_t index = head;
    for (unsigned steps = 0;; steps++) {
      if (index >= l->size || steps >= l->size) return -1;
      uint64_t address = load64(ring + 16 * index), word = load64(ring + 16 * index + 8);
      uint16_t flags = (uint16_t)(word >> 32);
      if (flags & INDIRECT) {
        if (flags & NEXT || walk_table(d, address, (uint32_t)word)) return -1;
        break;
      }
      if (was_write && !(flags & WRITE)) return -1;
      was_write = flags & WRITE;
      if (add(d, address, (uint32_t)word)) return -1;
      if (!(flags & NEXT)) break;
      index = (uint16_t)(word >> 48);
    }
    d->available++;
    uint8_t *slot = used + 4 + 8 * (d->used & (l->size - 1));
    uint32_t entry[2] = {head, 0};
    memcpy(slot, entry, 8);
    d->used++;
  }
  if (!done) return 0;
  store16(used + 2, d->used);
  atomic_thread_fence(memory_order_seq_cst);
  uint16_t event = load16(available + 4 + 2 * l->size), old = d->signalled;
  d->signalled = d->used;
  if ((uint16_t)(d->used - event - 1) < (uint16_t)(d->used - old)) ++*interrupts;
  return (int)done;
}

static int run_packed(struct ring_device *d, unsigned count, unsigned *interrupts) {
  const struct ring_layout *l = &d->layout;
  uint8_t *ring = l->memory + l->descriptors;
  unsigned done = 0;
  uint8_t *first = 0;
  uint64_t first_word = 0;
  for (; done < count; done++) {
    uint64_t word = load64(ring + 16 * d->available + 8);
    uint16_t flags = (uint16_t)(word >> 48);
    int is_available = !!(flags & AVAILABLE), is_used = !!(flags & USED);
    if (is_available != d->available_wrap || is_used == is_available) break;
    d->count = 0;
    d->total = 0;
    int was_write = 0;
    unsigned slots = 0;
    uint16_t place = d->available;
    int wrap = d->available_wrap;
    for (;;) {
      if (slots++ >= l->size) return -1;
      uint64_t address = load64(ring + 16 * place);
      flags = (uint16_t)(word >> 48);
      if (++place == l->size) { place = 0; wrap ^= 1; }
      if (flags & INDIRECT) {
        if (flags & NEXT || slots != 1 || walk_table(d, address, (uint32_t)word)) return -1;
        was_write = WRITE;
        break;
      }
      if (was_write && !(flags & WRITE)) return -1;
      was_write = flags & WRITE;
      if (add(d, address, (uint32_t)word)) return -1;
      if (!(flags & NEXT)) break;
      word = load64(ring + 16 * place + 8);
    }
    d->available = place;
    d->available_wrap = wrap;
    uint16_t mark = (d->used_wrap ? AVAILABLE | USED : 0) | (was_write ? WRITE : 0);
    uint64_t entry = (word & 0xFFFF00000000ull) | (uint64_t)mark << 48;
    if (!first) {
      first = ring + 16 * d->used + 8;
      first_word = entry;
    } else {
      store64(ring + 16 * d->used + 8, entry);
    }
    d->used += slots;
    if (d->used >= l->size) { d->used -= l->size; d->used_wrap ^= 1; }
  }
  if (!done) return 0;
  store64(first, first_word);
  atomic_thread_fence(memory_order_seq_cst);
  // The driver's event suppression structure says "always".
  if ((load16(l->memory + l->available + 2) & 3) != 1) ++*interrupts;
  return (int)done;
}

int ring_device_run(struct ring_device *d, unsigned count, unsigned *interrupts) {
  return d->layout.packed ? run_packed(d, count, interrupts) : run_split(d, count, interrupts);
}

// MARK: The driver's thread

struct ring_thread {
  pthread_t thread;
  struct ring_driver *driver;
  atomic_int stopped;
};

static void *drive(void *argument) {
  struct ring_thread *t = argument;
  while (!atomic_load_explicit(&t->stopped, memory_order_relaxed)) {
    unsigned moved = ring_driver_collect(t->driver);
    moved += ring_driver_offer(t->driver, 32);
    if (!moved) __builtin_ia32_pause();
  }
  return 0;
}

struct ring_thread *ring_thread_start(struct ring_driver *driver) {
  struct ring_thread *t = calloc(1, sizeof *t);
  if (!t) return 0;
  t->driver = driver;
  if (pthread_create(&t->thread, 0, drive, t)) {
    free(t);
    return 0;
  }
  return t;
}

void ring_thread_stop(struct ring_thread *t) {
  atomic_store(&t->stopped, 1);
  pthread_join(t->thread, 0);
  free(t);
}
