// Where a pin's interrupt goes (82093AA, 3.2.4; SDM volume 3, 11.6.2).
#include "interrupts.h"

static void set_logical(uint64_t format_and_id) {
  apic_write(APIC_DESTINATION_FORMAT, (uint32_t)(format_and_id >> 32));
  apic_write(APIC_LOGICAL_DESTINATION, (uint32_t)format_and_id);
}

void set_flat(void) {
  for (unsigned cpu = 0; cpu < platform.cpus; cpu++)
    run_on(cpu, set_logical, 0xFFFFFFFFull << 32 | (cpu < 8 ? 1ull << (24 + cpu) : 0));
}

void set_cluster(void) {
  for (unsigned cpu = 0; cpu < platform.cpus; cpu++)
    run_on(cpu, set_logical, 0x0FFFFFFFull << 32 | (cpu < 8 ? (uint64_t)(cpu / 2) << 28 | 1ull << (24 + cpu % 2) : 0));
}

static bool reaches(uint32_t cpus, uint32_t low, uint32_t destination) {
  set_pin(PIN, low | VECTOR_LOW, destination);
  set_line(PIN, true);
  set_line(PIN, false);
  return only_taken_by(cpus, VECTOR_LOW);
}

static void check_physical(void) {
  bool each = true;
  for (unsigned cpu = 0; cpu < platform.cpus; cpu++) each = reaches(1u << cpu, 0, platform.apic_ids[cpu]) && each;
  check(each, "destinations: physical, each CPU");
  check(reaches(all_cpus(), 0, 0xFF), "destinations: physical, all");
  check(reaches(0, 0, NOBODY), "destinations: physical, nobody");
}

static void check_logical(void) {
  set_flat();
  bool each = true;
  for (unsigned cpu = 0; cpu < platform.cpus && cpu < 8; cpu++) each = reaches(1u << cpu, LOGICAL, 1u << cpu) && each;
  check(each, "destinations: logical flat, each CPU");
  uint32_t some = all_cpus() & 0x56;
  check(reaches(some, LOGICAL, some), "destinations: logical flat, several");
  check(reaches(all_cpus(), LOGICAL, 0xFF), "destinations: logical flat, all");
  check(reaches(0, LOGICAL, 0), "destinations: logical flat, nobody");

  set_cluster();
  each = true;
  for (unsigned cpu = 0; cpu < platform.cpus && cpu < 8; cpu++)
    each = reaches(1u << cpu, LOGICAL, (cpu / 2) << 4 | 1u << cpu % 2) && each;
  check(each, "destinations: logical cluster, each CPU");
  check(reaches(all_cpus() & 3, LOGICAL, 0x03), "destinations: logical cluster, all of the first cluster");
  check(reaches(all_cpus() & 0xC, LOGICAL, 0x13), "destinations: logical cluster, all of the second");
  check(reaches(all_cpus(), LOGICAL, 0xFF), "destinations: logical cluster, all");
  check(reaches(0, LOGICAL, 0x5F), "destinations: logical cluster, nobody");
  set_flat();
}

static void check_lowest_priority(void) {
  set_pin(PIN, LOGICAL | LOWEST_PRIORITY | VECTOR_LOW, all_cpus());
  bool one = true;
  for (uint32_t i = 1; i <= 8; i++) {
    set_line(PIN, true);
    set_line(PIN, false);
    one = takes(VECTOR_LOW, i) && one;
    delay(500);
    one = taken[VECTOR_LOW] == i && one;
  }
  check(one, "destinations: lowest priority, exactly one CPU takes each");
  forget();
  check(reaches(1, LOGICAL | LOWEST_PRIORITY, 1), "destinations: lowest priority among one");
}

static void serve_on_any(uint32_t vector) {
  (void)vector;
  set_line(PIN, false);
  send_eoi();
}

// The end comes from whichever CPU was interrupted.
static void check_level_elsewhere(void) {
  handle(VECTOR_LOW, serve_on_any);
  for (unsigned cpu = 0; cpu < platform.cpus; cpu++) {
    set_pin(PIN, LEVEL | VECTOR_LOW, platform.apic_ids[cpu]);
    for (uint32_t i = 1; i <= 3; i++) {
      set_line(PIN, true);
      wait_for(&taken_by[cpu][VECTOR_LOW], i, LIMIT);
    }
    delay(QUIET);
  }
  check_count(VECTOR_LOW, 3 * platform.cpus, "destinations: level on each CPU, three times");

  // Moved while it is pending: the line is high, so it comes where the pin now points.
  rest();
  handle(VECTOR_LOW, serve_on_any);
  uint32_t last = platform.cpus - 1;
  set_pin(PIN, LEVEL | MASKED | VECTOR_LOW, platform.apic_ids[0]);
  set_line(PIN, true);
  io_apic_write(0x11 + PIN * 2, platform.apic_ids[last] << 24);
  io_apic_write(0x10 + PIN * 2, LEVEL | VECTOR_LOW);
  wait_for(&taken_by[last][VECTOR_LOW], 1, LIMIT);
  check(taken_by[last][VECTOR_LOW] >= 1, "destinations: a pin that was moved while masked goes to the new CPU");
}

static void check_other_modes(void) {
  rest();
  unsigned last = platform.cpus - 1;
  set_pin(PIN, NMI | VECTOR_LOW, platform.apic_ids[last]);
  set_line(PIN, true);
  check(only_taken_by(1u << last, VECTOR_NMI), "destinations: a pin in NMI mode");

  // SDM volume 3, 11.5.3: a vector below 16 is an error of the receiver, and is not delivered.
  rest();
  apic_write(APIC_ERROR_STATUS, 0);
  set_pin(PIN, VECTOR_RESERVED, local_apic_id());
  set_line(PIN, true);
  delay(QUIET);
  apic_write(APIC_ERROR_STATUS, 0);
  uint32_t error = apic_read(APIC_ERROR_STATUS);
  if (inexact && taken[VECTOR_RESERVED]) skip("destinations: an illegal vector", "it is delivered here");
  else check(!taken[VECTOR_RESERVED], "destinations: an illegal vector is not delivered");
  check_either(error == 0x40, error == 0, "destinations: an illegal vector is received and told",
    tells_no_errors);
  apic_write(APIC_ERROR_STATUS, 0);
}

void check_io_apic_destinations(void) {
  rest();
  check_physical();
  check_logical();
  check_lowest_priority();
  rest();
  check_level_elsewhere();
  check_other_modes();
  rest();
}
