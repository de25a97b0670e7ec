// Non-maskable interrupts as messages (SDM volume 3, 6.7 and 11.6.1).
#include "interrupts.h"

static volatile uint32_t depth, deepest, again;

static void non_maskable(uint32_t vector) {
  (void)vector;
  if (++depth > deepest) deepest = depth;
  while (again) {
    again--;
    send_interrupt(local_apic_id(), ASSERT | NMI);
  }
  delay(500);
  depth--;
}

static void nothing(uint64_t argument) { (void)argument; }

static void ignore(uint32_t vector) { (void)vector; }

void check_nmi(void) {
  rest();
  uint32_t self = local_apic_id();
  send_interrupt(self, ASSERT | NMI);
  check(only_taken_by(1, VECTOR_NMI), "NMI: to itself");
  disable();
  send_interrupt(self, ASSERT | NMI | 0xFF);
  delay(QUIET);
  bool while_disabled = taken[VECTOR_NMI] == 1;
  enable();
  check(while_disabled, "NMI: though interrupts are disabled, and whatever its vector says");
  forget();
  apic_write(APIC_TASK_PRIORITY, 0xF0);
  send_interrupt(self, ASSERT | NMI);
  check(only_taken_by(1, VECTOR_NMI), "NMI: whatever the task priority is");
  apic_write(APIC_TASK_PRIORITY, 0);

  handle(VECTOR_NMI, non_maskable);
  again = 2;
  depth = deepest = 0;
  send_interrupt(self, ASSERT | NMI);
  takes(VECTOR_NMI, 2);
  delay(QUIET);
  check(deepest == 1, "NMI: none inside another");
  check_count(VECTOR_NMI, 2, "NMI: two inside one are one more after it");
  handle(VECTOR_NMI, ignore);
  forget();

  for (unsigned cpu = 1; cpu < platform.cpus; cpu++) {
    send_interrupt(platform.apic_ids[cpu], ASSERT | NMI);
    if (cpu == 1) check(only_taken_by(1u << cpu, VECTOR_NMI), "NMI: wakes another CPU");
    else check(only_taken_by(1u << cpu, VECTOR_NMI), "NMI: and another");
  }
  if (platform.cpus > 1) {
    send_interrupt(0, ASSERT | NMI | TO_OTHERS);
    check(only_taken_by(all_cpus() & ~1u, VECTOR_NMI), "NMI: to all others");
    check(run_on(1, nothing, 0), "NMI: the other CPU goes on");
  }
  apic_write(APIC_SPURIOUS, VECTOR_SPURIOUS);
  send_interrupt(self, ASSERT | NMI);
  takes(VECTOR_NMI, 1);
  apic_write(APIC_SPURIOUS, 0x100 | VECTOR_SPURIOUS);
  // 11.4.7.2: a disabled local APIC still responds to INIT, NMI, SMI and SIPI.
  check(taken[VECTOR_NMI] == 1, "NMI: a local APIC that is disabled by software takes it");
  rest();
}
