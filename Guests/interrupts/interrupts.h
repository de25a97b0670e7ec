// What the tests of the interrupt controllers share.
#pragma once
#include "../common/guest.h"

enum {
  MASKED = 1 << 16,
  // Redirection entries, and the command register of the local APIC (82093AA, 3.2.4; SDM volume 3, 11.6.1).
  LOWEST_PRIORITY = 1 << 8, NMI = 4 << 8, EXTERNAL = 7 << 8, LOGICAL = 1 << 11, ACTIVE_LOW = 1 << 13,
  REMOTE_IRR = 1 << 14, LEVEL = 1 << 15, ASSERT = 1 << 14, TO_SELF = 1 << 18, TO_ALL = 2 << 18, TO_OTHERS = 3 << 18,
  NOBODY = 0x3E, // an APIC identifier that no CPU has
};

enum { VECTOR_NMI = 2, VECTOR_RESERVED = 9, VECTOR_LOW = 0x51, VECTOR_MIDDLE = 0x61, VECTOR_HIGH = 0x81,
  VECTOR_HIGH_TOO = 0x8D, VECTOR_WORK = 0xE0 };

// Pins that have no device, each its own GSI; two of them also reach the 8259s, on the first and the second.
enum { PIN = 5, OTHER_PIN = 10, SERIAL_PIN = 4 };

enum { LIMIT = 4000000, QUIET = 3000 }; // microseconds: for what is to come, and for what is not

typedef void (*handler)(uint32_t vector);

// handlers.c: every interrupt is counted at the end of its handler, and noted in `order` at its start.
extern volatile uint32_t taken[256], taken_by[MAX_CPUS][256], entered;
extern volatile uint8_t order[64];
void handlers_start(void);
void handle(uint32_t vector, handler by); // null: end of interrupt and no more
void forget(void);                        // all counts and the order
bool takes(uint32_t vector, uint32_t count); // waits until that many have come
bool came_in_order(uint32_t count, const uint8_t *vectors);
static inline void disable(void) { asm volatile("cli" ::: "memory"); }
static inline void enable(void) { asm volatile("sti" ::: "memory"); }

// Runs `work` on a CPU, interrupts enabled, and waits for its end; false if it takes too long.
bool run_on(unsigned cpu, void (*work)(uint64_t), uint64_t argument);
void run_on_all(void (*work)(uint64_t), uint64_t argument);
// The first registers of a CPU that has come out of INIT.
struct at_start { uint32_t spurious, task_priority, timer, lint0, logical, base; };
extern volatile struct at_start at_start[MAX_CPUS];

// main.c
extern bool inexact; // a software KVM: it ends interrupts as it delivers them
void skip(const char *what, const char *why);
// Says that `what` is left out, where interrupts end as they are delivered.
bool only_exact(const char *what);
// Exactly `count` of a vector came, or on a software KVM no fewer.
void check_count(uint32_t vector, uint32_t count, const char *what);
extern const char loses_subclass[], tells_no_errors[]; // what Linux is known to do
// Where implementations differ from the manual: either will do, and which one it was is told.
void check_either(bool as_the_manual, bool as_known, const char *what, const char *known);

// ioapic-registers.c
void set_line(uint32_t pin, bool level);
void set_pin(uint32_t pin, uint32_t low, uint32_t destination);
uint32_t pin_entry(uint32_t pin); // bits 0-31
void rest(void); // lines low, pins masked, nothing in service, counts forgotten
void check_io_apic_registers(void);
// The handler of a device on PIN that lowers its line at the last service it wants.
extern volatile uint32_t services_wanted;
void serve_level(uint32_t vector);

void check_io_apic_edge(void);
void check_io_apic_level(void);
void check_io_apic_sources(void);
void check_io_apic_destinations(void);
void check_priority(void);

void check_local_apic(void);
void check_messages(void);
void check_nmi(void);
void check_restart(void);
void set_flat(void);    // logical identifiers: CPU n has bit n
void set_cluster(void); // CPU n has bit n % 2 of cluster n / 2
static inline uint32_t all_cpus(void) { return (1u << (platform.cpus < 8 ? platform.cpus : 8)) - 1; }
// Whether exactly these CPUs, bit n for CPU n, take the vector, once each; forgets it afterwards.
bool only_taken_by(uint32_t cpus, uint32_t vector);
bool in_bitmap(uint32_t base, uint32_t vector); // APIC_IN_SERVICE, APIC_REQUEST or APIC_TRIGGER_MODE

void check_timer(void);
void check_timer_rates(void);
void check_x2apic(void);
void check_x2apic_faults(void);

void check_pic(void);
void check_pic_modes(void);
void check_pit(void);
