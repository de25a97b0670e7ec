// A Multiboot program that tests the machine it runs on and tells the result by port 0xF4.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_CPUS 64

enum {
  VECTOR_LINE = 0x31,  // the I/O APIC's pin under test
  VECTOR_PING = 0x41,  // from the first CPU to another
  VECTOR_PONG = 0x42,  // and back
  VECTOR_TIMER = 0x51, // a local APIC's timer
  VECTOR_SPURIOUS = 0xFF,
};

static inline void out8(uint16_t port, uint8_t value) { asm volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }
static inline void out16(uint16_t port, uint16_t value) { asm volatile("outw %0, %1" ::"a"(value), "Nd"(port)); }
static inline void out32(uint16_t port, uint32_t value) { asm volatile("outl %0, %1" ::"a"(value), "Nd"(port)); }
static inline uint8_t in8(uint16_t port) { uint8_t v; asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static inline uint16_t in16(uint16_t port) { uint16_t v; asm volatile("inw %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static inline uint32_t in32(uint16_t port) { uint32_t v; asm volatile("inl %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static inline uint64_t read_tsc(void) { uint32_t a, d; asm volatile("rdtsc" : "=a"(a), "=d"(d)); return (uint64_t)d << 32 | a; }
static inline uint64_t read_msr(uint32_t msr) { uint32_t a, d; asm volatile("rdmsr" : "=a"(a), "=d"(d) : "c"(msr)); return (uint64_t)d << 32 | a; }
static inline void write_msr(uint32_t msr, uint64_t value) { asm volatile("wrmsr" ::"c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory"); }
static inline void pause(void) { asm volatile("pause" ::: "memory"); }
static inline uint32_t load32(uint64_t address) { return *(volatile uint32_t *)address; }
static inline void store32(uint64_t address, uint32_t value) { *(volatile uint32_t *)address = value; }

struct registers { uint32_t eax, ebx, ecx, edx; };
static inline struct registers cpuid(uint32_t leaf, uint32_t subleaf) {
  struct registers r;
  asm volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
  return r;
}

// console.c
void console_start(void);
void print(const char *format, ...); // %s, %u, %x with 32 bits, %U, %X with 64
bool text_equal(const char *left, const char *right);
bool starts_with(const char *text, const char *prefix);
bool bytes_equal(const void *left, const void *right, size_t count);
void bytes_copy(void *to, const void *from, size_t count);

// main.c
extern unsigned failures;
void check(bool holds, const char *what); // prints "ok" or "FAIL", and counts
// The value of `name=value` on the command line, up to the next space, or null.
const char *argument(const char *name);
bool argument_is(const char *name, const char *value);
bool has_word(const char *word);
uint64_t number(const char *text);

// information.c
void check_information(void);
bool in_ram(uint64_t start, uint64_t count);
extern const char *command_line;

// acpi.c
struct platform {
  unsigned cpus;
  uint32_t apic_ids[MAX_CPUS];
  uint64_t local_apic, io_apic;
  uint32_t io_apic_base; // first GSI
  uint16_t pm1a_control;
  uint32_t smi_command;
  uint8_t acpi_enable, sleep_type;
  bool has_sleep_type, has_reset;
  uint8_t reset_space, reset_value;
  uint64_t reset_address;
};
extern struct platform platform;
bool find_platform(void);

// apic.c
void traps_start(void);
void local_apic_start(void);
uint32_t local_apic_id(void);
void send_interrupt(uint32_t apic_id, uint32_t command);
void send_eoi(void);
void delay(uint32_t microseconds);
// Waits until *counter >= target, with interrupts on, for at most this long.
bool wait_for(volatile uint32_t *counter, uint32_t target, uint32_t microseconds);
void check_timer(void);
void check_lines(void);

// smp.c
void check_cpus(void);
extern uint32_t cpus_started;

// devices.c
void check_serial_loopback(void);
void check_test_device(void);
void check_fw_cfg(void);

// ending.c
void end_as_told(const char *how) __attribute__((noreturn));
void exit_with(uint32_t code) __attribute__((noreturn));
