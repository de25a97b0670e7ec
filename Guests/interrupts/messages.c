// Interrupts from one CPU to others (SDM volume 3, 11.6).
#include "interrupts.h"

static bool sent(uint32_t cpus, uint32_t command, uint32_t id) {
  bool idle = send_interrupt(id, ASSERT | command | VECTOR_LOW);
  return only_taken_by(cpus, VECTOR_LOW) && idle;
}


static void send_to_others(uint64_t command) { send_interrupt(0, (uint32_t)command); }

static void check_shorthands(void) {
  check(sent(1, TO_SELF, 0), "messages: to itself");
  check(sent(all_cpus(), TO_ALL, 0), "messages: to all");
  check(sent(all_cpus() & ~1u, TO_OTHERS, 0), "messages: to all others");
  if (platform.cpus == 1) return;
  bool others = true;
  for (unsigned cpu = 1; cpu < platform.cpus; cpu++) {
    run_on(cpu, send_to_others, TO_OTHERS | ASSERT | VECTOR_LOW);
    others = only_taken_by(all_cpus() & ~(1u << cpu), VECTOR_LOW) && others;
  }
  check(others, "messages: from each CPU to all others");
}

static void check_destinations(void) {
  bool each = true;
  for (unsigned cpu = 0; cpu < platform.cpus; cpu++) each = sent(1u << cpu, 0, platform.apic_ids[cpu]) && each;
  check(each, "messages: physical, each CPU");
  check(sent(all_cpus(), 0, 0xFF), "messages: physical, all");
  check(sent(0, 0, NOBODY), "messages: physical, nobody");

  set_flat();
  each = true;
  for (unsigned cpu = 0; cpu < platform.cpus && cpu < 8; cpu++) each = sent(1u << cpu, LOGICAL, 1u << cpu) && each;
  check(each, "messages: logical flat, each CPU");
  check(sent(all_cpus() & 0x5A, LOGICAL, all_cpus() & 0x5A), "messages: logical flat, several");
  check(sent(all_cpus(), LOGICAL, 0xFF), "messages: logical flat, all");
  check(sent(0, LOGICAL, 0), "messages: logical flat, nobody");

  set_cluster();
  each = true;
  for (unsigned cpu = 0; cpu < platform.cpus && cpu < 8; cpu++)
    each = sent(1u << cpu, LOGICAL, (cpu / 2) << 4 | 1u << cpu % 2) && each;
  check(each, "messages: logical cluster, each CPU");
  check(sent(all_cpus() & 3, LOGICAL, 0x03), "messages: logical cluster, a whole cluster");
  check(sent(all_cpus(), LOGICAL, 0xFF), "messages: logical cluster, all");
  set_flat();
}

static volatile uint32_t bounces;

static void bounce(uint32_t vector) {
  (void)vector;
  bounces++;
  send_eoi();
  send_interrupt(platform.apic_ids[0], ASSERT | VECTOR_HIGH);
}

static void check_exchange(void) {
  if (platform.cpus == 1) return;
  handle(VECTOR_MIDDLE, bounce);
  bool all = true;
  for (unsigned cpu = 1; cpu < platform.cpus; cpu++) {
    for (uint32_t i = 1; i <= 20; i++) {
      send_interrupt(platform.apic_ids[cpu], ASSERT | VECTOR_MIDDLE);
      all = takes(VECTOR_HIGH, i) && all;
    }
    // It counts after it has answered.
    all = wait_for(&taken_by[cpu][VECTOR_MIDDLE], 20, LIMIT) && all;
    all = all && taken_by[cpu][VECTOR_MIDDLE] == 20 && taken[VECTOR_HIGH] == 20;
    forget();
  }
  check(all, "messages: there and back 20 times with each CPU, none lost and none more");
}

void check_messages(void) {
  rest();
  check_shorthands();
  check_destinations();
  check_exchange();
  rest();
}
