// Time, by the TSC.
#include "guest.h"

bool tsc_is_told(void) {
  return cpuid(1, 0).ecx >> 31 && cpuid(0x40000000, 0).eax >= 0x40000010 && cpuid(0x40000010, 0).eax;
}

// Told by the hypervisor, or the fastest there is.
uint32_t ticks_per_microsecond(void) {
  static uint32_t ticks;
  if (!ticks) ticks = tsc_is_told() ? cpuid(0x40000010, 0).eax / 1000 + 1 : 5000;
  return ticks;
}

void delay(uint32_t microseconds) {
  uint64_t end = read_tsc() + (uint64_t)microseconds * ticks_per_microsecond();
  while (read_tsc() < end) pause();
}

bool wait_for(volatile uint32_t *counter, uint32_t target, uint32_t microseconds) {
  uint64_t end = read_tsc() + (uint64_t)microseconds * ticks_per_microsecond();
  while (*counter < target)
    if (read_tsc() > end) return false;
  return true;
}
