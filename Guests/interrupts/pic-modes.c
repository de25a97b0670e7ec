// The 8259A's other modes: automatic end, rotation, special mask, level, poll (8259A datasheet, "Operation").
#include "pic.h"

static volatile uint32_t seen, services, nested;

static void look_only(uint32_t vector) {
  seen = pic_in_service(vector >= PIC_VECTOR + 8 ? SECOND : FIRST);
  set_line(vector - PIC_VECTOR, false);
}

static void check_auto_end(void) {
  pic_start(AUTO_END);
  pic_unmask(1 << 5);
  handle(0x25, look_only);
  seen = 0xFF;
  bool all = true;
  for (uint32_t i = 1; i <= 3; i++) {
    set_line(5, true);
    all = takes(0x25, i) && all;
  }
  check(all && seen == 0, "pic: automatic end, never in service");
}

static void raise_together(void) {
  disable();
  set_line(3, true);
  set_line(5, true);
  set_line(6, true);
  enable();
  // None is withdrawn before it has come.
  takes(0x23, 1);
  takes(0x25, 1);
  takes(0x26, 1);
  delay(QUIET);
  set_line(3, false);
  set_line(5, false);
  set_line(6, false);
}

static void end_and_rotate(uint32_t vector) {
  (void)vector;
  out8(FIRST, 0xA0);
}

static void check_rotation(void) {
  static const uint8_t plain[] = {0x23, 0x25, 0x26}, turned[] = {0x26, 0x23, 0x25};
  pic_start(USUAL);
  pic_unmask(1 << 3 | 1 << 5 | 1 << 6);
  raise_together();
  check(came_in_order(3, plain), "pic: line 0 has the highest priority at first");
  forget();
  out8(FIRST, 0xC0 | 5);
  raise_together();
  check(came_in_order(3, turned), "pic: set priority, line 5 is the lowest");
  forget();
  out8(FIRST, 0xC0 | 7);
  raise_together();
  check(came_in_order(3, plain), "pic: and back");

  forget();
  handle(0x25, end_and_rotate);
  set_line(5, true);
  takes(0x25, 1);
  set_line(5, false);
  handle(0x25, pic_end);
  forget();
  raise_together();
  check(came_in_order(3, turned), "pic: an end with rotation makes its line the lowest");
}

// Line 3 is served and masks itself; in special mask mode line 6 comes nevertheless.
static void let_lower_through(uint32_t vector) {
  (void)vector;
  out8(FIRST + 1, in8(FIRST + 1) | 1 << 3);
  set_line(6, true);
  enable();
  delay(QUIET);
  nested = taken[0x26];
  out8(FIRST, 0x68);
  delay(QUIET);
  disable();
  seen = taken[0x26];
  out8(FIRST, 0x48);
  out8(FIRST, 0x60 | 3);
}

static void end_of_6(uint32_t vector) {
  (void)vector;
  out8(FIRST, 0x60 | 6);
}

static void check_special_mask(void) {
  pic_start(USUAL);
  pic_unmask(1 << 3 | 1 << 6);
  handle(0x23, let_lower_through);
  handle(0x26, end_of_6);
  set_line(3, true);
  takes(0x23, 1);
  check(nested == 0, "pic: a line that is masked while it is served still holds lower ones back");
  check_either(seen == 1, seen == 0, "pic: but not in special mask mode", "Linux's 8259 has no such mode");
  delay(QUIET);
  check(taken[0x26] == 1, "pic: they come in any case");
}

static void serve(uint32_t vector) {
  if (services && --services == 0) set_line(vector - PIC_VECTOR, false);
  pic_end(vector);
}

static void pulse_in_service(uint32_t vector) {
  if (services++ == 0) {
    set_line(vector - PIC_VECTOR, false);
    set_line(vector - PIC_VECTOR, true);
  }
  pic_end(vector);
}

static void check_level(void) {
  pic_start(USUAL);
  pic_set_level(0xFFFF);
  check(in8(0x4D0) == 0xF8 && in8(0x4D1) == 0xDE, "pic: lines 0, 1, 2, 8 and 13 cannot be level-triggered");

  pic_start(USUAL);
  pic_unmask(1 << 5);
  handle(0x25, pulse_in_service);
  services = 0;
  set_line(5, true);
  takes(0x25, 2);
  delay(QUIET);
  check(taken[0x25] == 2, "pic: edge, a rise in service is another after the end");

  static const uint8_t lines[] = {5, 10};
  for (unsigned i = 0; i < 2; i++) {
    uint32_t line = lines[i];
    pic_start(USUAL);
    pic_set_level((uint16_t)(1 << line));
    pic_unmask((uint16_t)(1 << line));
    handle(PIC_VECTOR + line, serve);
    services = 5;
    set_line(line, true);
    takes(PIC_VECTOR + line, 5);
    delay(QUIET);
    check(taken[PIC_VECTOR + line] == 5, line < 8 ? "pic: level, again after each end while it is high"
      : "pic: level on the second, again after each end while it is high");
    services = 1;
    set_line(line, true);
    takes(PIC_VECTOR + line, 6);
    delay(QUIET);
    check(taken[PIC_VECTOR + line] == 6, "pic: level, one if the line falls in service");
  }
  disable();
  forget();
  set_line(10, true);
  bool requested = pic_requests(SECOND) == 1 << 2 && pic_requests(FIRST) == 1 << 2;
  set_line(10, false);
  bool withdrawn = pic_requests(SECOND) == 0;
  enable();
  delay(QUIET);
  check(requested && withdrawn, "pic: level, the request register follows the line");
  // "IR lines must remain high until after the first INTA": else the interrupt is number 7, and not in service.
  uint32_t spurious = taken[0x27] + taken[0x2F];
  check(taken[0x2A] == 0 && entered == spurious && spurious <= 1, "pic: a level line that fell is nothing, or a spurious 7");
}

static void check_poll(void) {
  pic_start(USUAL);
  apic_write(APIC_LINT0, EXTERNAL | MASKED);
  pic_unmask(1 << 5 | 1 << 10);
  out8(FIRST, 0x0C);
  bool none = !(in8(FIRST) & 0x80);
  set_line(5, true);
  out8(FIRST, 0x0C);
  uint8_t found = in8(FIRST);
  const char *known = "older Linux leaves out the bit that says that there is one";
  check_either(found == (0x80 | 5), found == 5, "pic: poll tells the highest request", known);
  uint8_t service = pic_in_service(FIRST);
  check_either(service == 1 << 5, service == 0, "pic: and acknowledges it", "Linux's 8259 ends it at once");
  out8(FIRST, 0x20);
  check(pic_in_service(FIRST) == 0 && pic_requests(FIRST) == 0, "pic: which then ends like any other");
  check_either(none, true, "pic: poll tells of no request", "Linux's 8259 tells one");
  set_line(5, false);
  set_line(10, true);
  out8(FIRST, 0x0C);
  found = in8(FIRST);
  out8(SECOND, 0x0C);
  uint8_t second = in8(SECOND);
  check_either(found == (0x80 | 2) && second == (0x80 | 2), found == 2 && second == 2, "pic: poll on both", known);
  out8(SECOND, 0x20);
  out8(FIRST, 0x20);
  set_line(10, false);
}

void check_pic_modes(void) {
  check_auto_end();
  check_rotation();
  check_special_mask();
  check_level();
  check_poll();
  pic_stop();
}
