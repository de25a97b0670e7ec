// The local APIC's registers, software disable, errors (SDM volume 3, 11.4, 11.5 and 11.9).
#include "interrupts.h"

static volatile uint32_t was_in_service, was_requested, was_level, priority_seen, in_service_after;

bool in_bitmap(uint32_t base, uint32_t vector) { return apic_read(base + vector / 32 * 16) >> vector % 32 & 1; }

static void look(uint32_t vector) {
  was_in_service = in_bitmap(APIC_IN_SERVICE, vector);
  was_requested = in_bitmap(APIC_REQUEST, vector);
  was_level = in_bitmap(APIC_TRIGGER_MODE, vector);
  priority_seen = apic_read(APIC_PROCESSOR_PRIORITY);
  set_line(PIN, false);
  send_eoi();
  in_service_after = in_bitmap(APIC_IN_SERVICE, vector);
}

static bool keeps(uint32_t offset, uint32_t written, uint32_t expected) {
  uint32_t before = apic_read(offset);
  apic_write(offset, written);
  uint32_t found = apic_read(offset);
  apic_write(offset, before);
  if (found != expected) print("     %x: wrote %x, reads %x, not %x\n", offset, written, found, expected);
  return found == expected;
}

static void check_registers(void) {
  uint32_t version = apic_read(APIC_VERSION);
  print("     local APIC version %x\n", version);
  check((version & 0xF0) == 0x10 && (version >> 16 & 0xFF) >= 3, "lapic: version 1x, four or more local vectors");
  bool fixed = true;
  static const uint16_t spared[] = {
    APIC_VERSION, APIC_PROCESSOR_PRIORITY, APIC_IN_SERVICE + 0x20, APIC_REQUEST + 0x20, APIC_TIMER_CURRENT,
  };
  for (unsigned i = 0; i < sizeof spared / sizeof *spared; i++) {
    uint32_t before = apic_read(spared[i]);
    apic_write(spared[i], ~before);
    fixed = fixed && apic_read(spared[i]) == before;
  }
  check(fixed, "lapic: read-only registers stay");
  apic_write(APIC_TASK_PRIORITY, 0xFFFFFFA5);
  uint32_t task = apic_read(APIC_TASK_PRIORITY);
  apic_write(APIC_TASK_PRIORITY, 0);
  check_either(task == 0xA5, task == 0xA0, "lapic: the task priority has 8 bits", loses_subclass);
  check(keeps(APIC_LOGICAL_DESTINATION, 0xFFFFFFFF, 0xFF000000), "lapic: the logical destination has 8 bits");
  check(keeps(APIC_DESTINATION_FORMAT, 0x00000000, 0x0FFFFFFF), "lapic: the destination format has 4 bits");
  check(keeps(APIC_COMMAND_HIGH, 0xA5000000, 0xA5000000), "lapic: the command's destination reads back");
  check(keeps(APIC_TIMER, 0x100FF | MASKED, 0x100FF), "lapic: the timer's local vector reads back");
  check(keeps(APIC_LINT1, 0x1A7FF, 0x1A7FF), "lapic: LINT1's local vector reads back");
  check(keeps(APIC_ERROR, 0x1EFFF, 0x100FF), "lapic: the error's local vector has a vector and a mask");
  apic_write(APIC_ERROR, 1 << 12 | MASKED);
  check_either(!(apic_read(APIC_ERROR) & 1 << 12), true, "lapic: a delivery status cannot be written", "Linux takes it");
  apic_write(APIC_ERROR, MASKED);
  check(keeps(APIC_TIMER_DIVIDE, 0xFFFFFFFF, 0xB), "lapic: the divider has 3 bits");
  check(keeps(APIC_SPURIOUS, 0x1AB, 0x1AB), "lapic: the spurious vector reads back");
}

static void check_in_service(void) {
  rest();
  handle(VECTOR_LOW, look);
  send_interrupt(0, TO_SELF | VECTOR_LOW);
  check(takes(VECTOR_LOW, 1), "lapic: a message to itself");
  check(!was_level, "lapic: its trigger mode is edge");
  check(!in_service_after, "lapic: not in service after its end");
  if (only_exact("lapic: in service, no longer requested, and the priority is its class")) {
    check(was_in_service && !was_requested, "lapic: in service, and no longer requested");
    check(priority_seen == (VECTOR_LOW & 0xF0), "lapic: the processor priority is its class");
  }
  set_pin(PIN, LEVEL | VECTOR_LOW, local_apic_id());
  set_line(PIN, true);
  takes(VECTOR_LOW, 2);
  if (only_exact("lapic: the trigger mode of a level-triggered one"))
    check(was_level, "lapic: the trigger mode of a level-triggered one");
  check(apic_read(APIC_PROCESSOR_PRIORITY) == 0, "lapic: the processor priority is 0 at rest");

  rest();
  disable();
  for (unsigned i = 0; i < 3; i++) send_interrupt(0, TO_SELF | VECTOR_LOW);
  bool requested = in_bitmap(APIC_REQUEST, VECTOR_LOW);
  enable();
  takes(VECTOR_LOW, 1);
  delay(QUIET);
  check(requested, "lapic: requested while interrupts are disabled");
  check_count(VECTOR_LOW, 1, "lapic: three of a vector are one while it is requested");
}

// The request is withdrawn by nobody here, so a spurious interrupt can only be sent as a message.
static void check_spurious(void) {
  rest();
  check((apic_read(APIC_SPURIOUS) & 0x1FF) == (0x100 | VECTOR_SPURIOUS), "spurious: the vector reads back");
  check(taken[VECTOR_SPURIOUS] == 0, "spurious: none so far");
  apic_write(APIC_TASK_PRIORITY, 0xF0);
  send_interrupt(0, TO_SELF | VECTOR_HIGH);
  apic_write(APIC_TASK_PRIORITY, 0x10);
  apic_write(APIC_TASK_PRIORITY, 0xF0);
  delay(QUIET);
  apic_write(APIC_TASK_PRIORITY, 0);
  takes(VECTOR_HIGH, 1);
  check(taken[VECTOR_HIGH] == 1, "spurious: an interrupt survives changes of the task priority");
}

// 11.4.7.2.
static void check_software_disable(void) {
  rest();
  uint32_t lint0 = apic_read(APIC_LINT0), lint1 = apic_read(APIC_LINT1);
  apic_write(APIC_TIMER, VECTOR_MIDDLE);
  apic_write(APIC_LINT1, NMI);
  apic_write(APIC_SPURIOUS, VECTOR_SPURIOUS);
  bool all = true, stays = true;
  static const uint32_t vectors[] = {APIC_TIMER, APIC_LINT0, APIC_LINT1, APIC_ERROR};
  for (unsigned i = 0; i < 4; i++) {
    all = all && (apic_read(vectors[i]) & MASKED);
    apic_write(vectors[i], apic_read(vectors[i]) & ~(uint32_t)MASKED);
    stays = stays && (apic_read(vectors[i]) & MASKED);
  }
  set_pin(PIN, VECTOR_LOW, local_apic_id());
  set_line(PIN, true);
  send_interrupt(0, TO_SELF | VECTOR_LOW);
  delay(QUIET);
  bool none = taken[VECTOR_LOW] == 0;
  apic_write(APIC_SPURIOUS, 0x100 | VECTOR_SPURIOUS);
  delay(QUIET);
  bool lost = taken[VECTOR_LOW] == 0;
  bool masked = apic_read(APIC_TIMER) & MASKED;
  apic_write(APIC_LINT0, lint0);
  apic_write(APIC_LINT1, lint1);
  check(all, "disabled: the local vectors are masked");
  check(stays, "disabled: and cannot be unmasked");
  check(none && lost, "disabled: no interrupt is accepted");
  check(masked, "disabled: the masks stay when it is enabled again");
  send_interrupt(0, TO_SELF | VECTOR_LOW);
  takes(VECTOR_LOW, 1);
  check(taken[VECTOR_LOW] == 1, "disabled: enabled again it works");
}

// 11.5.3: errors are told by the register, which shows what came up to the last write, and by a local vector.
static void check_errors(void) {
  rest();
  apic_write(APIC_ERROR, VECTOR_HIGH);
  apic_write(APIC_ERROR_STATUS, 0);
  apic_write(APIC_ERROR_STATUS, 0);
  check(apic_read(APIC_ERROR_STATUS) == 0, "errors: none");
  send_interrupt(0, TO_SELF | ASSERT | VECTOR_RESERVED);
  delay(QUIET);
  bool before = apic_read(APIC_ERROR_STATUS) != 0;
  apic_write(APIC_ERROR_STATUS, 0);
  uint32_t error = apic_read(APIC_ERROR_STATUS);
  check(!before, "errors: the register changes when it is written only");
  check_either(error & 0x60, error == 0, "errors: an illegal vector sent to itself", tells_no_errors);
  check_either(taken[VECTOR_HIGH] == 1, error == 0 && taken[VECTOR_HIGH] == 0, "errors: its interrupt", tells_no_errors);
  if (!inexact) check(!taken[VECTOR_RESERVED], "errors: the illegal vector is not taken");
  apic_write(APIC_ERROR_STATUS, 0);
  check(apic_read(APIC_ERROR_STATUS) == 0, "errors: cleared by the next write");
  apic_write(APIC_ERROR, MASKED);
}

void check_local_apic(void) {
  check_registers();
  check_in_service();
  check_spurious();
  check_software_disable();
  check_errors();
  rest();
}
