// The local APIC's timer and its modes (SDM volume 3, 11.5.4).
#include "interrupts.h"

enum { PERIODIC = 1 << 17, DEADLINE = 2 << 17, COUNT = 1000000, LONG = 100 * COUNT }; // 1 and 100 ms where the bus has 1 GHz

static volatile uint64_t fired_at;

static void note_time(uint32_t vector) {
  (void)vector;
  fired_at = read_tsc();
  send_eoi();
}

static void stop(void) {
  apic_write(APIC_TIMER, MASKED);
  apic_write(APIC_TIMER_INITIAL, 0);
  apic_write(APIC_TIMER_DIVIDE, 0xB); // by 1
  rest();
}

// How long to wait for what must not come: some periods of the timer, however fast it is.
static void wait_periods(void) { delay(10000); }

// Arms and disarms at once what would fire in 100 ms. A busy host may let that time pass in between: then again.
static void arm_and_disarm(void (*arm)(void), void (*disarm)(void)) {
  for (unsigned attempt = 0; attempt < 20; attempt++) {
    forget();
    arm();
    disarm();
    delay(100);
    if (!taken[VECTOR_LOW]) break;
  }
  delay(120000);
}

static uint32_t first_count, second_count;

static void start_long(void) {
  apic_write(APIC_TIMER_INITIAL, LONG);
  first_count = apic_read(APIC_TIMER_CURRENT);
  delay(100);
  second_count = apic_read(APIC_TIMER_CURRENT);
}

static void stop_by_0(void) { apic_write(APIC_TIMER_INITIAL, 0); }

static bool check_one_shot(void) {
  stop();
  apic_write(APIC_TIMER, VECTOR_LOW);
  apic_write(APIC_TIMER_INITIAL, COUNT);
  check(apic_read(APIC_TIMER_INITIAL) == COUNT, "timer: the initial count reads back");
  bool fires = takes(VECTOR_LOW, 1);
  wait_periods();
  check(fires, "timer: one shot");
  check_count(VECTOR_LOW, 1, "timer: and no more");
  check(apic_read(APIC_TIMER_CURRENT) == 0, "timer: it rests at 0");
  apic_write(APIC_TIMER_INITIAL, COUNT);
  takes(VECTOR_LOW, 2);
  check_count(VECTOR_LOW, 2, "timer: started again by its initial count");

  stop();
  apic_write(APIC_TIMER, VECTOR_LOW);
  arm_and_disarm(start_long, stop_by_0);
  check(first_count <= LONG && second_count < first_count && second_count != 0, "timer: the current count falls");
  check(apic_read(APIC_TIMER_CURRENT) == 0, "timer: an initial count of 0 stops it");
  check_count(VECTOR_LOW, 0, "timer: stopped it does not fire");
  return fires;
}

static void check_periodic(void) {
  stop();
  apic_write(APIC_TIMER, PERIODIC | VECTOR_LOW);
  apic_write(APIC_TIMER_INITIAL, COUNT);
  check(takes(VECTOR_LOW, 10), "timer: periodic");
  // Between two periods it counts; 0 may be read where the end of a period is noticed late, as on a busy host.
  bool counts = false, within = true;
  uint64_t limit = read_tsc() + (uint64_t)LIMIT * ticks_per_microsecond();
  for (unsigned i = 0; i < 100 || (!counts && read_tsc() < limit); i++) {
    uint32_t current = apic_read(APIC_TIMER_CURRENT);
    counts = counts || current != 0;
    within = within && current <= COUNT;
  }
  check(counts && within, "timer: periodic, it counts from the initial count again");
  apic_write(APIC_TIMER, PERIODIC | VECTOR_MIDDLE);
  check(takes(VECTOR_MIDDLE, 3), "timer: its vector may change while it runs");
  apic_write(APIC_TIMER, PERIODIC | MASKED | VECTOR_MIDDLE);
  delay(100);
  forget();
  wait_periods();
  check_count(VECTOR_MIDDLE, 0, "timer: masked it does not fire");
  apic_write(APIC_TIMER, PERIODIC | VECTOR_MIDDLE);
  check(takes(VECTOR_MIDDLE, 3), "timer: but it runs on");
  apic_write(APIC_TIMER_INITIAL, 0);
  delay(100);
  forget();
  wait_periods();
  check_count(VECTOR_MIDDLE, 0, "timer: periodic, stopped by 0");

  stop();
  apic_write(APIC_TIMER, MASKED | VECTOR_LOW);
  apic_write(APIC_TIMER_INITIAL, COUNT);
  uint64_t end = read_tsc() + 1000000ull * ticks_per_microsecond();
  while (apic_read(APIC_TIMER_CURRENT) && read_tsc() < end) pause();
  check(apic_read(APIC_TIMER_CURRENT) == 0, "timer: masked it counts to 0");
  apic_write(APIC_TIMER, VECTOR_LOW);
  wait_periods();
  check_either(taken[VECTOR_LOW] == 0, taken[VECTOR_LOW] == 1, "timer: what came due while masked is not delivered later",
    "Linux keeps it until it is unmasked");
}

static void set_deadline(void) { write_msr(TSC_DEADLINE, read_tsc() + 100000ull * ticks_per_microsecond()); }

static void clear_deadline(void) { write_msr(TSC_DEADLINE, 0); }

static void set_deadline_in_its_mode(void) {
  apic_write(APIC_TIMER, DEADLINE | VECTOR_LOW);
  asm volatile("mfence" ::: "memory");
  set_deadline();
}

static void leave_its_mode(void) { apic_write(APIC_TIMER, VECTOR_LOW); }

static void check_deadline(void) {
  if (!(cpuid(1, 0).ecx >> 24 & 1)) return skip("timer: TSC deadline", "CPUID says that there is none");
  stop();
  write_msr(TSC_DEADLINE, read_tsc() + 1000);
  check(read_msr(TSC_DEADLINE) == 0, "deadline: not in another mode");
  handle(VECTOR_LOW, note_time);
  apic_write(APIC_TIMER, DEADLINE | VECTOR_LOW);
  asm volatile("mfence" ::: "memory"); // 11.5.4.1: the mode before the deadline
  uint64_t deadline = read_tsc() + 1000ull * ticks_per_microsecond();
  write_msr(TSC_DEADLINE, deadline);
  check(read_msr(TSC_DEADLINE) == deadline || taken[VECTOR_LOW], "deadline: reads back while it is armed");
  check(takes(VECTOR_LOW, 1), "deadline: fires");
  check(fired_at >= deadline, "deadline: not before its time");
  check(read_msr(TSC_DEADLINE) == 0, "deadline: 0 once it has fired");
  wait_periods();
  check_count(VECTOR_LOW, 1, "deadline: once");
  write_msr(TSC_DEADLINE, read_tsc() - 1000);
  check(takes(VECTOR_LOW, 2), "deadline: one in the past fires at once");

  arm_and_disarm(set_deadline, clear_deadline);
  check_count(VECTOR_LOW, 0, "deadline: 0 disarms");
  arm_and_disarm(set_deadline_in_its_mode, leave_its_mode);
  check_count(VECTOR_LOW, 0, "deadline: another mode disarms");
  apic_write(APIC_TIMER, DEADLINE | VECTOR_LOW);
  apic_write(APIC_TIMER_INITIAL, COUNT);
  wait_periods();
  check_count(VECTOR_LOW, 0, "deadline: the initial count has no effect in this mode");
  check(apic_read(APIC_TIMER_CURRENT) == 0, "deadline: the current count reads as 0");
}

static volatile uint32_t woken;

static void start_periodic(uint64_t vector) {
  apic_write(APIC_TIMER_DIVIDE, 0xB);
  apic_write(APIC_TIMER, PERIODIC | (uint32_t)vector);
  apic_write(APIC_TIMER_INITIAL, 2 * COUNT);
}

static void stop_timer(uint64_t argument) {
  (void)argument;
  apic_write(APIC_TIMER_INITIAL, 0);
  apic_write(APIC_TIMER, MASKED);
}

static void halt_until_timer(uint64_t vector) {
  apic_write(APIC_TIMER_DIVIDE, 0xB);
  apic_write(APIC_TIMER, (uint32_t)vector);
  disable();
  apic_write(APIC_TIMER_INITIAL, COUNT);
  asm volatile("sti; hlt" ::: "memory");
  woken = 1;
}

static void check_cpus(void) {
  stop();
  bool each = true;
  for (unsigned cpu = 0; cpu < platform.cpus; cpu++) run_on(cpu, start_periodic, VECTOR_LOW);
  for (unsigned cpu = 0; cpu < platform.cpus; cpu++) each = wait_for(&taken_by[cpu][VECTOR_LOW], 5, 2 * LIMIT) && each;
  run_on_all(stop_timer, 0);
  check(each, "timer: on all CPUs at once");
  delay(QUIET);
  forget();
  delay(10000);
  check_count(VECTOR_LOW, 0, "timer: and stopped on all");

  unsigned last = platform.cpus - 1;
  woken = 0;
  check(run_on(last, halt_until_timer, VECTOR_LOW) && woken, "timer: wakes a halted CPU");
  check(taken_by[last][VECTOR_LOW] == 1, "timer: with its interrupt");
}

static void check_illegal_vector(void) {
  stop();
  apic_write(APIC_ERROR_STATUS, 0);
  apic_write(APIC_TIMER, VECTOR_RESERVED);
  apic_write(APIC_TIMER_INITIAL, COUNT);
  delay(10000);
  apic_write(APIC_ERROR_STATUS, 0);
  uint32_t error = apic_read(APIC_ERROR_STATUS);
  if (!inexact) check(!taken[VECTOR_RESERVED], "timer: an illegal vector is not delivered");
  check_either(error & 0x40, error == 0, "timer: an illegal vector is told", tells_no_errors);
  apic_write(APIC_ERROR_STATUS, 0);
}

void check_timer(void) {
  if (check_one_shot()) check_cpus();
  check_periodic();
  check_deadline();
  check_illegal_vector();
  stop();
}
