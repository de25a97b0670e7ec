// The ACPI tables: where the CPUs, the I/O APIC, and the ways to end are (ACPI 6.5, 5.2).
#include "guest.h"

struct platform platform;

static uint32_t word32(const uint8_t *at) { return at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24; }
static uint64_t word64(const uint8_t *at) { return word32(at) | (uint64_t)word32(at + 4) << 32; }

static bool sums_to_zero(const uint8_t *bytes, uint32_t count) {
  uint8_t sum = 0;
  while (count--) sum += *bytes++;
  return sum == 0;
}

static const uint8_t *find_rsdp(void) {
  for (uint64_t at = 0xE0000; at < 0x100000; at += 16) {
    const uint8_t *bytes = (const uint8_t *)at;
    if (bytes_equal(bytes, "RSD PTR ", 8) && sums_to_zero(bytes, 20)) return bytes;
  }
  return NULL;
}

static void read_madt(const uint8_t *table, uint32_t length) {
  platform.local_apic = word32(table + 36);
  for (uint32_t at = 44; at + 2 <= length && table[at + 1] >= 2; at += table[at + 1]) {
    const uint8_t *entry = table + at;
    if (entry[0] == 0 && (word32(entry + 4) & 1) && platform.cpus < MAX_CPUS)
      platform.apic_ids[platform.cpus++] = entry[3];
    if (entry[0] == 1 && !platform.io_apic) {
      platform.io_apic = word32(entry + 4);
      platform.io_apic_base = word32(entry + 8);
    }
  }
}

// The first element of the package \_S5: SLP_TYP for soft-off (ACPI 6.5, 7.4.2).
static void read_dsdt(const uint8_t *table) {
  uint32_t length = word32(table + 4);
  for (uint32_t at = 36; at + 10 < length; at++) {
    if (!bytes_equal(table + at, "_S5_", 4) || table[at + 4] != 0x12) continue;
    const uint8_t *next = table + at + 5;
    next += 1 + (*next >> 6); // PkgLength
    next++;                   // NumElements
    platform.has_sleep_type = true;
    platform.sleep_type = *next == 0x0A ? next[1] : *next == 0x01 ? 1 : 0; // BytePrefix, OneOp, ZeroOp
    return;
  }
}

static void read_fadt(const uint8_t *table, uint32_t length) {
  platform.smi_command = word32(table + 48);
  platform.acpi_enable = table[52];
  platform.pm1a_control = (uint16_t)word32(table + 64);
  uint64_t dsdt = word32(table + 40);
  if (length >= 148 && word64(table + 140)) dsdt = word64(table + 140);
  if (length >= 184 && !platform.pm1a_control) platform.pm1a_control = (uint16_t)word64(table + 176);
  if (length >= 129 && word32(table + 112) & 1 << 10) {
    platform.has_reset = true;
    platform.reset_space = table[116];
    platform.reset_address = word64(table + 120);
    platform.reset_value = table[128];
  }
  if (dsdt) read_dsdt((const uint8_t *)dsdt);
}

bool find_platform(void) {
  const uint8_t *rsdp = find_rsdp();
  if (!rsdp) return false;
  bool wide = rsdp[15] >= 2 && word64(rsdp + 24);
  if (wide) check(sums_to_zero(rsdp, word32(rsdp + 20)), "acpi: the RSDP's extended checksum");
  const uint8_t *root = (const uint8_t *)(wide ? word64(rsdp + 24) : word32(rsdp + 16));
  uint32_t size = wide ? 8 : 4, length = word32(root + 4);
  bool sound = sums_to_zero(root, length), fadt = false, madt = false;
  for (uint32_t at = 36; at + size <= length; at += size) {
    const uint8_t *table = (const uint8_t *)(wide ? word64(root + at) : word32(root + at));
    uint32_t count = word32(table + 4);
    char name[5] = {(char)table[0], (char)table[1], (char)table[2], (char)table[3], 0};
    print("     acpi %s at %X, %u bytes\n", name, (uint64_t)table, count);
    if (!sums_to_zero(table, count)) sound = false;
    if (text_equal(name, "APIC")) madt = true, read_madt(table, count);
    if (text_equal(name, "FACP")) fadt = true, read_fadt(table, count);
  }
  check(sound, "acpi: checksums");
  return fadt && madt && platform.cpus && platform.local_apic && platform.io_apic;
}
