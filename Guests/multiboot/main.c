// The order of the tests, and the command line that chooses among them:
//
//   cpus=N modules=N sum0=HEX sum1=HEX   what must be found
//   memory=BYTES                         RAM that fw_cfg must tell
//   fwcfg testdev lines loopback         devices that are there and are to be tested
//   copier                               only what drives the device of Examples/copier
//   test=HOW                             instead of all that, end the run: see ending.c
#include "program.h"

void main(void) {
  console_start();
  print("apus test guest\n");
  traps_start();
  handlers_start();
  check_information();
  check(find_platform(), "acpi: RSDP, FADT and MADT");
  const char *how = argument("test");
  if (how) end_as_told(how);

  local_apic_start();
  asm volatile("sti");
  if (has_word("copier")) {
    check_copier();
    finish();
  }
  check_timer();
  check_cpus();
  if (has_word("lines")) check_lines();
  if (has_word("loopback")) check_serial_loopback();
  if (has_word("testdev")) check_test_device();
  if (has_word("fwcfg")) check_fw_cfg();
  finish();
}
