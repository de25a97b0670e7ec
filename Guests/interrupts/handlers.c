// Takes every interrupt, counts it, and lets other CPUs work.
#include "interrupts.h"

extern const uint64_t interrupt_entries[256];

enum { STORM = 20000 }; // interrupts in one test: a line is stuck, and nothing else would ever run

volatile uint32_t taken[256], taken_by[MAX_CPUS][256], entered;
volatile uint8_t order[64];
volatile struct at_start at_start[MAX_CPUS];
static handler handlers[256];

static volatile struct {
  void (*work)(uint64_t);
  uint64_t argument;
  uint32_t done;
} jobs[MAX_CPUS];

void interrupted(uint32_t vector) {
  if (vector != VECTOR_WORK) {
    uint32_t at = __atomic_fetch_add(&entered, 1, __ATOMIC_SEQ_CST);
    if (at < sizeof order) order[at] = (uint8_t)vector;
    if (at == STORM) {
      print("FAIL a storm of interrupts, vector %x on CPU %u\n", vector, this_cpu());
      exit_with(1);
    }
  }
  if (handlers[vector]) handlers[vector](vector);
  else if (vector != VECTOR_NMI) send_eoi();
  __atomic_fetch_add(&taken_by[this_cpu()][vector], 1, __ATOMIC_SEQ_CST);
  __atomic_fetch_add(&taken[vector], 1, __ATOMIC_SEQ_CST);
}

// Takes no EOI (SDM volume 3, 11.9).
static void ignore(uint32_t vector) { (void)vector; }

void handlers_start(void) {
  for (unsigned vector = 32; vector < 256; vector++) set_gate(vector, interrupt_entries[vector]);
  set_gate(VECTOR_NMI, interrupt_entries[VECTOR_NMI]);
  set_gate(VECTOR_RESERVED, interrupt_entries[VECTOR_RESERVED]);
  handle(VECTOR_NMI, ignore);
  handle(VECTOR_SPURIOUS, ignore);
}

void handle(uint32_t vector, handler by) { handlers[vector] = by; }

void forget(void) {
  for (unsigned vector = 0; vector < 256; vector++) {
    if (taken[vector])
      for (unsigned cpu = 0; cpu < platform.cpus; cpu++) taken_by[cpu][vector] = 0;
    taken[vector] = 0;
  }
  entered = 0;
}

bool takes(uint32_t vector, uint32_t count) { return wait_for(&taken[vector], count, LIMIT); }

bool came_in_order(uint32_t count, const uint8_t *vectors) {
  bool same = entered == count;
  for (uint32_t i = 0; i < count; i++) same = same && order[i] == vectors[i];
  if (!same) {
    print("     came:");
    for (uint32_t i = 0; i < entered && i < sizeof order; i++) print(" %x", order[i]);
    print("\n");
  }
  return same;
}

bool only_taken_by(uint32_t cpus, uint32_t vector) {
  bool right = true;
  for (unsigned cpu = 0; cpu < platform.cpus; cpu++)
    if (cpus >> cpu & 1) right = wait_for(&taken_by[cpu][vector], 1, LIMIT) && right;
  delay(QUIET);
  for (unsigned cpu = 0; cpu < platform.cpus; cpu++) {
    uint32_t count = taken_by[cpu][vector];
    if (count == (cpus >> cpu & 1)) continue;
    print("     CPU %u took %x %u times\n", cpu, vector, count);
    right = false;
  }
  forget();
  return right;
}

void ap_main(uint32_t stack) {
  cpu_arrives(stack);
  unsigned cpu = this_cpu();
  at_start[cpu].spurious = apic_read(APIC_SPURIOUS);
  at_start[cpu].task_priority = apic_read(APIC_TASK_PRIORITY);
  at_start[cpu].timer = apic_read(APIC_TIMER);
  at_start[cpu].lint0 = apic_read(APIC_LINT0);
  at_start[cpu].logical = apic_read(APIC_LOGICAL_DESTINATION);
  at_start[cpu].base = (uint32_t)read_msr(APIC_BASE);
  local_apic_start();
  cpu_is_ready();
  for (;;) {
    disable();
    void (*work)(uint64_t) = jobs[cpu].work;
    if (!work) {
      asm volatile("sti; hlt" ::: "memory");
      continue;
    }
    jobs[cpu].work = NULL;
    enable();
    work(jobs[cpu].argument);
    jobs[cpu].done++;
  }
}

bool run_on(unsigned cpu, void (*work)(uint64_t), uint64_t argument) {
  if (cpu == this_cpu()) {
    work(argument);
    return true;
  }
  uint32_t target = jobs[cpu].done + 1;
  jobs[cpu].argument = argument;
  jobs[cpu].work = work;
  send_interrupt(platform.apic_ids[cpu], ASSERT | VECTOR_WORK);
  if (wait_for(&jobs[cpu].done, target, 5 * LIMIT)) return true;
  print("     CPU %u does not do its work\n", cpu);
  return false;
}

void run_on_all(void (*work)(uint64_t), uint64_t argument) {
  for (unsigned cpu = 0; cpu < platform.cpus; cpu++) run_on(cpu, work, argument);
}
