// The interrupt descriptor table, and faults that are expected (Intel SDM volume 3, chapter 6).
#include "guest.h"

struct gate { uint16_t low; uint16_t selector; uint8_t stack, type; uint16_t middle; uint32_t high, zero; };
extern struct gate idt[256];
extern const uint64_t trap_entries[32];

void set_gate(unsigned vector, uint64_t entry) {
  idt[vector] = (struct gate){.low = (uint16_t)entry, .selector = 0x18, .type = 0x8E,
    .middle = (uint16_t)(entry >> 16), .high = (uint32_t)(entry >> 32)};
}

void trap_report(uint64_t vector, uint64_t code, uint64_t rip, uint64_t address) {
  print("FAIL exception %U, code %X, at %X, CR2 %X\n", vector, code, rip, address);
  exit_with(2);
}

void traps_start(void) {
  for (unsigned vector = 0; vector < 32; vector++) set_gate(vector, trap_entries[vector]);
  // All of the 8259s' lines off: they would come as exceptions.
  out8(0x21, 0xFF);
  out8(0xA1, 0xFF);
}

bool read_msr_faults(uint32_t msr, uint64_t *value) {
  uint32_t low = 0, high = 0;
  fault_vector = NO_FAULT;
  asm volatile("movq $1f, fault_resume(%%rip)\n\trdmsr\n1:\tmovq $0, fault_resume(%%rip)"
    : "+a"(low), "+d"(high) : "c"(msr) : "memory");
  if (value) *value = (uint64_t)high << 32 | low;
  return fault_vector == GENERAL_PROTECTION;
}

bool write_msr_faults(uint32_t msr, uint64_t value) {
  fault_vector = NO_FAULT;
  asm volatile("movq $1f, fault_resume(%%rip)\n\twrmsr\n1:\tmovq $0, fault_resume(%%rip)"
    :: "a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "c"(msr) : "memory");
  return fault_vector == GENERAL_PROTECTION;
}
