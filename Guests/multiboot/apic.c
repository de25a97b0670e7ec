// The local APIC, the I/O APIC, exceptions and interrupts (Intel SDM volume 3, chapters 6 and 11).
#include "guest.h"

struct gate { uint16_t low; uint16_t selector; uint8_t stack, type; uint16_t middle; uint32_t high, zero; };
extern struct gate idt[256];
extern const uint64_t trap_entries[32];

enum { ID = 0x20, TASK_PRIORITY = 0x80, EOI = 0xB0, SPURIOUS = 0xF0, COMMAND_LOW = 0x300, COMMAND_HIGH = 0x310,
  TIMER = 0x320, TIMER_INITIAL = 0x380, TIMER_DIVIDE = 0x3E0 };

static volatile uint32_t timer_count, line_count, line_is_level;
static uint16_t line_port;

struct interrupt_frame;
#define ISR __attribute__((interrupt)) static void

static void set_gate(unsigned vector, uint64_t entry) {
  idt[vector] = (struct gate){.low = (uint16_t)entry, .selector = 0x18, .type = 0x8E,
    .middle = (uint16_t)(entry >> 16), .high = (uint32_t)(entry >> 32)};
}

void trap_report(uint64_t vector, uint64_t code, uint64_t rip, uint64_t address) {
  print("FAIL exception %U, code %X, at %X, CR2 %X\n", vector, code, rip, address);
  exit_with(2);
}

static uint32_t apic_read(uint32_t offset) { return load32(platform.local_apic + offset); }
static void apic_write(uint32_t offset, uint32_t value) { store32(platform.local_apic + offset, value); }

void send_eoi(void) { apic_write(EOI, 0); }

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

void traps_start(void) {
  for (unsigned vector = 0; vector < 32; vector++) set_gate(vector, trap_entries[vector]);
  set_gate(VECTOR_TIMER, (uint64_t)on_timer);
  set_gate(VECTOR_LINE, (uint64_t)on_line);
  set_gate(VECTOR_PING, (uint64_t)on_ping);
  set_gate(VECTOR_PONG, (uint64_t)on_pong);
  set_gate(VECTOR_SPURIOUS, (uint64_t)on_spurious);
  // All of the 8259s' lines off: they would come as exceptions.
  out8(0x21, 0xFF);
  out8(0xA1, 0xFF);
}

void local_apic_start(void) {
  apic_write(TASK_PRIORITY, 0);
  apic_write(SPURIOUS, 0x100 | VECTOR_SPURIOUS);
}

uint32_t local_apic_id(void) { return apic_read(ID) >> 24; }

void send_interrupt(uint32_t apic_id, uint32_t command) {
  apic_write(COMMAND_HIGH, apic_id << 24);
  apic_write(COMMAND_LOW, command);
  while (apic_read(COMMAND_LOW) & 1 << 12) pause();
}

// Ticks of the TSC in a microsecond: told by the hypervisor, or the fastest there is.
static uint32_t ticks_per_microsecond(void) {
  static uint32_t ticks;
  if (!ticks) {
    ticks = 5000;
    if (cpuid(1, 0).ecx >> 31 && cpuid(0x40000000, 0).eax >= 0x40000010 && cpuid(0x40000010, 0).eax)
      ticks = cpuid(0x40000010, 0).eax / 1000 + 1;
  }
  return ticks;
}

void delay(uint32_t microseconds) {
  uint64_t end = read_tsc() + (uint64_t)microseconds * ticks_per_microsecond();
  while (read_tsc() < end) pause();
}

bool wait_for(volatile uint32_t *counter, uint32_t target, uint32_t microseconds) {
  uint64_t end = read_tsc() + (uint64_t)microseconds * ticks_per_microsecond();
  while (*counter < target)
    if (read_tsc() > end) return false;
  return true;
}

void check_timer(void) {
  check(local_apic_id() == cpuid(1, 0).ebx >> 24, "apic: identifier as in CPUID");
  apic_write(TIMER_DIVIDE, 0xB); // by 1
  apic_write(TIMER, VECTOR_TIMER);
  apic_write(TIMER_INITIAL, 1000000); // 1 ms where the bus has 1 GHz
  check(wait_for(&timer_count, 1, 2000000), "apic timer: one shot");
  apic_write(TIMER, VECTOR_TIMER | 1 << 17); // periodic
  apic_write(TIMER_INITIAL, 1000000);
  check(wait_for(&timer_count, 6, 2000000), "apic timer: periodic");
  apic_write(TIMER_INITIAL, 0);
  if (cpuid(1, 0).ecx & 1 << 24) {
    uint32_t before = timer_count;
    apic_write(TIMER, VECTOR_TIMER | 2 << 17); // TSC deadline
    write_msr(0x6E0, read_tsc() + 1000ull * ticks_per_microsecond());
    check(wait_for(&timer_count, before + 1, 2000000), "apic timer: TSC deadline");
  }
  apic_write(TIMER, 1 << 16); // masked
}

static void io_apic_write(uint32_t index, uint32_t value) {
  store32(platform.io_apic, index);
  store32(platform.io_apic + 0x10, value);
}

static uint32_t io_apic_read(uint32_t index) {
  store32(platform.io_apic, index);
  return load32(platform.io_apic + 0x10);
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
