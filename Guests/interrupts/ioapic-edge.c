// Edge-triggered pins of the I/O APIC.
#include "interrupts.h"

static volatile uint32_t pulses, entry_seen;

static void pulse(uint32_t vector) {
  (void)vector;
  while (pulses) {
    pulses--;
    set_line(PIN, false);
    set_line(PIN, true);
  }
  entry_seen = pin_entry(PIN);
  send_eoi();
}

static void raise_twice(void) {
  for (unsigned i = 0; i < 2; i++) {
    set_line(PIN, true);
    set_line(PIN, false);
  }
}

void check_io_apic_edge(void) {
  rest();
  uint32_t self = local_apic_id();
  set_pin(PIN, VECTOR_LOW, self);
  set_line(PIN, true);
  takes(VECTOR_LOW, 1);
  delay(QUIET);
  check_count(VECTOR_LOW, 1, "edge: one interrupt for a line that rises and stays");
  set_line(PIN, true);
  set_line(PIN, false);
  delay(QUIET);
  check_count(VECTOR_LOW, 1, "edge: none for a fall");
  bool all = true;
  for (uint32_t i = 2; i <= 11; i++) {
    set_line(PIN, true);
    all = takes(VECTOR_LOW, i) && all;
    set_line(PIN, false);
  }
  check(all && taken[VECTOR_LOW] == 11, "edge: one for each rise");

  forget();
  disable();
  raise_twice();
  enable();
  takes(VECTOR_LOW, 1);
  delay(QUIET);
  check_count(VECTOR_LOW, 1, "edge: two rises while none is taken are one");

  forget();
  handle(VECTOR_LOW, pulse);
  pulses = 1;
  set_line(PIN, true);
  takes(VECTOR_LOW, 2);
  delay(QUIET);
  check_count(VECTOR_LOW, 2, "edge: a rise while in service is another after the end");
  check(!(entry_seen & REMOTE_IRR), "edge: no remote IRR");
  set_line(PIN, false);
  forget();
  pulses = 3;
  set_line(PIN, true);
  takes(VECTOR_LOW, 2);
  delay(QUIET);
  check_count(VECTOR_LOW, 2, "edge: three rises while in service are one more");

  // 82093AA, 3.2.4: a rise on a masked edge-triggered pin is neither delivered nor held.
  rest();
  set_pin(PIN, MASKED | VECTOR_LOW, self);
  raise_twice();
  delay(QUIET);
  check_count(VECTOR_LOW, 0, "edge: none while masked");
  set_pin(PIN, VECTOR_LOW, self);
  delay(QUIET);
  check_count(VECTOR_LOW, 0, "edge: what came while masked is lost");
  set_line(PIN, true);
  takes(VECTOR_LOW, 1);
  check_count(VECTOR_LOW, 1, "edge: the next rise is delivered");

  // The mask does not take back what the local APIC already has (82093AA, 3.2.4).
  rest();
  set_pin(PIN, VECTOR_LOW, self);
  disable();
  set_line(PIN, true);
  set_pin(PIN, MASKED | VECTOR_LOW, self);
  enable();
  takes(VECTOR_LOW, 1);
  check_count(VECTOR_LOW, 1, "edge: masking after the rise does not take it back");

  rest();
  set_pin(PIN, VECTOR_LOW, self);
  set_pin(OTHER_PIN, VECTOR_LOW, self);
  disable();
  set_line(PIN, true);
  set_line(OTHER_PIN, true);
  enable();
  takes(VECTOR_LOW, 1);
  delay(QUIET);
  check_count(VECTOR_LOW, 1, "edge: two pins with one vector are one interrupt while it is pending");
  rest();
}
