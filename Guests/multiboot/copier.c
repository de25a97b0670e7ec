// The device of Examples/copier, wherever it runs: found on PCI bus 0, it copies memory and raises its pin.
#include "program.h"

#define DEVICE 0xC0B11234
enum { SOURCE = 0x00, TARGET = 0x08, COUNT = 0x10, START = 0x14, OUTCOME = 0x18 };

static uint64_t registers;
static volatile uint32_t copier_count, copier_outcome;
static volatile uint32_t words[64];

static uint32_t configuration_read(unsigned device, unsigned offset) {
  out32(0xCF8, 1u << 31 | device << 11 | offset);
  return in32(0xCFC);
}

static void configuration_write(unsigned device, unsigned offset, uint32_t value) {
  out32(0xCF8, 1u << 31 | device << 11 | offset);
  out32(0xCFC, value);
}

struct interrupt_frame;
__attribute__((interrupt)) static void on_copier(struct interrupt_frame *frame) {
  (void)frame;
  uint32_t outcome = load32(registers + OUTCOME);
  // A pin that other devices may share, and whose end of interrupt reaches another process late, interrupts for nothing at times.
  if (outcome) {
    copier_outcome = outcome;
    store32(registers + OUTCOME, 0);
    // The write is posted; the pin is low once this has been read.
    (void)load32(registers + OUTCOME);
    copier_count++;
  }
  send_eoi();
}

static void start_copy(uint64_t from, uint64_t to, uint32_t count) {
  store32(registers + SOURCE, (uint32_t)from);
  store32(registers + SOURCE + 4, (uint32_t)(from >> 32));
  store32(registers + TARGET, (uint32_t)to);
  store32(registers + TARGET + 4, (uint32_t)(to >> 32));
  store32(registers + COUNT, count);
  store32(registers + START, 1);
}

void check_copier(void) {
  unsigned device = 1;
  while (device < 32 && configuration_read(device, 0) != DEVICE) device++;
  check(device < 32, "copier: found");
  if (device == 32) return;
  registers = configuration_read(device, 0x10) & ~0xFu;
  check(registers != 0, "copier: its registers have an address");
  configuration_write(device, 4, 6); // memory, and the device's own access to memory

  uint32_t pin = configuration_read(device, 0x3C) & 0xFF;
  check(pin >= 16 && pin < 24, "copier: its pin leads to the I/O APIC");
  set_gate(VECTOR_COPIER, (uint64_t)on_copier);
  io_apic_write(0x11 + pin * 2, local_apic_id() << 24);
  io_apic_write(0x10 + pin * 2, VECTOR_COPIER | 1 << 15 | 1 << 13); // level, active low

  bool all = true;
  for (uint32_t i = 0; i < 3; i++) {
    for (unsigned k = 0; k < 32; k++) words[k] = 0x1234567u * (k + i + 1);
    start_copy((uint64_t)words, (uint64_t)(words + 32), 128);
    all = wait_for(&copier_count, i + 1, 5000000) && copier_outcome == 1 && all;
    all = all && bytes_equal((const void *)words, (const void *)(words + 32), 128);
  }
  check(all, "copier: three copies, three interrupts");

  start_copy(0xFFFFFFFFFFFFFFF0, (uint64_t)words, 32);
  check(wait_for(&copier_count, 4, 5000000) && copier_outcome == 2, "copier: no memory, no copy");

  configuration_write(device, 4, 2);
  start_copy((uint64_t)words, (uint64_t)(words + 32), 128);
  check(wait_for(&copier_count, 5, 5000000) && copier_outcome == 2, "copier: no bus master, no copy");
  io_apic_write(0x10 + pin * 2, VECTOR_COPIER | 1 << 16);
}
