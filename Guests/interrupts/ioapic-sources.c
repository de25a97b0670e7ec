// Level-triggered pins that are shared, their end without a local APIC, and their polarity.
#include "interrupts.h"

#define COM1 0x3F8

static volatile uint32_t in_service, after_end, step, sources_left;
static uint32_t self;

// The serial port lets go of the line first, the test device at the next service.
static void serve_sources(uint32_t vector) {
  (void)vector;
  if (sources_left == 2) in8(COM1 + 2); // reading IIR ends the transmitter's interrupt
  if (sources_left == 1) set_line(SERIAL_PIN, false);
  if (sources_left) sources_left--;
  send_eoi();
}

// One line at each service.
static void serve_pins(uint32_t vector) {
  (void)vector;
  set_line(step++ == 0 ? PIN : OTHER_PIN, false);
  send_eoi();
}

static void end_by_register(uint32_t vector) {
  store32(platform.io_apic + 0x40, vector);
  if (step++ == 0) in_service = pin_entry(PIN);
  set_line(PIN, false);
  send_eoi();
}

static void end_locally_first(uint32_t vector) {
  set_line(PIN, false);
  send_eoi();
  in_service = pin_entry(PIN);
  store32(platform.io_apic + 0x40, vector);
  after_end = pin_entry(PIN);
}

static void mask(uint32_t vector) {
  io_apic_write(0x10 + PIN * 2, LEVEL | MASKED | vector);
  send_eoi();
}

static void start(handler by) {
  rest();
  step = 0;
  in_service = after_end = 0;
  handle(VECTOR_LOW, by);
  set_pin(PIN, LEVEL | VECTOR_LOW, self);
}

static void check_sources(void) {
  rest();
  if (in8(COM1 + 5) != 0xFF) {
    while (!(in8(COM1 + 5) & 0x40)) pause();
    handle(VECTOR_LOW, serve_sources);
    sources_left = 2;
    set_line(SERIAL_PIN, true);
    out8(COM1 + 1, 2); // PC16550D, 8.7: the transmitter is empty, so the line rises at once
    set_pin(SERIAL_PIN, LEVEL | VECTOR_LOW, self);
    takes(VECTOR_LOW, 2);
    delay(QUIET);
    uint32_t found = taken[VECTOR_LOW];
    out8(COM1 + 1, 0);
    set_pin(SERIAL_PIN, MASKED, 0);
    check(found == 2 || (inexact && found > 2), "level: two sources on a pin keep it high until both let go");

    rest();
    handle(VECTOR_LOW, serve_sources);
    set_pin(SERIAL_PIN, LEVEL | VECTOR_LOW, self);
    sources_left = 2;
    out8(COM1 + 1, 2);
    takes(VECTOR_LOW, 1);
    delay(QUIET);
    found = taken[VECTOR_LOW];
    out8(COM1 + 1, 0);
    check(found == 1 || (inexact && found > 1), "level: one of them alone");
  } else {
    skip("level: two sources on a pin", "there is no serial port");
  }

  start(serve_pins);
  set_pin(OTHER_PIN, LEVEL | VECTOR_LOW, self);
  disable();
  set_line(PIN, true);
  set_line(OTHER_PIN, true);
  enable();
  takes(VECTOR_LOW, 2);
  delay(QUIET);
  check_count(VECTOR_LOW, 2, "level: two pins with one vector, the end is for both");
  check(!(pin_entry(PIN) & REMOTE_IRR) && !(pin_entry(OTHER_PIN) & REMOTE_IRR), "level: and both are free afterwards");
}

// Version 20, of the 82093AA's successors, has a register that ends an interrupt without the local APIC (ICH's EOIR).
static void check_end_register(void) {
  const char *name = "level: the I/O APIC's own end register";
  if ((io_apic_read(1) & 0xFF) < 0x20) return skip(name, "version 11 has none");
  if (!only_exact(name)) return;
  start(end_by_register);
  set_line(PIN, true);
  takes(VECTOR_LOW, 1);
  // The line was still high, so the end sent another one.
  delay(QUIET);
  check(in_service & REMOTE_IRR && taken[VECTOR_LOW] == 2, "level: the end register ends, and a high line comes again");

  if (!(apic_read(APIC_VERSION) & 1 << 24)) return skip("level: suppressed EOI broadcast", "the local APIC cannot");
  start(end_locally_first);
  apic_write(APIC_SPURIOUS, apic_read(APIC_SPURIOUS) | 1 << 12);
  set_line(PIN, true);
  takes(VECTOR_LOW, 1);
  apic_write(APIC_SPURIOUS, apic_read(APIC_SPURIOUS) & ~(1u << 12));
  // SDM volume 3, 11.8.5.
  check_either(in_service & REMOTE_IRR, true, "level: a suppressed EOI broadcast leaves remote IRR",
    "Linux's local APIC without its I/O APIC sends the EOI nevertheless");
  check(!(after_end & REMOTE_IRR), "level: until the end register is written");
}

// Lines of this machine have no voltage: an active-low pin may take a raised line as active or as inactive, but not
// as both.
static void check_polarity(void) {
  start(mask);
  io_apic_write(0x10 + PIN * 2, MASKED);
  set_line(PIN, false);
  io_apic_write(0x10 + PIN * 2, LEVEL | ACTIVE_LOW | VECTOR_LOW);
  delay(QUIET);
  bool when_low = taken[VECTOR_LOW];
  start(mask);
  io_apic_write(0x10 + PIN * 2, MASKED);
  set_line(PIN, true);
  io_apic_write(0x10 + PIN * 2, LEVEL | ACTIVE_LOW | VECTOR_LOW);
  delay(QUIET);
  bool when_high = taken[VECTOR_LOW];
  check(when_low != when_high, "level: an active-low pin interrupts at one level of its line");
}

void check_io_apic_sources(void) {
  self = local_apic_id();
  check_sources();
  check_end_register();
  check_polarity();
  rest();
}
