// Starting the other CPUs by INIT and SIPI (Intel SDM volume 3, 9.4.4).
#include "guest.h"

extern uint8_t trampoline[], trampoline_end[], stacks[];

volatile uint32_t cpus_ready;

// The number of the CPU that has each stack; a CPU that is started again gets another stack.
static volatile uint32_t cpu_of_stack[MAX_CPUS];

unsigned this_cpu(void) {
  uint64_t at;
  asm volatile("movq %%rsp, %0" : "=r"(at));
  return cpu_of_stack[(at - (uint64_t)stacks) / STACK_SIZE];
}

void cpu_arrives(uint32_t stack) {
  uint32_t id = cpuid(1, 0).ebx >> 24;
  for (unsigned i = 0; i < platform.cpus; i++)
    if (platform.apic_ids[i] == id) cpu_of_stack[stack] = i;
  note_apic_mode();
}

void cpu_is_ready(void) { __atomic_fetch_add(&cpus_ready, 1, __ATOMIC_SEQ_CST); }

bool start_cpu(uint32_t id) {
  uint32_t target = cpus_ready + 1;
  bytes_copy((void *)TRAMPOLINE, trampoline, (size_t)(trampoline_end - trampoline));
  send_interrupt(id, 0x4500); // INIT
  delay(10000);
  send_interrupt(id, 0x4600 | TRAMPOLINE >> 12);
  if (!wait_for(&cpus_ready, target, 200000)) send_interrupt(id, 0x4600 | TRAMPOLINE >> 12);
  return wait_for(&cpus_ready, target, 2000000);
}

void start_cpus(void) {
  for (unsigned i = 1; i < platform.cpus; i++) start_cpu(platform.apic_ids[i]);
}
