// What the Multiboot programs share. Each tests the machine it runs on and tells the result by port 0xF4.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_CPUS 64    // stacks, as in start.S
#define STACK_SIZE 8192 // as in start.S
#define TRAMPOLINE 0x8000

enum { VECTOR_SPURIOUS = 0xFF };

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

// checks.c
extern unsigned failures;
void check(bool holds, const char *what); // prints "ok" or "FAIL", and counts
// The value of `name=value` on the command line, up to the next space, or null.
const char *argument(const char *name);
bool argument_is(const char *name, const char *value);
bool has_word(const char *word);
uint64_t number(const char *text);
void finish(void) __attribute__((noreturn)); // says whether all held, and ends

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

// traps.c
enum { GENERAL_PROTECTION = 13, NO_FAULT = 256 };
extern volatile uint64_t fault_vector, fault_code; // of the last expected fault
void set_gate(unsigned vector, uint64_t entry);
void traps_start(void);
// Each says whether the access ends in #GP. One CPU at a time.
bool read_msr_faults(uint32_t msr, uint64_t *value);
bool write_msr_faults(uint32_t msr, uint64_t value);

// clock.c
bool tsc_is_told(void); // whether the frequency of the TSC is known
uint32_t ticks_per_microsecond(void);
void delay(uint32_t microseconds);
// Waits until *counter >= target, with interrupts on, for at most this long.
bool wait_for(volatile uint32_t *counter, uint32_t target, uint32_t microseconds);

// apic.c: the memory-mapped offsets of SDM volume 3, table 11-1, in either mode.
enum {
  APIC_ID = 0x20, APIC_VERSION = 0x30, APIC_TASK_PRIORITY = 0x80, APIC_PROCESSOR_PRIORITY = 0xA0, APIC_EOI = 0xB0,
  APIC_LOGICAL_DESTINATION = 0xD0, APIC_DESTINATION_FORMAT = 0xE0, APIC_SPURIOUS = 0xF0, APIC_IN_SERVICE = 0x100,
  APIC_TRIGGER_MODE = 0x180, APIC_REQUEST = 0x200, APIC_ERROR_STATUS = 0x280, APIC_COMMAND_LOW = 0x300,
  APIC_COMMAND_HIGH = 0x310, APIC_TIMER = 0x320, APIC_THERMAL = 0x330, APIC_PERFORMANCE = 0x340, APIC_LINT0 = 0x350,
  APIC_LINT1 = 0x360, APIC_ERROR = 0x370, APIC_TIMER_INITIAL = 0x380, APIC_TIMER_CURRENT = 0x390,
  APIC_TIMER_DIVIDE = 0x3E0,
};
enum { APIC_BASE = 0x1B, TSC_DEADLINE = 0x6E0 }; // MSRs
uint32_t apic_read(uint32_t offset);
void apic_write(uint32_t offset, uint32_t value);
void note_apic_mode(void); // after this CPU's APIC_BASE has changed
void local_apic_start(void);
uint32_t local_apic_id(void);
bool send_interrupt(uint32_t apic_id, uint32_t command); // false if the local APIC never gets idle again
void send_eoi(void);
uint32_t io_apic_read(uint32_t index);
void io_apic_write(uint32_t index, uint32_t value);

// smp.c
extern uint32_t cpus_started;          // CPUs that came through start.S, the first too
extern volatile uint32_t cpus_ready;   // calls of cpu_is_ready
unsigned this_cpu(void);               // an index of platform.apic_ids
void start_cpus(void);                 // all others, one after the other
bool start_cpu(uint32_t id);
void ap_main(uint32_t stack);          // of each program: calls the next two, and does not return
void cpu_arrives(uint32_t stack);
void cpu_is_ready(void);

// ending.c
void end_as_told(const char *how) __attribute__((noreturn));
void exit_with(uint32_t code) __attribute__((noreturn));
