// A virtio block device behind PCI (virtio 1.2, 4.1 and 5.2), one request at a time, on a split queue.
#include "saving.h"

enum { QUEUE_SIZE = 8, NO_VECTOR = 0xFFFF };

// Where the BAR is put: in the window for 32-bit addresses, which start.S maps.
static const uint64_t bar_address = 0xC0000000;

struct descriptor { uint64_t address; uint32_t count; uint16_t flags, next; };
struct available { uint16_t flags, index, ring[QUEUE_SIZE], event; };
struct used { uint16_t flags, index; struct { uint32_t id, count; } ring[QUEUE_SIZE]; uint16_t event; };

static struct descriptor descriptors[QUEUE_SIZE] __attribute__((aligned(4096)));
static volatile struct available available __attribute__((aligned(4096)));
static volatile struct used used __attribute__((aligned(4096)));
static struct { uint32_t type, reserved; uint64_t sector; } request __attribute__((aligned(16)));
static volatile uint8_t result;
static uint64_t common, doorbell;
volatile uint32_t disk_interrupts;

static uint32_t slot;

static uint32_t config_read(uint32_t offset) {
  out32(0xCF8, 1u << 31 | slot << 11 | (offset & ~3u));
  return in32(0xCFC);
}

static void config_write(uint32_t offset, uint32_t value) {
  out32(0xCF8, 1u << 31 | slot << 11 | (offset & ~3u));
  out32(0xCFC, value);
}

// A locked access orders all others, and is no instruction that a software KVM may lack (SDM volume 3A, 9.2.2).
static void fence(void) { asm volatile("lock; addl $0, (%%rsp)" ::: "memory", "cc"); }

static uint8_t config_byte(uint32_t offset) { return (uint8_t)(config_read(offset) >> 8 * (offset & 3)); }
static void store8(uint64_t address, uint8_t value) { *(volatile uint8_t *)address = value; }
static void store16(uint64_t address, uint16_t value) { *(volatile uint16_t *)address = value; }
static uint8_t load8(uint64_t address) { return *(volatile uint8_t *)address; }
static uint16_t load16(uint64_t address) { return *(volatile uint16_t *)address; }

static void store_address(uint64_t address, const volatile void *what) {
  store32(address, (uint32_t)(uint64_t)what);
  store32(address + 4, (uint32_t)((uint64_t)what >> 32));
}

// Walks the capabilities (PCI 3.0, 6.7; virtio 1.2, 4.1.4).
static bool find_structures(void) {
  uint64_t notification = 0, table = 0;
  uint32_t multiplier = 0, msix = 0;
  for (uint32_t place = config_byte(0x34); place; place = config_byte(place + 1)) {
    if (config_byte(place) == 0x11) { // MSI-X
      msix = place;
      table = bar_address + (config_read(place + 4) & ~7u);
    }
    if (config_byte(place) != 9) continue;
    uint64_t address = bar_address + config_read(place + 8);
    if (config_byte(place + 3) == 1) common = address;
    if (config_byte(place + 3) == 2) {
      notification = address;
      multiplier = config_read(place + 16);
    }
  }
  if (!common || !notification || !msix) return false;
  // Vector 0 to this CPU, not masked, and MSI-X enabled.
  store32(table, 0xFEE00000 | local_apic_id() << 12);
  store32(table + 4, 0);
  store32(table + 8, VECTOR_DISK);
  store32(table + 12, 0);
  config_write(msix, config_read(msix) | 1u << 31);
  store16(common + 0x16, 0); // queue 0
  doorbell = notification + load16(common + 0x1E) * multiplier;
  return true;
}

bool disk_start(void) {
  for (slot = 1; slot < 32 && config_read(0) != 0x10421AF4; slot++) {}
  if (slot == 32) return false;
  config_write(0x10, (uint32_t)bar_address);
  config_write(0x14, 0);
  config_write(4, 6); // memory, and bus master
  if (!find_structures()) return false;
  store8(common + 0x14, 0); // 3.1.1
  store8(common + 0x14, 1);
  store8(common + 0x14, 3);
  store32(common + 8, 1);
  store32(common + 0xC, 1); // VIRTIO_F_VERSION_1 and nothing else
  store32(common + 8, 0);
  store32(common + 0xC, 0);
  store8(common + 0x14, 11);
  if (!(load8(common + 0x14) & 8)) return false;
  store16(common + 0x10, NO_VECTOR);
  store16(common + 0x16, 0);
  store16(common + 0x18, QUEUE_SIZE);
  store16(common + 0x1A, 0);
  store_address(common + 0x20, descriptors);
  store_address(common + 0x28, &available);
  store_address(common + 0x30, &used);
  store16(common + 0x1C, 1);
  store8(common + 0x14, 15);
  return load16(common + 0x1A) == 0;
}

bool disk_transfer(bool is_write, uint64_t sector, void *buffer) {
  request.type = is_write ? 1 : 0;
  request.sector = sector;
  result = 0xFF;
  // Each has the next, but for the last; 2 is for the device to write (2.7.5).
  descriptors[0] = (struct descriptor){(uint64_t)&request, sizeof request, 1, 1};
  descriptors[1] = (struct descriptor){(uint64_t)buffer, SECTOR, is_write ? 1 : 3, 2};
  descriptors[2] = (struct descriptor){(uint64_t)&result, 1, 2, 0};
  uint16_t index = available.index;
  available.ring[index % QUEUE_SIZE] = 0;
  fence();
  available.index = (uint16_t)(index + 1);
  fence();
  store16(doorbell, 0);
  uint16_t wanted = (uint16_t)(index + 1);
  for (uint64_t end = read_tsc() + 2000000000ull * ticks_per_microsecond(); used.index != wanted;) {
    if (read_tsc() > end) return false;
    pause();
  }
  fence();
  return result == 0;
}
