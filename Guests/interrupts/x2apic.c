// The local APIC in x2APIC mode: registers as MSRs, 32-bit identifiers (SDM volume 3, 11.12).
#include "interrupts.h"

enum { COMMAND = 0x830, SELF_MESSAGE = 0x83F, IN_X2APIC = 3 << 10 };

static volatile uint32_t logical[MAX_CPUS], identifiers[MAX_CPUS], in_service;

static void enter(uint64_t argument) {
  (void)argument;
  disable();
  write_msr(APIC_BASE, read_msr(APIC_BASE) | IN_X2APIC);
  note_apic_mode();
  identifiers[this_cpu()] = apic_read(APIC_ID);
  logical[this_cpu()] = apic_read(APIC_LOGICAL_DESTINATION);
  enable();
}

// 11.12.5: only by way of the disabled state, and with all registers as after a reset.
static void leave(uint64_t argument) {
  (void)argument;
  disable();
  uint64_t base = read_msr(APIC_BASE) & ~(uint64_t)IN_X2APIC;
  write_msr(APIC_BASE, base);
  write_msr(APIC_BASE, base | 1 << 11);
  note_apic_mode();
  local_apic_start();
  enable();
}

static bool sent(uint32_t cpus, uint32_t command, uint32_t id) {
  write_msr(COMMAND, (uint64_t)id << 32 | ASSERT | command | VECTOR_LOW);
  return only_taken_by(cpus, VECTOR_LOW);
}

static void look(uint32_t vector) {
  in_service = in_bitmap(APIC_IN_SERVICE, vector);
  set_line(PIN, false);
  send_eoi();
}

static void check_identity(void) {
  bool ids = true, logicals = true, modes = (read_msr(APIC_BASE) & IN_X2APIC) == IN_X2APIC;
  for (unsigned cpu = 0; cpu < platform.cpus; cpu++) {
    uint32_t id = platform.apic_ids[cpu];
    ids = ids && identifiers[cpu] == id;
    // 11.12.10.2: the cluster from the identifier's bits 4 and up, the member from its low four.
    logicals = logicals && logical[cpu] == ((id & ~0xFu) << 12 | 1u << (id & 0xF));
  }
  check(modes, "x2apic: the mode reads back");
  check(ids, "x2apic: identifiers of 32 bits");
  check(cpuid(0, 0).eax < 0xB || cpuid(0xB, 0).edx == local_apic_id(), "x2apic: and CPUID tells the same");
  check(logicals, "x2apic: logical identifiers follow from them");
  check((apic_read(APIC_SPURIOUS) & 0x1FF) == (0x100 | VECTOR_SPURIOUS), "x2apic: the change of mode keeps the registers");
}

static void check_messages_by_msr(void) {
  bool each = true;
  for (unsigned cpu = 0; cpu < platform.cpus; cpu++) each = sent(1u << cpu, 0, platform.apic_ids[cpu]) && each;
  check(each, "x2apic: messages, physical, each CPU");
  each = true;
  for (unsigned cpu = 0; cpu < platform.cpus; cpu++) each = sent(1u << cpu, LOGICAL, logical[cpu]) && each;
  check(each, "x2apic: messages, logical, each CPU");
  check(sent(all_cpus() & 0xFFFF, LOGICAL, 0xFFFF), "x2apic: messages, logical, a whole cluster");
  check(sent(all_cpus() & 0x5, LOGICAL, 0x5), "x2apic: messages, logical, several");
  check(sent(all_cpus(), 0, 0xFFFFFFFF), "x2apic: messages, physical, all");
  check(sent(0, 0, 0x1000 | NOBODY), "x2apic: messages, physical, nobody");
  check(sent(0, LOGICAL, 0x5 << 16 | 1), "x2apic: messages, logical, nobody");
  check(sent(1, TO_SELF, 0), "x2apic: messages, to itself");
  check(sent(all_cpus(), TO_ALL, 0), "x2apic: messages, to all");
  check(sent(all_cpus() & ~1u, TO_OTHERS, 0), "x2apic: messages, to all others");
  write_msr(COMMAND, 0x123456789ull << 32 | LOGICAL | ASSERT | VECTOR_MIDDLE);
  check(read_msr(COMMAND) == ((uint64_t)0x23456789 << 32 | LOGICAL | ASSERT | VECTOR_MIDDLE),
    "x2apic: the command is one register of 64 bits");

  write_msr(SELF_MESSAGE, VECTOR_LOW);
  check(only_taken_by(1, VECTOR_LOW), "x2apic: the register for messages to itself");
  disable();
  write_msr(SELF_MESSAGE, VECTOR_LOW);
  bool requested = in_bitmap(APIC_REQUEST, VECTOR_LOW);
  enable();
  check(only_taken_by(1, VECTOR_LOW) && requested, "x2apic: which is in the request register at once");

  unsigned last = platform.cpus - 1;
  write_msr(COMMAND, (uint64_t)platform.apic_ids[last] << 32 | ASSERT | NMI);
  check(only_taken_by(1u << last, VECTOR_NMI), "x2apic: an NMI");
}

static void check_pin(void) {
  handle(VECTOR_LOW, look);
  bool all = true;
  for (unsigned cpu = 0; cpu < platform.cpus; cpu++) {
    set_pin(PIN, LEVEL | VECTOR_LOW, platform.apic_ids[cpu]);
    set_line(PIN, true);
    all = wait_for(&taken_by[cpu][VECTOR_LOW], 1, LIMIT) && all;
    delay(QUIET);
    all = all && !(pin_entry(PIN) & REMOTE_IRR) && (inexact || in_service);
  }
  check(all, "x2apic: a level-triggered pin to each CPU, ended by MSR");
  rest();
}

static void check_timer_by_msr(void) {
  apic_write(APIC_TIMER_DIVIDE, 0xB);
  apic_write(APIC_TIMER, VECTOR_LOW);
  apic_write(APIC_TIMER_INITIAL, 1000000);
  check(takes(VECTOR_LOW, 1), "x2apic: the timer");
  if (cpuid(1, 0).ecx >> 24 & 1) {
    apic_write(APIC_TIMER, 2 << 17 | VECTOR_LOW);
    write_msr(TSC_DEADLINE, read_tsc() + 100ull * ticks_per_microsecond());
    check(takes(VECTOR_LOW, 2), "x2apic: the timer's deadline"); // 11.5.4.1: WRMSR in x2APIC mode is in order
  }
  apic_write(APIC_TIMER, MASKED);
  rest();
}

static void nothing(uint64_t argument) { (void)argument; }

// 11.12.5.1: INIT keeps the mode.
static void check_restart_here(void) {
  if (platform.cpus == 1) return skip("x2apic: INIT and SIPI", "there is one CPU");
  check(start_cpu(platform.apic_ids[1]), "x2apic: INIT and SIPI start a CPU");
  check((at_start[1].base & IN_X2APIC) == IN_X2APIC, "x2apic: INIT keeps the mode");
  check(at_start[1].logical == logical[1], "x2apic: and the logical identifier");
  check(at_start[1].spurious == 0xFF, "x2apic: but disables the local APIC");
  check(run_on(1, nothing, 0), "x2apic: it answers");
}

void check_x2apic(void) {
  if (!(cpuid(1, 0).ecx >> 21 & 1)) return skip("x2apic", "CPUID says that there is none");
  rest();
  for (unsigned cpu = platform.cpus; cpu--;) run_on(cpu, enter, 0);
  check_identity();
  check_messages_by_msr();
  check_pin();
  check_timer_by_msr();
  check_restart_here();
  rest();
  run_on_all(leave, 0);
  check((read_msr(APIC_BASE) & IN_X2APIC) == 1 << 11, "x2apic: left by way of the disabled state");
  check(load32(platform.local_apic + APIC_ID) >> 24 == platform.apic_ids[0], "x2apic: the registers are in memory again");
  bool each = true;
  for (unsigned cpu = 0; cpu < platform.cpus; cpu++) {
    send_interrupt(platform.apic_ids[cpu], ASSERT | VECTOR_LOW);
    each = only_taken_by(1u << cpu, VECTOR_LOW) && each;
  }
  check(each, "x2apic: and each CPU takes messages");
}
