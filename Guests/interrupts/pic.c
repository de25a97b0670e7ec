// The 8259As by way of LINT0 (8259A datasheet; SDM volume 3, 11.5.1): lines, masks, priorities, ends.
#include "pic.h"

static volatile uint32_t first_seen, second_seen, first_after, second_after, inner_depth, outer_depth;

void pic_start(uint8_t last_word) {
  rest();
  disable();
  for (unsigned line = 0; line < 16; line++) set_line(line, false);
  out8(FIRST, 0x11);
  out8(FIRST + 1, PIC_VECTOR);
  out8(FIRST + 1, 1 << 2);
  out8(FIRST + 1, last_word);
  out8(SECOND, 0x11);
  out8(SECOND + 1, PIC_VECTOR + 8);
  out8(SECOND + 1, 2);
  out8(SECOND + 1, last_word);
  out8(FIRST + 1, 0xFF);
  out8(SECOND + 1, 0xFF);
  pic_set_level(0);
  for (unsigned line = 0; line < 16; line++) handle(PIC_VECTOR + line, pic_end);
  apic_write(APIC_LINT0, EXTERNAL);
  enable();
  forget();
}

void pic_stop(void) {
  for (unsigned line = 0; line < 16; line++) set_line(line, false);
  out8(FIRST + 1, 0xFF);
  out8(SECOND + 1, 0xFF);
  apic_write(APIC_LINT0, EXTERNAL | MASKED);
  rest();
}

void pic_set_level(uint16_t lines) {
  out8(0x4D0, (uint8_t)lines);
  out8(0x4D1, (uint8_t)(lines >> 8));
}

void pic_unmask(uint16_t lines) {
  uint16_t masks = (uint16_t)~(lines | (lines >> 8 ? 1 << 2 : 0));
  out8(SECOND + 1, (uint8_t)(masks >> 8));
  out8(FIRST + 1, (uint8_t)masks);
}

uint8_t pic_in_service(uint16_t chip) {
  out8(chip, 0x0B);
  return in8(chip);
}

uint8_t pic_requests(uint16_t chip) {
  out8(chip, 0x0A);
  return in8(chip);
}

void pic_end(uint32_t vector) {
  if (vector >= PIC_VECTOR + 8) out8(SECOND, 0x20);
  out8(FIRST, 0x20);
}

void pic_lower_and_end(uint32_t vector) {
  set_line(vector - PIC_VECTOR, false);
  pic_end(vector);
}

static void look(uint32_t vector) {
  first_seen = pic_in_service(FIRST);
  second_seen = pic_in_service(SECOND);
  pic_lower_and_end(vector);
  first_after = pic_in_service(FIRST);
  second_after = pic_in_service(SECOND);
}

static void check_lines(void) {
  pic_start(USUAL);
  out8(FIRST + 1, 0xA5);
  out8(SECOND + 1, 0x5A);
  check(in8(FIRST + 1) == 0xA5 && in8(SECOND + 1) == 0x5A, "pic: the masks read back");
  pic_unmask(1 << 5 | 1 << 10);
  set_line(5, true);
  takes(PIC_VECTOR + 5, 1);
  delay(QUIET);
  check(taken[PIC_VECTOR + 5] == 1, "pic: one interrupt for a line that rises and stays");
  bool all = true;
  for (uint32_t i = 2; i <= 6; i++) {
    set_line(5, false);
    set_line(5, true);
    all = takes(PIC_VECTOR + 5, i) && all;
  }
  check(all && taken[PIC_VECTOR + 5] == 6, "pic: one for each rise");
  set_line(5, false);

  handle(PIC_VECTOR + 5, look);
  handle(PIC_VECTOR + 10, look);
  set_line(5, true);
  takes(PIC_VECTOR + 5, 7);
  check(first_seen == 1 << 5 && second_seen == 0, "pic: in service on the first");
  check(first_after == 0, "pic: and not after its end");
  set_line(10, true);
  check(takes(PIC_VECTOR + 10, 1), "pic: a line of the second");
  check(first_seen == 1 << 2 && second_seen == 1 << 2, "pic: in service on both");
  check(first_after == 0 && second_after == 0, "pic: and on none after both ends");
}

static void check_masks(void) {
  pic_start(USUAL);
  set_line(5, true);
  delay(QUIET);
  check(!entered && pic_requests(FIRST) & 1 << 5, "pic: a masked line requests and does not interrupt");
  pic_unmask(1 << 5);
  check(takes(PIC_VECTOR + 5, 1), "pic: it comes when it is unmasked");
  set_line(5, false);

  apic_write(APIC_LINT0, EXTERNAL | MASKED);
  set_line(5, true);
  delay(QUIET);
  bool held = taken[PIC_VECTOR + 5] == 1;
  apic_write(APIC_LINT0, EXTERNAL);
  delay(QUIET);
  bool at_once = taken[PIC_VECTOR + 5] == 2;
  send_interrupt(0, TO_SELF | VECTOR_LOW);
  check(held, "pic: LINT0's mask holds it back");
  check_either(at_once, takes(PIC_VECTOR + 5, 2), "pic: and it comes when LINT0 is unmasked",
    "Linux delivers it with the next interrupt only");
  set_line(5, false);

  apic_write(APIC_TASK_PRIORITY, 0xF0);
  set_line(5, true);
  check(takes(PIC_VECTOR + 5, 3), "pic: the local APIC's priorities do not");
  apic_write(APIC_TASK_PRIORITY, 0);
  set_line(5, false);
}

// While line 6 is served, line 3 rises; while line 3 is, line 7.
static void open_up(uint32_t vector) {
  set_line(vector == PIC_VECTOR + 6 ? 3 : 7, true);
  enable();
  delay(QUIET);
  disable();
  if (vector == PIC_VECTOR + 3) {
    first_seen = pic_in_service(FIRST);
    inner_depth = entered;
  } else {
    outer_depth = entered;
  }
  pic_end(vector);
  if (vector == PIC_VECTOR + 3) first_after = pic_in_service(FIRST);
}

static void end_outer_first(uint32_t vector) {
  (void)vector;
  out8(FIRST, 0x60 | 6); // specific
  first_seen = pic_in_service(FIRST);
  out8(FIRST, 0x60 | 3);
  first_after = pic_in_service(FIRST);
}

static void open_and_leave(uint32_t vector) {
  (void)vector;
  set_line(3, true);
  enable();
  delay(QUIET);
  disable();
}

static void check_priorities(void) {
  static const uint8_t pending[] = {0x2A, 0x2B, 0x23, 0x26}, nested[] = {0x26, 0x23, 0x27};
  pic_start(USUAL);
  pic_unmask(1 << 3 | 1 << 6 | 1 << 10 | 1 << 11);
  disable();
  set_line(6, true);
  set_line(11, true);
  set_line(3, true);
  set_line(10, true);
  enable();
  takes(0x26, 1);
  delay(QUIET);
  check(came_in_order(4, pending), "pic: pending ones come by priority, the second's between the first's 1 and 3");

  pic_start(USUAL);
  pic_unmask(1 << 3 | 1 << 6 | 1 << 7);
  handle(0x26, open_up);
  handle(0x23, open_up);
  set_line(6, true);
  takes(0x26, 1);
  takes(0x27, 1);
  delay(QUIET);
  check(came_in_order(3, nested), "pic: a higher one comes inside a lower one, a lower one waits");
  if (!only_exact("pic: what is in service when one comes inside another")) return;
  check(outer_depth == 2 && inner_depth == 2, "pic: neither sooner nor later");
  check(first_seen == (1 << 3 | 1 << 6), "pic: both are in service then");
  check(first_after == 1 << 6, "pic: the non-specific end ends the highest");

  pic_start(USUAL);
  pic_unmask(1 << 3 | 1 << 6);
  handle(0x26, open_and_leave);
  handle(0x23, end_outer_first);
  set_line(6, true);
  takes(0x26, 1);
  check(first_seen == 1 << 3 && first_after == 0, "pic: a specific end ends the one that it names");
}

// The MADT's override: the timer's line is on pin 2 of the I/O APIC.
static void check_line_0(void) {
  pic_start(USUAL);
  pic_unmask(1 << 0);
  set_line(0, true);
  check(takes(PIC_VECTOR, 1), "pic: line 0");
  set_line(0, false);
  out8(FIRST + 1, 0xFF);
  set_pin(2, VECTOR_LOW, local_apic_id());
  set_line(0, true);
  check(takes(VECTOR_LOW, 1), "pic: which is pin 2 of the I/O APIC");
  set_line(0, false);
  set_pin(2, MASKED, 0);
}

void check_pic(void) {
  check_lines();
  check_masks();
  check_priorities();
  check_line_0();
  pic_stop();
}
