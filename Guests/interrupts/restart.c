// INIT and SIPI to CPUs that run (SDM volume 3, 9.4 and 11.4.7.3).
#include "interrupts.h"

#define LANDING 0x9000ull

extern uint8_t landing[], landing_end[], landing_count[], landing_segment[];

static volatile uint32_t *arrivals(uint64_t page) {
  return (volatile uint32_t *)(page + (uint64_t)(landing_count - landing));
}

static uint16_t segment(uint64_t page) { return *(volatile uint16_t *)(page + (uint64_t)(landing_segment - landing)); }

static void lay(uint64_t page) { bytes_copy((void *)page, landing, (size_t)(landing_end - landing)); }

static void spoil(uint64_t argument) {
  (void)argument;
  apic_write(APIC_TASK_PRIORITY, 0x20);
  apic_write(APIC_TIMER, VECTOR_MIDDLE);
  apic_write(APIC_TIMER_INITIAL, 0);
  apic_write(APIC_LOGICAL_DESTINATION, 0xFF000000);
}

static void nothing(uint64_t argument) { (void)argument; }

static void check_one(unsigned cpu) {
  uint32_t id = platform.apic_ids[cpu];
  lay(LANDING);
  lay(LANDING + 0x1000);
  // 9.4.1: only a CPU that waits after INIT takes a SIPI.
  send_interrupt(id, 0x4600 | LANDING >> 12);
  delay(QUIET);
  check(*arrivals(LANDING) == 0 && run_on(cpu, nothing, 0), "restart: a SIPI to a running CPU does nothing");
  // 11.6.1, table 11-4: INIT level de-assert, which no processor since Pentium 4 has.
  send_interrupt(id, 0x8500);
  delay(QUIET);
  check(run_on(cpu, nothing, 0), "restart: an INIT de-assert does nothing");

  run_on(cpu, spoil, 0);
  send_interrupt(id, 0x4500);
  delay(10000);
  uint32_t before = taken_by[cpu][VECTOR_WORK];
  send_interrupt(id, ASSERT | VECTOR_WORK);
  delay(QUIET);
  check(taken_by[cpu][VECTOR_WORK] == before, "restart: a CPU that waits for a SIPI takes no interrupt");
  send_interrupt(id, 0x4600 | LANDING >> 12);
  check(wait_for(arrivals(LANDING), 1, LIMIT), "restart: INIT and SIPI start it where the SIPI says");
  check(segment(LANDING) == LANDING >> 4, "restart: with the page as its code segment");
  send_interrupt(id, 0x4600 | (LANDING + 0x1000) >> 12);
  delay(QUIET);
  check(*arrivals(LANDING) == 1 && *arrivals(LANDING + 0x1000) == 0, "restart: a second SIPI does nothing");

  check(start_cpu(id), "restart: and again, where it works on");
  check(at_start[cpu].spurious == 0xFF, "restart: INIT disables the local APIC");
  check(at_start[cpu].task_priority == 0 && at_start[cpu].logical == 0, "restart: INIT clears its registers");
  check(at_start[cpu].timer & MASKED && at_start[cpu].lint0 & MASKED, "restart: INIT masks the local vectors");
  check((at_start[cpu].base & 0x900) == 0x800, "restart: INIT keeps the base, and this is no boot CPU");
  check(run_on(cpu, nothing, 0), "restart: it answers");
}

void check_restart(void) {
  rest();
  if (platform.cpus == 1) return skip("restart: INIT and SIPI", "there is one CPU");
  check_one(1);
  if (platform.cpus > 2) {
    lay(LANDING);
    // Shorthands go with INIT and SIPI too (table 11-4).
    send_interrupt(0, 0x4500 | TO_OTHERS);
    delay(10000);
    send_interrupt(0, 0x4600 | TO_OTHERS | LANDING >> 12);
    check(wait_for(arrivals(LANDING), platform.cpus - 1, LIMIT), "restart: INIT and SIPI to all others");
    bool all = true;
    for (unsigned cpu = 1; cpu < platform.cpus; cpu++) all = start_cpu(platform.apic_ids[cpu]) && all;
    check(all, "restart: and all are started again");
  }
  rest();
}
