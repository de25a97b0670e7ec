// How fast the local APIC's timer counts (SDM volume 3, 11.5.4, figure 11-10).
#include "interrupts.h"

// How far the count falls in 2^24 ticks of the TSC, by a window of `microseconds`.
static uint64_t rate(uint32_t divide, uint32_t microseconds) {
  apic_write(APIC_TIMER, MASKED);
  apic_write(APIC_TIMER_DIVIDE, divide);
  apic_write(APIC_TIMER_INITIAL, 0xFFFFFFFF);
  uint64_t start = read_tsc();
  uint32_t first = apic_read(APIC_TIMER_CURRENT);
  uint64_t opened = read_tsc();
  delay(microseconds);
  uint64_t closing = read_tsc();
  uint32_t second = apic_read(APIC_TIMER_CURRENT);
  uint64_t end = read_tsc();
  apic_write(APIC_TIMER_INITIAL, 0);
  uint64_t ticks = (closing + end) / 2 - (start + opened) / 2;
  return ticks ? ((uint64_t)(first - second) << 24) / ticks : 0;
}

static bool is_near(uint64_t value, uint64_t expected) {
  return value >= expected - expected / 5 && value <= expected + expected / 5;
}

void check_timer_rates(void) {
  // By bits 0, 1 and 3: 2, 4, 8, 16, 32, 64, 128, 1.
  static const uint8_t settings[] = {0xB, 0x0, 0x1, 0x2, 0x3, 0x8, 0x9, 0xA};
  rest();
  bool all = true;
  for (unsigned i = 1; i < sizeof settings; i++) {
    bool right = false;
    // A host that is busy may hold this CPU up in the middle of a measurement.
    for (unsigned attempt = 0; attempt < 8 && !right; attempt++) {
      uint64_t full = rate(settings[0], 2000), divided = rate(settings[i], 2000);
      right = is_near(divided << i, full);
      if (!right && attempt == 7) print("     by %u: %U and %U\n", 1 << i, full, divided);
    }
    all = all && right;
  }
  check(all, "timer: divided by 2, 4, 8, 16, 32, 64 and 128");
  if (tsc_is_told() && cpuid(0x40000010, 0).ebx) {
    uint64_t told = ((uint64_t)cpuid(0x40000010, 0).ebx << 24) / cpuid(0x40000010, 0).eax;
    bool right = false;
    for (unsigned attempt = 0; attempt < 8 && !right; attempt++) right = is_near(rate(0xB, 2000), told);
    check(right, "timer: the frequency that CPUID tells");
  }
  apic_write(APIC_TIMER_DIVIDE, 0xB);
}
