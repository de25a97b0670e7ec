// Level-triggered pins of the I/O APIC: remote IRR and masking (82093AA, 3.2.4).
#include "interrupts.h"

static volatile uint32_t in_service, after_end, step;
static uint32_t self;

static void look(uint32_t vector) {
  (void)vector;
  in_service = pin_entry(PIN);
  set_line(PIN, false);
  send_eoi();
  after_end = pin_entry(PIN);
}

static void pulse_and(bool level) {
  set_line(PIN, false);
  set_line(PIN, true);
  set_line(PIN, level);
}

// The first time the line falls and rises again, the second time it falls.
static void retrigger(uint32_t vector) {
  (void)vector;
  if (step++ == 0) pulse_and(true);
  else set_line(PIN, false);
  send_eoi();
}

static void pulse_low(uint32_t vector) {
  (void)vector;
  if (step++ == 0) pulse_and(false);
  send_eoi();
}

static void mask(uint32_t vector) {
  io_apic_write(0x10 + PIN * 2, LEVEL | MASKED | vector);
  in_service = pin_entry(PIN);
  send_eoi();
  after_end = pin_entry(PIN);
}

static void to_edge_and_back(uint32_t vector) {
  io_apic_write(0x10 + PIN * 2, MASKED | vector);
  io_apic_write(0x10 + PIN * 2, LEVEL | MASKED | vector);
  in_service = pin_entry(PIN);
  set_line(PIN, false);
  send_eoi();
}

static void start(handler by) {
  rest();
  step = 0;
  in_service = after_end = 0;
  handle(VECTOR_LOW, by);
  set_pin(PIN, LEVEL | VECTOR_LOW, self);
}

static void check_service(void) {
  start(serve_level);
  services_wanted = 5;
  set_line(PIN, true);
  takes(VECTOR_LOW, 5);
  delay(QUIET);
  check_count(VECTOR_LOW, 5, "level: again after each end while the line is high");

  start(serve_level);
  for (uint32_t i = 1; i <= 10; i++) {
    services_wanted = 1;
    set_line(PIN, true);
    takes(VECTOR_LOW, i);
    delay(100);
  }
  delay(QUIET);
  check_count(VECTOR_LOW, 10, "level: one if the line falls in service");

  start(retrigger);
  set_line(PIN, true);
  takes(VECTOR_LOW, 2);
  delay(QUIET);
  check_count(VECTOR_LOW, 2, "level: a fall and a rise while in service give another");
  if (only_exact("level: a pulse while in service gives none")) {
    start(pulse_low);
    set_line(PIN, true);
    takes(VECTOR_LOW, 1);
    delay(QUIET);
    check_count(VECTOR_LOW, 1, "level: a pulse while in service gives none");
  }

  start(look);
  set_line(PIN, true);
  takes(VECTOR_LOW, 1);
  if (only_exact("level: remote IRR while in service"))
    check(in_service & REMOTE_IRR, "level: remote IRR while in service");
  check(!(after_end & REMOTE_IRR), "level: no remote IRR after the end");
  check(!(in_service & 1 << 12), "level: delivery status is idle once delivered");

  start(look);
  disable();
  set_line(PIN, true);
  uint32_t pending = pin_entry(PIN);
  set_line(PIN, false);
  enable();
  takes(VECTOR_LOW, 1);
  check(pending & REMOTE_IRR, "level: remote IRR as soon as the local APIC has it");
  check(taken[VECTOR_LOW] >= 1, "level: a line that falls before service was accepted already");
}

static void check_masking(void) {
  start(serve_level);
  services_wanted = 1;
  set_pin(PIN, LEVEL | MASKED | VECTOR_LOW, self);
  set_line(PIN, true);
  delay(QUIET);
  check_count(VECTOR_LOW, 0, "level: none while masked");
  io_apic_write(0x10 + PIN * 2, LEVEL | VECTOR_LOW);
  takes(VECTOR_LOW, 1);
  delay(QUIET);
  check_count(VECTOR_LOW, 1, "level: the pending one at unmasking");

  forget();
  io_apic_write(0x10 + PIN * 2, LEVEL | MASKED | VECTOR_LOW);
  set_line(PIN, true);
  set_line(PIN, false);
  io_apic_write(0x10 + PIN * 2, LEVEL | VECTOR_LOW);
  delay(QUIET);
  check(taken[VECTOR_LOW] == 0, "level: none at unmasking if the line fell before");

  start(mask);
  set_line(PIN, true);
  takes(VECTOR_LOW, 1);
  delay(QUIET);
  check_count(VECTOR_LOW, 1, "level: masked in service, none more though the line is high");
  if (only_exact("level: masking does not clear remote IRR"))
    check(in_service & REMOTE_IRR, "level: masking does not clear remote IRR");
  check(!(after_end & REMOTE_IRR), "level: the end clears remote IRR of a masked pin too");
  handle(VECTOR_LOW, serve_level);
  services_wanted = 1;
  io_apic_write(0x10 + PIN * 2, LEVEL | VECTOR_LOW);
  takes(VECTOR_LOW, 2);
  delay(QUIET);
  check_count(VECTOR_LOW, 2, "level: again when it is unmasked");

  // Linux relies on it to free a pin whose end was lost.
  start(to_edge_and_back);
  set_line(PIN, true);
  takes(VECTOR_LOW, 1);
  check(!(in_service & REMOTE_IRR), "level: a change to edge clears remote IRR");
  io_apic_write(0x10 + PIN * 2, LEVEL | VECTOR_LOW);
  handle(VECTOR_LOW, serve_level);
  services_wanted = 1;
  set_line(PIN, true);
  takes(VECTOR_LOW, 2);
  delay(QUIET);
  check_count(VECTOR_LOW, 2, "level: and the pin works on");
}

void check_io_apic_level(void) {
  self = local_apic_id();
  check_service();
  check_masking();
  rest();
}
