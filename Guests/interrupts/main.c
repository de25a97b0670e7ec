// The groups of tests; words of the command line choose among them, and none of these words means all:
//
//   ioapic lapic timer x2apic pic pit
//   cpus=N    how many CPUs there must be
//   inexact   this is a software KVM, whose local APIC ends an interrupt at the moment it delivers it: what depends
//             on an interrupt being in service is skipped, and of some there may be more than are due
//   silent-cr8  a software KVM does not say when CR8 is lowered, which matters with all controllers outside of it
//   strict    what Linux's controllers do otherwise than the manual says is a failure
#include "interrupts.h"

bool inexact;
const char loses_subclass[] = "Linux on AMD keeps CR8 only, which has no subclass";
const char tells_no_errors[] = "Linux's local APIC tells no errors";

static const struct group { const char *word; void (*checks[6])(void); } groups[] = {
  {"ioapic", {check_io_apic_registers, check_io_apic_edge, check_io_apic_level, check_io_apic_sources, check_priority,
    check_io_apic_destinations}},
  {"lapic", {check_local_apic, check_messages, check_nmi, check_restart}},
  {"timer", {check_timer, check_timer_rates}},
  {"pic", {check_pic, check_pic_modes}},
  {"pit", {check_pit}},
  {"x2apic", {check_x2apic, check_x2apic_faults}},
};
enum { GROUPS = sizeof groups / sizeof *groups };

void skip(const char *what, const char *why) { print("skip %s: %s\n", what, why); }

bool only_exact(const char *what) {
  if (inexact) skip(what, "a software KVM differs");
  return !inexact;
}

void check_count(uint32_t vector, uint32_t count, const char *what) {
  uint32_t found = taken[vector];
  bool holds = found == count || (inexact && found > count);
  if (!holds) print("     %u interrupts, %u are due\n", found, count);
  check(holds, what);
}

void check_either(bool as_the_manual, bool as_known, const char *what, const char *known) {
  if (has_word("strict")) as_known = false;
  if (!as_the_manual && as_known) print("     differs from the manual: %s\n", known);
  check(as_the_manual || as_known, what);
}

void main(void) {
  console_start();
  print("apus interrupt test guest\n");
  traps_start();
  handlers_start();
  check_information();
  inexact = has_word("inexact");
  check(find_platform(), "acpi: RSDP, FADT and MADT");
  local_apic_start();
  enable();
  start_cpus();
  check(cpus_ready == platform.cpus - 1, "cpus: all started");
  if (argument("cpus")) check(platform.cpus == number(argument("cpus")), "cpus: as many as told");
  if (failures) finish();

  bool all = true;
  for (unsigned i = 0; i < GROUPS; i++) all = all && !has_word(groups[i].word);
  for (unsigned i = 0; i < GROUPS; i++) {
    if (!all && !has_word(groups[i].word)) continue;
    for (unsigned j = 0; j < 6 && groups[i].checks[j]; j++) groups[i].checks[j]();
  }
  finish();
}
