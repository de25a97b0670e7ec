// Every way in which a run ends: test=poweroff, reset, reset-keyboard, reset-port, halt, triplefault,
// spin, mmio-unclaimed, fetch-unbacked, exit.
#include "guest.h"

// The process ends with (code << 1) | 1: 1 is success.
void exit_with(uint32_t code) {
  out32(0xF4, code);
  for (;;) asm volatile("cli; hlt");
}

static void power_off(void) {
  if (!platform.has_sleep_type || !platform.pm1a_control) {
    print("FAIL no power-off in the FADT or the DSDT\n");
    exit_with(1);
  }
  uint16_t control = in16(platform.pm1a_control);
  if (!(control & 1) && platform.smi_command) { // SCI_EN: ACPI mode (ACPI 6.5, 4.8.3.2.1)
    out8((uint16_t)platform.smi_command, platform.acpi_enable);
    for (int i = 0; i < 100 && !(in16(platform.pm1a_control) & 1); i++) delay(1000);
    control = in16(platform.pm1a_control);
  }
  control = (uint16_t)((control & ~(7 << 10)) | platform.sleep_type << 10);
  out16(platform.pm1a_control, control);
  out16(platform.pm1a_control, control | 1 << 13); // SLP_EN
}

static void reset(void) {
  if (!platform.has_reset) {
    print("FAIL no reset register in the FADT\n");
    exit_with(1);
  }
  if (platform.reset_space == 1)
    out8((uint16_t)platform.reset_address, platform.reset_value);
  else
    *(volatile uint8_t *)platform.reset_address = platform.reset_value;
}

static void triple_fault(void) {
  struct { uint16_t limit; uint64_t base; } __attribute__((packed)) none = {0, 0};
  asm volatile("lidt %0; ud2" ::"m"(none));
}

// Where nobody answers, all bits read as 1 and writes go nowhere.
static void unclaimed(void) {
  uint64_t address = 0xFEA00000;
  store32(address, 0);
  check(load32(address) == 0xFFFFFFFF, "unclaimed memory reads as all ones");
  check(*(volatile uint8_t *)(address + 3) == 0xFF, "unclaimed memory reads a byte of ones");
  out32(0x6660, 0);
  check(in32(0x6660) == 0xFFFFFFFF, "an unclaimed port reads as all ones");
  check(in16(0x6660) == 0xFFFF && in8(0x6661) == 0xFF, "unclaimed ports, 16 and 8 bits");
  exit_with(failures ? 1 : 0);
}

void end_as_told(const char *how) {
  asm volatile("cli");
  print("ending\n");
  if (argument_is("test", "poweroff")) power_off();
  else if (argument_is("test", "reset")) reset();
  else if (argument_is("test", "reset-keyboard")) out8(0x64, 0xFE); // 8042: pulse the reset line
  else if (argument_is("test", "reset-port")) out8(0xCF9, 0x02), out8(0xCF9, 0x06);
  else if (argument_is("test", "triplefault")) triple_fault();
  else if (argument_is("test", "mmio-unclaimed")) unclaimed();
  else if (argument_is("test", "fetch-unbacked")) ((void (*)(void))0xFEA00000)();
  else if (argument_is("test", "exit")) exit_with(failures ? 1 : 0);
  else if (argument_is("test", "spin")) {
    for (;;) pause();
  } else if (argument_is("test", "halt")) {
    for (;;) asm volatile("cli; hlt");
  } else {
    print("FAIL unknown test \"%s\"\n", how);
    exit_with(3);
  }
  // Power-off and reset may take a moment to arrive.
  delay(2000000);
  print("FAIL still running\n");
  exit_with(4);
}
