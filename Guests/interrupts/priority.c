// Priorities among pending and in-service interrupts, and the order of their ends (SDM volume 3, 11.8.3 and 11.8.5).
#include "interrupts.h"

static volatile uint32_t second_vector, seen_nested, seen_after, processor_priority, depth;

static inline void set_cr8(uint64_t value) { asm volatile("movq %0, %%cr8" ::"r"(value) : "memory"); }
// A processor whose KVM does not tell its user of it goes on with what waited at its next exit: have one.
static void lower_cr8(void) {
  set_cr8(0);
  if (has_word("silent-cr8")) apic_read(APIC_ID);
}

static inline uint64_t get_cr8(void) { uint64_t v; asm volatile("movq %%cr8, %0" : "=r"(v)); return v; }

static void send_self(uint32_t vector) { send_interrupt(local_apic_id(), ASSERT | vector); }

// Enables interrupts in the middle, where another one is sent by a pin.
static void open_up(uint32_t vector) {
  (void)vector;
  set_pin(OTHER_PIN, second_vector, local_apic_id());
  enable();
  set_line(OTHER_PIN, true);
  delay(QUIET);
  disable();
  depth = entered; // whether the other one came inside this one
  send_eoi();
}

// Inside another: looks at what is in service, before and after its own end.
static void look_nested(uint32_t vector) {
  processor_priority = apic_read(APIC_PROCESSOR_PRIORITY);
  seen_nested = in_bitmap(APIC_IN_SERVICE, vector) && in_bitmap(APIC_IN_SERVICE, VECTOR_LOW);
  send_eoi();
  seen_after = !in_bitmap(APIC_IN_SERVICE, vector) && in_bitmap(APIC_IN_SERVICE, VECTOR_LOW);
}

static void check_nesting(void) {
  static const uint8_t low_then_high[] = {VECTOR_LOW, VECTOR_HIGH}, high_then_low[] = {VECTOR_HIGH, VECTOR_LOW},
    same_class[] = {VECTOR_HIGH, VECTOR_HIGH_TOO};
  uint32_t self = local_apic_id();
  rest();
  handle(VECTOR_LOW, open_up);
  handle(VECTOR_HIGH, look_nested);
  second_vector = VECTOR_HIGH;
  set_pin(PIN, VECTOR_LOW, self);
  set_line(PIN, true);
  takes(VECTOR_LOW, 1);
  check(came_in_order(2, low_then_high) && depth == 2, "priority: a higher class comes inside a lower one");
  if (!only_exact("priority: the end ends the highest, and lower classes wait")) return;
  check(seen_nested, "priority: both are in service then");
  check(processor_priority == (VECTOR_HIGH & 0xF0), "priority: the processor priority is the class of the highest");
  check(seen_after, "priority: the end ends the highest");
  check(!in_bitmap(APIC_IN_SERVICE, VECTOR_LOW), "priority: and the next end the other");

  rest();
  handle(VECTOR_HIGH, open_up);
  second_vector = VECTOR_LOW;
  set_pin(PIN, VECTOR_HIGH, self);
  set_line(PIN, true);
  takes(VECTOR_LOW, 1);
  check(came_in_order(2, high_then_low) && depth == 1, "priority: a lower class waits for the end of a higher one");

  rest();
  handle(VECTOR_HIGH, open_up);
  second_vector = VECTOR_HIGH_TOO;
  set_pin(PIN, VECTOR_HIGH, self);
  set_line(PIN, true);
  takes(VECTOR_HIGH_TOO, 1);
  check(came_in_order(2, same_class) && depth == 1, "priority: a higher vector of the same class waits too");
}

static void check_order(void) {
  static const uint8_t falling[] = {VECTOR_HIGH_TOO, VECTOR_HIGH, VECTOR_MIDDLE, VECTOR_LOW};
  rest();
  disable();
  send_self(VECTOR_MIDDLE);
  send_self(VECTOR_HIGH);
  send_self(VECTOR_LOW);
  send_self(VECTOR_HIGH_TOO);
  bool pending = in_bitmap(APIC_REQUEST, VECTOR_LOW) && in_bitmap(APIC_REQUEST, VECTOR_HIGH_TOO);
  enable();
  takes(VECTOR_LOW, 1);
  check(pending, "priority: pending ones are in the request register");
  check(came_in_order(4, falling), "priority: pending ones come from the highest vector down");
}

static void check_task_priority(void) {
  rest();
  apic_write(APIC_TASK_PRIORITY, VECTOR_MIDDLE & 0xF0);
  check(get_cr8() == VECTOR_MIDDLE >> 4, "task priority: CR8 has its class");
  check(apic_read(APIC_PROCESSOR_PRIORITY) == (VECTOR_MIDDLE & 0xF0), "task priority: it is the processor priority");
  send_self(VECTOR_LOW);
  send_self(VECTOR_MIDDLE);
  send_self(VECTOR_HIGH);
  takes(VECTOR_HIGH, 1);
  delay(QUIET);
  check(taken[VECTOR_HIGH] == 1 && !taken[VECTOR_LOW] && !taken[VECTOR_MIDDLE],
    "task priority: its own class and lower ones wait");
  apic_write(APIC_TASK_PRIORITY, (VECTOR_LOW & 0xF0) | 0xF);
  takes(VECTOR_MIDDLE, 1);
  delay(QUIET);
  check(taken[VECTOR_MIDDLE] == 1 && !taken[VECTOR_LOW], "task priority: lower it, and the next class comes");
  uint32_t task = apic_read(APIC_TASK_PRIORITY);
  check_either(task == ((VECTOR_LOW & 0xF0) | 0xF), task == (VECTOR_LOW & 0xF0), "task priority: the subclass reads back",
    loses_subclass);
  apic_write(APIC_TASK_PRIORITY, 0);
  takes(VECTOR_LOW, 1);
  check(taken[VECTOR_LOW] == 1, "task priority: at 0 all come");

  rest();
  set_cr8(VECTOR_LOW >> 4);
  check(apic_read(APIC_TASK_PRIORITY) == (VECTOR_LOW & 0xF0), "CR8: it is the task priority");
  send_self(VECTOR_LOW);
  delay(QUIET);
  bool held = !taken[VECTOR_LOW];
  lower_cr8();
  takes(VECTOR_LOW, 1);
  check(held && taken[VECTOR_LOW] == 1, "CR8: holds its class back until it is lowered");
  set_cr8(15);
  uint32_t self = local_apic_id();
  set_pin(PIN, VECTOR_HIGH, self);
  set_line(PIN, true);
  delay(QUIET);
  held = !taken[VECTOR_HIGH];
  lower_cr8();
  takes(VECTOR_HIGH, 1);
  check(held && taken[VECTOR_HIGH] == 1, "CR8: 15 holds back all of them");
}

static void check_idle_end(void) {
  rest();
  for (unsigned i = 0; i < 3; i++) send_eoi();
  handle(VECTOR_LOW, serve_level);
  set_pin(PIN, LEVEL | VECTOR_LOW, local_apic_id());
  for (uint32_t i = 1; i <= 3; i++) {
    services_wanted = 1;
    set_line(PIN, true);
    takes(VECTOR_LOW, i);
    for (unsigned j = 0; j < 3; j++) send_eoi();
  }
  delay(QUIET);
  check_count(VECTOR_LOW, 3, "end: with nothing in service it does nothing");

  disable();
  send_self(VECTOR_HIGH);
  send_eoi();
  bool pending = in_bitmap(APIC_REQUEST, VECTOR_HIGH);
  enable();
  takes(VECTOR_HIGH, 1);
  check(pending && taken[VECTOR_HIGH] == 1, "end: it leaves pending ones alone");
}

void check_priority(void) {
  check_nesting();
  check_order();
  check_task_priority();
  check_idle_end();
  rest();
}
