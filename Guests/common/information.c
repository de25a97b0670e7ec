// What the boot loader tells: magic, memory, command line, modules (Multiboot 0.6.96, 3.2 and 3.3).
#include "guest.h"

extern uint32_t boot_magic, boot_info;
extern char image_start[], image_end[];

struct information {
  uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4],
    mmap_length, mmap_addr, drives_length, drives_addr, config_table, boot_loader_name;
};
struct module { uint32_t start, end, text, reserved; };
struct map_entry { uint32_t size; uint64_t base, length; uint32_t type; } __attribute__((packed));

const char *command_line = "";
static const struct information *information;

static const struct map_entry *next_entry(const struct map_entry *entry) {
  return (const void *)((uintptr_t)entry + entry->size + 4);
}

static const struct map_entry *first_entry(void) { return (const void *)(uintptr_t)information->mmap_addr; }

static bool is_end(const struct map_entry *entry) {
  return (uintptr_t)entry >= (uintptr_t)information->mmap_addr + information->mmap_length;
}

bool in_ram(uint64_t start, uint64_t count) {
  for (const struct map_entry *e = first_entry(); !is_end(e); e = next_entry(e))
    if (e->type == 1 && start >= e->base && count <= e->length && start - e->base <= e->length - count) return true;
  return false;
}

static void check_map(void) {
  bool sizes = true, apart = true, upper = false;
  uint64_t ram = 0;
  for (const struct map_entry *e = first_entry(); !is_end(e); e = next_entry(e)) {
    print("     memory %X + %X type %u\n", e->base, e->length, e->type);
    if (e->size < 20 || e->length == 0 || e->base + e->length < e->base) {
      sizes = false;
      break;
    }
    if (e->type != 1) continue;
    ram += e->length;
    if (e->base == 0x100000) upper = information->mem_upper == e->length >> 10;
    for (const struct map_entry *o = first_entry(); o != e; o = next_entry(o))
      if (e->base < o->base + o->length && o->base < e->base + e->length) apart = false;
  }
  check(sizes, "memory map: entries are whole");
  check(apart, "memory map: RAM overlaps nothing");
  check(upper, "memory map: mem_upper is the RAM from 1 MiB on");
  check(information->mem_lower >= 600 && information->mem_lower <= 640, "memory map: mem_lower");
  check(in_ram((uintptr_t)image_start, (uintptr_t)image_end - (uintptr_t)image_start), "memory map: this program is in RAM");
  check(in_ram(boot_info, sizeof *information), "memory map: the information is in RAM");
  // The end of RAM below 4 GiB must hold what is written.
  uint64_t last = 0x100000 + ((uint64_t)information->mem_upper << 10) - 4;
  store32(last, 0xA5A55A5A);
  check(load32(last) == 0xA5A55A5A, "memory map: the last word of low RAM");
  print("     %U KiB of RAM\n", ram >> 10);
}

// FNV-1a, 32 bits.
static uint32_t sum(const uint8_t *bytes, uint32_t count) {
  uint32_t hash = 0x811C9DC5;
  while (count--) hash = (hash ^ *bytes++) * 0x01000193;
  return hash;
}

static uint32_t hexadecimal(const char *text) {
  uint32_t value = 0;
  for (;; text++) {
    if (*text >= '0' && *text <= '9') value = value << 4 | (uint32_t)(*text - '0');
    else if (*text >= 'a' && *text <= 'f') value = value << 4 | (uint32_t)(*text - 'a' + 10);
    else return value;
  }
}

static void check_modules(void) {
  const struct module *modules = (const void *)(uintptr_t)information->mods_addr;
  const char *expected = argument("modules");
  if (expected) check(information->mods_count == number(expected), "modules: as many as told");
  for (uint32_t i = 0; i < information->mods_count; i++) {
    uint32_t start = modules[i].start, count = modules[i].end - start;
    const char *text = (const char *)(uintptr_t)modules[i].text;
    check(start % 4096 == 0 && in_ram(start, count), "modules: on a page, in RAM");
    check(start >= (uintptr_t)image_end, "modules: not over this program");
    char name[5] = {'s', 'u', 'm', (char)('0' + i), 0};
    const char *wanted = argument(name);
    uint32_t found = sum((const uint8_t *)(uintptr_t)start, count);
    print("     module %u: %u bytes, sum %x, \"%s\"\n", i, count, found, text);
    if (wanted) check(found == hexadecimal(wanted), "modules: the sum is right");
  }
}

void check_information(void) {
  check(boot_magic == 0x2BADB002, "multiboot: magic in EAX");
  information = (const void *)(uintptr_t)boot_info;
  check((information->flags & 0x45) == 0x45, "multiboot: memory, command line and memory map are told");
  if (boot_magic != 0x2BADB002 || (information->flags & 0x45) != 0x45) exit_with(1);
  command_line = (const char *)(uintptr_t)information->cmdline;
  print("     command line \"%s\"\n", command_line);
  if (information->flags & 1 << 9) print("     loaded by \"%s\"\n", (const char *)(uintptr_t)information->boot_loader_name);
  check_map();
  if (information->flags & 8) check_modules();
  else if (argument("modules")) check(number(argument("modules")) == 0, "modules: as many as told");
}
