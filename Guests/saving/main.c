// A guest that is saved and goes on elsewhere: it counts the interrupts of its timer, and writes the sectors of a disk,
// each with its own number, and reads them back. Each step is a line; a step that comes twice, or never, shows.
#include "saving.h"

// The longest wait, in microseconds. While the guest is saved its time-stamp counter may go on where the host's KVM cannot set it,
// as a software one cannot; a wait that never ends is the host's to notice.
enum { STEPS = 32, PATIENCE = 2000000000 };

static volatile uint32_t timer_count;
static uint32_t buffer[SECTOR / 4] __attribute__((aligned(SECTOR)));

struct interrupt_frame;
#define ISR __attribute__((interrupt)) static void

ISR on_timer(struct interrupt_frame *frame) {
  (void)frame;
  timer_count++;
  send_eoi();
}

ISR on_disk(struct interrupt_frame *frame) {
  (void)frame;
  disk_interrupts++;
  send_eoi();
}

ISR on_spurious(struct interrupt_frame *frame) { (void)frame; }

static void start_timer(void) {
  apic_write(APIC_TIMER_DIVIDE, 0xB); // by 1
  apic_write(APIC_TIMER, VECTOR_TIMER | 1 << 17); // periodic
  apic_write(APIC_TIMER_INITIAL, 10000000); // 10 ms where the bus has 1 GHz
}

static bool holds(uint32_t number) {
  for (unsigned i = 0; i < SECTOR / 4; i++)
    if (buffer[i] != number * 0x01000193u + i) return false;
  return true;
}

static void fill(uint32_t number) {
  for (unsigned i = 0; i < SECTOR / 4; i++) buffer[i] = number * 0x01000193u + i;
}

void ap_main(uint32_t stack) {
  (void)stack;
  for (;;) asm volatile("cli; hlt");
}

void main(void) {
  console_start();
  traps_start();
  set_gate(VECTOR_TIMER, (uint64_t)on_timer);
  set_gate(VECTOR_DISK, (uint64_t)on_disk);
  set_gate(VECTOR_SPURIOUS, (uint64_t)on_spurious);
  check(find_platform(), "acpi: RSDP, FADT and MADT");
  local_apic_start();
  asm volatile("sti");
  check(disk_start(), "a disk");
  if (failures) finish();
  start_timer();
  for (uint32_t step = 0; step < STEPS; step++) {
    // At least one tick between two steps: a timer that does not go on holds everything up.
    uint32_t ticks = timer_count, interrupts = disk_interrupts;
    check(wait_for(&timer_count, ticks + 1, PATIENCE), "the timer");
    fill(step);
    check(disk_transfer(true, step, buffer), "a sector is written");
    check(wait_for(&disk_interrupts, interrupts + 1, PATIENCE), "and says so");
    for (unsigned i = 0; i < SECTOR / 4; i++) buffer[i] = 0;
    check(disk_transfer(false, step, buffer) && holds(step), "and read");
    print("step %u\n", step);
    if (failures) finish();
  }
  for (uint32_t step = 0; step < STEPS; step++)
    if (!disk_transfer(false, step, buffer) || !holds(step)) check(false, "a sector is as it was written");
  check(timer_count >= STEPS, "as many ticks as steps");
  finish();
}
