// Devices behind ports: the UART, the test device, fw_cfg.
#include "program.h"

#define COM1 0x3F8

void check_serial_loopback(void) {
  while (!(in8(COM1 + 5) & 0x40)) pause(); // all sent
  uint8_t control = in8(COM1 + 4);
  out8(COM1 + 4, 0x10);
  // 16550A, 8.6.7: in loopback DTR, RTS, OUT1 and OUT2 appear as DSR, CTS, RI and DCD.
  bool lines = (in8(COM1 + 6) & 0xF0) == 0;
  out8(COM1 + 4, 0x1F);
  lines = lines && (in8(COM1 + 6) & 0xF0) == 0xF0;
  out8(COM1 + 4, 0x10);
  bool same = true;
  for (unsigned value = 0x55; value <= 0xAA; value += 0x55) {
    out8(COM1, (uint8_t)value);
    for (unsigned i = 0; i < 1000 && !(in8(COM1 + 5) & 1); i++) delay(10);
    same = same && in8(COM1) == value;
  }
  out8(COM1 + 4, control);
  check(lines, "serial: modem lines in loopback");
  check(same, "serial: bytes in loopback");
}

void check_test_device(void) {
  out8(0xE0, 0x12);
  check(in8(0xE0) == 0x12, "test device: a byte reads back");
  out16(0xE0, 0x3456);
  check(in16(0xE0) == 0x3456, "test device: 16 bits read back");
  out32(0xE0, 0x789ABCDE);
  check(in32(0xE0) == 0x789ABCDE, "test device: 32 bits read back");
  check(in8(0xE0) == 0xDE && in8(0xE1) == 0xBC, "test device: in little-endian order");
}

static void fw_cfg_read(uint16_t key, void *bytes, unsigned count) {
  out16(0x510, key);
  for (uint8_t *next = bytes; count--;) *next++ = in8(0x511);
}

void check_fw_cfg(void) {
  char signature[5] = {0};
  uint64_t memory = 0;
  uint16_t cpus = 0;
  uint32_t entries = 0;
  fw_cfg_read(0x0000, signature, 4);
  check(text_equal(signature, "QEMU"), "fw_cfg: signature");
  fw_cfg_read(0x0003, &memory, 8);
  const char *told = argument("memory");
  print("     fw_cfg: %U bytes of RAM\n", memory);
  if (told) check(memory == number(told), "fw_cfg: RAM size");
  fw_cfg_read(0x0005, &cpus, 2);
  check(cpus == platform.cpus, "fw_cfg: as many CPUs as in the MADT");
  fw_cfg_read(0x8003, &entries, 4);
  print("     fw_cfg: %u E820 entries\n", entries);
}
