// Every CPU of the MADT is started, says who it is, and answers an interrupt.
#include "program.h"

static volatile uint32_t present[256], answered[256], pongs;

struct interrupt_frame;

__attribute__((interrupt)) void on_ping(struct interrupt_frame *frame) {
  (void)frame;
  answered[local_apic_id() & 0xFF]++;
  send_eoi();
  send_interrupt(platform.apic_ids[0], VECTOR_PONG);
}

__attribute__((interrupt)) void on_pong(struct interrupt_frame *frame) {
  (void)frame;
  // Several may come at once and be one interrupt; answered[] counts.
  pongs++;
  send_eoi();
}

void ap_main(uint32_t stack) {
  cpu_arrives(stack);
  local_apic_start();
  uint32_t id = local_apic_id() & 0xFF;
  // Where CPUID and the local APIC disagree, nobody is there.
  if (id == cpuid(1, 0).ebx >> 24) present[id] = 1;
  cpu_is_ready();
  for (;;) asm volatile("sti; hlt" ::: "memory");
}

void check_cpus(void) {
  uint32_t self = local_apic_id();
  print("     %u CPUs, this one is %u\n", platform.cpus, self);
  check(platform.apic_ids[0] == self, "cpus: the first of the MADT is this one");
  const char *expected = argument("cpus");
  if (expected) check(platform.cpus == number(expected), "cpus: as many in the MADT as told");

  start_cpus();
  check(cpus_ready == platform.cpus - 1 && cpus_started == platform.cpus, "cpus: all started");
  bool known = true, answers = true, max_ok = true;
  for (unsigned i = 1; i < platform.cpus; i++) known = known && present[platform.apic_ids[i] & 0xFF];
  check(known, "cpus: each has the APIC identifier of the MADT and of CPUID");

  for (unsigned i = 1; i < platform.cpus; i++) {
    uint32_t id = platform.apic_ids[i] & 0xFF;
    for (uint32_t ping = 1; ping <= 3; ping++) {
      uint32_t before = pongs;
      send_interrupt(id, 0x4000 | VECTOR_PING);
      answers = wait_for(&pongs, before + 1, 2000000) && answers;
      max_ok = answered[id] == ping && max_ok;
    }
  }
  check(answers, "cpus: each answers an interrupt with one");
  check(max_ok, "cpus: each took as many as were sent");
}
