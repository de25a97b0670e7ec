// The local APIC's timer and the I/O APIC's pins, with the handlers of both.
#include "program.h"

static volatile uint32_t timer_count, line_count, line_is_level;
static uint16_t line_port;

struct interrupt_frame;
#define ISR __attribute__((interrupt)) static void

ISR on_timer(struct interrupt_frame *frame) {
  (void)frame;
  timer_count++;
  send_eoi();
}

ISR on_line(struct interrupt_frame *frame) {
  (void)frame;
  line_count++;
  // A device with a level line lowers it while it is served, before the end of the interrupt.
  if (line_is_level) out8(line_port, 0);
  send_eoi();
}

ISR on_spurious(struct interrupt_frame *frame) { (void)frame; } // takes no EOI: SDM volume 3, 11.9

extern void on_ping(void), on_pong(void);

void handlers_start(void) {
  set_gate(VECTOR_TIMER, (uint64_t)on_timer);
  set_gate(VECTOR_LINE, (uint64_t)on_line);
  set_gate(VECTOR_PING, (uint64_t)on_ping);
  set_gate(VECTOR_PONG, (uint64_t)on_pong);
  set_gate(VECTOR_SPURIOUS, (uint64_t)on_spurious);
}

void check_timer(void) {
  check(local_apic_id() == cpuid(1, 0).ebx >> 24, "apic: identifier as in CPUID");
  apic_write(APIC_TIMER_DIVIDE, 0xB); // by 1
  apic_write(APIC_TIMER, VECTOR_TIMER);
  apic_write(APIC_TIMER_INITIAL, 1000000); // 1 ms where the bus has 1 GHz
  check(wait_for(&timer_count, 1, 2000000), "apic timer: one shot");
  apic_write(APIC_TIMER, VECTOR_TIMER | 1 << 17); // periodic
  apic_write(APIC_TIMER_INITIAL, 1000000);
  check(wait_for(&timer_count, 6, 2000000), "apic timer: periodic");
  apic_write(APIC_TIMER_INITIAL, 0);
  if (cpuid(1, 0).ecx & 1 << 24) {
    uint32_t before = timer_count;
    apic_write(APIC_TIMER, VECTOR_TIMER | 2 << 17); // TSC deadline
    write_msr(0x6E0, read_tsc() + 1000ull * ticks_per_microsecond());
    check(wait_for(&timer_count, before + 1, 2000000), "apic timer: TSC deadline");
  }
  apic_write(APIC_TIMER, 1 << 16); // masked
}

// Raises line `pin` with the test device, edge and level; by default one that nothing else uses.
void check_lines(void) {
  const char *chosen = argument("line");
  uint32_t pin = chosen ? (uint32_t)number(chosen) : 5;
  line_port = (uint16_t)(0x2000 + pin);
  uint32_t version = io_apic_read(1);
  check((version >> 16 & 0xFF) == 23, "io apic: 24 pins");
  out8(line_port, 0);

  io_apic_write(0x11 + pin * 2, local_apic_id() << 24);
  io_apic_write(0x10 + pin * 2, VECTOR_LINE); // edge, active high
  bool all = true;
  for (uint32_t i = 1; i <= 3; i++) {
    out8(line_port, 1);
    all = wait_for(&line_count, i, 1000000) && all;
    out8(line_port, 0);
  }
  check(all, "io apic: three edges, three interrupts");
  uint32_t before = line_count;
  delay(10000);
  check(line_count == before, "io apic: none without an edge");

  line_is_level = 1;
  io_apic_write(0x10 + pin * 2, VECTOR_LINE | 1 << 15);
  all = true;
  for (uint32_t i = 0; i < 3; i++) {
    uint32_t count = line_count;
    out8(line_port, 1);
    all = wait_for(&line_count, count + 1, 1000000) && all;
    delay(1000);
  }
  check(all, "io apic: a level line, three interrupts");
  before = line_count;
  io_apic_write(0x10 + pin * 2, VECTOR_LINE | 1 << 15 | 1 << 16);
  out8(line_port, 1);
  delay(10000);
  check(line_count == before, "io apic: none while masked");
  io_apic_write(0x10 + pin * 2, VECTOR_LINE | 1 << 15);
  check(wait_for(&line_count, before + 1, 1000000), "io apic: the pending one after unmasking");
  out8(line_port, 0);
  io_apic_write(0x10 + pin * 2, VECTOR_LINE | 1 << 16);
}
