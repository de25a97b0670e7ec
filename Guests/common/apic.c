// The registers of the local APIC, in both of its modes, and of the I/O APIC (Intel SDM volume 3, chapter 11;
// 82093AA, 3.0).
#include "guest.h"

static volatile bool is_extended[MAX_CPUS]; // x2APIC mode, by CPU

void note_apic_mode(void) { is_extended[this_cpu()] = read_msr(APIC_BASE) >> 10 & 1; }

// 11.12.1.2: an x2APIC register is at 0x800 and the memory-mapped offset by 16.
uint32_t apic_read(uint32_t offset) {
  return is_extended[this_cpu()] ? (uint32_t)read_msr(0x800 + (offset >> 4)) : load32(platform.local_apic + offset);
}

void apic_write(uint32_t offset, uint32_t value) {
  if (is_extended[this_cpu()]) write_msr(0x800 + (offset >> 4), value);
  else store32(platform.local_apic + offset, value);
}

void send_eoi(void) { apic_write(APIC_EOI, 0); }

void local_apic_start(void) {
  apic_write(APIC_TASK_PRIORITY, 0);
  apic_write(APIC_SPURIOUS, 0x100 | VECTOR_SPURIOUS);
}

uint32_t local_apic_id(void) { return is_extended[this_cpu()] ? apic_read(APIC_ID) : apic_read(APIC_ID) >> 24; }

bool send_interrupt(uint32_t apic_id, uint32_t command) {
  if (is_extended[this_cpu()]) {
    write_msr(0x800 + (APIC_COMMAND_LOW >> 4), (uint64_t)apic_id << 32 | command);
    return true;
  }
  apic_write(APIC_COMMAND_HIGH, apic_id << 24);
  apic_write(APIC_COMMAND_LOW, command);
  for (unsigned i = 0; i < 100000; i++) {
    if (!(apic_read(APIC_COMMAND_LOW) & 1 << 12)) return true; // idle
    pause();
  }
  return false;
}

void io_apic_write(uint32_t index, uint32_t value) {
  store32(platform.io_apic, index);
  store32(platform.io_apic + 0x10, value);
}

uint32_t io_apic_read(uint32_t index) {
  store32(platform.io_apic, index);
  return load32(platform.io_apic + 0x10);
}
