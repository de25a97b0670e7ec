// What ends in a general-protection fault (SDM volume 3, 11.12.1 to 11.12.5).
#include "interrupts.h"

enum { ENABLED = 1 << 11, EXTENDED = 1 << 10 };

static uint32_t msr_of(uint32_t offset) { return 0x800 + (offset >> 4); }

static bool all_reads_fault(const uint16_t *msrs, unsigned count) {
  bool all = true;
  for (unsigned i = 0; i < count; i++) {
    if (read_msr_faults(msrs[i], NULL)) continue;
    print("     MSR %x can be read\n", msrs[i]);
    all = false;
  }
  return all;
}

static bool all_writes_fault(const uint16_t *msrs, unsigned count) {
  bool all = true;
  for (unsigned i = 0; i < count; i++) {
    if (write_msr_faults(msrs[i], 0)) continue;
    print("     MSR %x can be written\n", msrs[i]);
    all = false;
  }
  return all;
}

// 11.12.5, figure 11-27: which changes of mode there are.
static void check_modes(uint64_t base) {
  check(write_msr_faults(APIC_BASE, base & ~(uint64_t)ENABLED), "faults: x2APIC mode without enabling");
  check(write_msr_faults(APIC_BASE, base & ~(uint64_t)EXTENDED), "faults: from x2APIC mode to xAPIC mode");
  check(read_msr(APIC_BASE) == base, "faults: the mode stays as it was");
  write_msr(APIC_BASE, base & ~(uint64_t)(ENABLED | EXTENDED));
  check(write_msr_faults(APIC_BASE, base), "faults: from disabled to x2APIC mode");
  check(read_msr_faults(msr_of(APIC_ID), NULL), "faults: its registers while it is disabled");
  write_msr(APIC_BASE, (base & ~(uint64_t)EXTENDED) | ENABLED);
  note_apic_mode();
}

void check_x2apic_faults(void) {
  static const uint16_t unreadable[] = {
    0x800, 0x801, 0x804, 0x805, 0x807, 0x809, 0x80B, 0x80C, 0x80E, 0x829, 0x831, 0x83A, 0x83C, 0x83F,
  };
  static const uint16_t unwritable[] = {
    0x800, 0x802, 0x803, 0x80A, 0x80D, 0x80E, 0x810, 0x818, 0x820, 0x827, 0x831, 0x839, 0x83C,
  };
  if (!(cpuid(1, 0).ecx >> 21 & 1)) return;
  rest();
  check(read_msr_faults(msr_of(APIC_ID), NULL), "faults: its registers in xAPIC mode");
  disable();
  uint64_t base = read_msr(APIC_BASE) | ENABLED | EXTENDED;
  write_msr(APIC_BASE, base);
  note_apic_mode();
  check(all_reads_fault(unreadable, sizeof unreadable / 2), "faults: reserved and write-only registers cannot be read");
  check(all_writes_fault(unwritable, sizeof unwritable / 2), "faults: reserved and read-only registers cannot be written");
  check(write_msr_faults(msr_of(APIC_ERROR_STATUS), 1), "faults: an error status that is not 0");
  check(!write_msr_faults(msr_of(APIC_ERROR_STATUS), 0), "faults: none for 0");
  // Table 11-6 asks for these faults too; Linux gives some of them only in newer versions.
  const char *known = "Linux takes it";
  check_either(write_msr_faults(msr_of(APIC_EOI), 1), true, "faults: an end of interrupt that is not 0", known);
  check_either(write_msr_faults(msr_of(APIC_TASK_PRIORITY), 1ull << 32), true, "faults: more than 32 bits", known);
  check_either(write_msr_faults(msr_of(APIC_TASK_PRIORITY), 0x100), true, "faults: a task priority of more than 8 bits", known);
  write_msr(msr_of(APIC_TASK_PRIORITY), 0);
  check_modes(base);
  local_apic_start();
  enable();
  send_interrupt(platform.apic_ids[0], ASSERT | VECTOR_LOW);
  check(only_taken_by(1, VECTOR_LOW), "faults: it works on after all of them");
}
